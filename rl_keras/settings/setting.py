"""What a setting is: a field of a section with its default, its help text and the values it takes.

A section is a frozen dataclass whose fields are declared with `setting`. From a declaration follow
the flag, its line in `--help`, its entry in `config.json`, and the check of its value. What
concerns two settings at once is checked in `experiment`.
"""

import dataclasses
import math
import re
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rl_keras.errors import UsageError


@dataclass(frozen=True)
class Range:
    """The numbers that a setting takes.

    Example:
        >>> str(Range(above=0)), str(Range(at_least=0, below=1)), 1.0 in Range(at_least=0, below=1)
        ('positive', 'at least 0 and below 1', False)
    """

    at_least: float | None = None
    above: float | None = None
    below: float | None = None
    at_most: float | None = None

    def __contains__(self, number: float) -> bool:
        return (
            (self.at_least is None or number >= self.at_least)
            and (self.above is None or number > self.above)
            and (self.below is None or number < self.below)
            and (self.at_most is None or number <= self.at_most)
        )

    def __str__(self) -> str:
        if self == Range(above=0):
            return "positive"
        if self.at_least is not None and self.at_most is not None:
            return f"from {self.at_least} to {self.at_most}"
        limits = dataclasses.asdict(self).items()
        return " and ".join(
            f"{name.replace('_', ' ')} {number}" for name, number in limits if number is not None
        )


@dataclass(frozen=True)
class Rule:
    """A property that the whole value of a setting must have.

    Attributes:
        must: what the value must do or be, as it stands after "must" in a message.
        holds: says whether a value does.
    """

    must: str
    holds: Callable[[Any], bool]


PLAIN_NAME = Rule(  # of an experiment or a variant, whose folder has this name
    "be a plain name of letters, digits, '_', '-' and '.'",
    lambda text: bool(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", text)),
)
NOT_EMPTY = Rule("not be empty", bool)
NO_REPETITION = Rule("not repeat an entry", lambda items: len(set(items)) == len(items))


def alone(word: str) -> Rule:
    """Returns the rule that a list has this word as its only entry, or not at all."""
    return Rule(
        f"not combine {word} with others", lambda items: word not in items or len(items) == 1
    )


def setting(
    default: Any,
    help: str,
    *,
    choices: tuple[str, ...] = (),
    at_least: float | None = None,
    above: float | None = None,
    below: float | None = None,
    at_most: float | None = None,
    rules: tuple[Rule, ...] = (),
) -> Any:
    """Declares a field of a section.

    Args:
        default: the value without a flag.
        help: what the setting is, for `--help`.
        choices: the texts that it takes, or that each item of a list is one of; empty for any.
        at_least, above, below, at_most: range of the number, or of each in a list.
        rules: what the whole value must satisfy besides.
    """
    limits = Range(at_least, above, below, at_most)
    metadata = {"help": help, "choices": choices, "range": limits, "rules": rules}
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Setting:
    """One setting of an experiment: where it stands, and what was declared of it.

    Attributes:
        flag: name on the command line and in `config.json`, such as `upstream_epochs`.
        section: field of `ExperimentConfig` that it belongs to, such as `upstream`.
        name: field of that section, such as `epochs`.
        type: `str`, `bool`, `int`, `float`, or a tuple of one of them, such as `tuple[int, ...]`.
        default, help, choices, range, rules: see `setting`.
    """

    flag: str
    section: str
    name: str
    type: Any
    default: Any
    help: str
    choices: tuple[str, ...]
    range: Range
    rules: tuple[Rule, ...]

    @property
    def is_list(self) -> bool:
        return typing.get_origin(self.type) is tuple

    @property
    def item_type(self) -> type:
        return typing.get_args(self.type)[0] if self.is_list else self.type

    def check(self, value: Any) -> None:
        """Refuses a value that is not as declared.

        Raises:
            UsageError: naming the flag, what it takes, and what was received.
        """
        for item in value if self.is_list else (value,):
            if isinstance(item, float) and not math.isfinite(item):
                raise self._must("be a finite number", item)
            if self.choices and item not in self.choices:
                raise self._must(f"be one of {', '.join(self.choices)}", item)
            if self.range != Range() and item not in self.range:
                raise self._must(f"be {self.range}", item)
        for rule in self.rules:
            if not rule.holds(value):
                raise self._must(rule.must, value)

    def _must(self, what, received):
        text = format_value(received)
        if text.split() != [text]:  # quoted, so that spaces or an empty text can be seen
            text = repr(text)
        return UsageError(f"--{self.flag} must {what}. Received: {text}")


def format_value(value: Any) -> str:
    """Returns a value as it stands on the command line and in a flagfile.

    Example:
        >>> format_value((0, 1)), format_value(True), format_value(0.5)
        ('0,1', 'true', '0.5')
    """
    if isinstance(value, tuple):
        return ",".join(format_value(item) for item in value)
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, float) else str(value)
