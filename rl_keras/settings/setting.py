"""How a setting is declared: default, help text, and the values it may take."""

import dataclasses


def setting(default, help_text: str, choices: tuple[str, ...] = (), minimum=None):
    """A field with its help text and the values it may take."""
    metadata = {"help": help_text, "choices": choices, "minimum": minimum}
    return dataclasses.field(default=default, metadata=metadata)
