"""Command line flags and flagfiles; the only module that knows absl."""

import sys
from collections.abc import Sequence

from absl import flags

from rl_keras.errors import UsageError
from rl_keras.settings import flagfiles
from rl_keras.settings.experiment import (
    ExperimentConfig,
    Setting,
    all_settings,
    from_values,
    to_values,
)


def define_flags() -> flags.FlagValues:
    """Returns fresh flag values, one flag for each setting, plus `--help`."""
    values = flags.FlagValues()
    for setting in all_settings():
        text = setting.help
        if setting.choices:
            text += f" Choices: {', '.join(setting.choices)}."
        # Plain strings: our own conversion gives one kind of error text for every type.
        # Booleans stay absl's, for --dry_run and --nodry_run.
        if setting.type is bool:
            flags.DEFINE_bool(setting.flag, setting.default, text, flag_values=values)
        else:
            default = format_value(setting.default)
            flags.DEFINE_string(setting.flag, default, text, flag_values=values)
    flags.DEFINE_bool("help", False, "Show this help.", flag_values=values)
    return values


def parse(arguments: Sequence[str]) -> tuple[ExperimentConfig, frozenset[str]]:
    """Reads the command line, flagfiles included.

    Args:
        arguments: the command line without the program name.

    Returns:
        The configuration, and the names of the flags that were given.

    Raises:
        UsageError: for an unknown flag, an unreadable flagfile, a value of the
            wrong type, or settings that contradict each other.
        SystemExit: after printing the help.

    Example:
        >>> config, given = parse(["--seeds=0,1"])
        >>> config.run.seeds, sorted(given)
        ((0, 1), ['seeds'])
    """
    values = define_flags()
    try:
        rest = values(["main.py", *flagfiles.expand(arguments)])[1:]
    except flags.Error as error:
        raise UsageError(f"{error} See --help for the flags.") from None
    if values.help:
        print_help()
        raise SystemExit(0)
    if rest:
        raise UsageError(f"arguments must be flags of the form --name=value. Received: {rest[0]}")
    given = frozenset(s.flag for s in all_settings() if values[s.flag].present)
    settings = {s.flag: convert(s, values[s.flag].value) for s in all_settings()}
    return from_values(settings), given


def convert(setting: Setting, value):
    """Returns a flag's text as the type of its setting.

    Raises:
        UsageError: naming the flag and the text received.
    """
    if setting.type is bool:
        return value
    if not setting.is_list:
        return _convert_item(setting, value)
    return tuple(_convert_item(setting, item.strip()) for item in value.split(",") if item.strip())


def _convert_item(setting, text):
    if setting.item_type is str:
        return text
    try:
        return setting.item_type(text)
    except ValueError:
        noun = {int: "whole number", float: "number"}[setting.item_type]
        many = f"{noun}s separated by commas" if setting.is_list else f"a {noun}"
        raise UsageError(f"--{setting.flag} takes {many}. Received: {text!r}") from None


def format_value(value) -> str:
    """Returns a setting as it stands in a flagfile.

    Example:
        >>> format_value((0, 1)), format_value(True), format_value(0.5)
        ('0,1', 'true', '0.5')
    """
    if isinstance(value, tuple):
        return ",".join(format_value(item) for item in value)
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, float) else str(value)


def to_flagfile(config: ExperimentConfig) -> str:
    """Returns the text of a flagfile that repeats this configuration."""
    values = to_values(config)
    lines = ["# Effective flags of this run. Repeat it: python main.py --flagfile=THIS FILE"]
    section = None
    for setting in all_settings():
        if setting.section != section:
            section = setting.section
            lines.append(f"# {section}")
        lines.append(f"--{setting.flag}={format_value(values[setting.flag])}")
    return "\n".join(lines) + "\n"


def print_help() -> None:
    """Prints every flag with its default, section by section."""
    out = sys.stdout.write
    out("python main.py --flagfile=flags/quickstart.cfg [--flag=value ...]\n")
    section = None
    for setting in all_settings():
        if setting.section != section:
            section = setting.section
            out(f"\n{section}\n")
        default = format_value(setting.default) or "(empty)"
        choices = f" [{'|'.join(setting.choices)}]" if setting.choices else ""
        out(f"  --{setting.flag}={default}{choices}\n      {setting.help}\n")
