"""Command line flags and flagfiles; the only module that knows absl."""

import sys
from collections.abc import Sequence
from typing import Any

from absl import flags

from rl_keras.errors import UsageError
from rl_keras.settings import flagfiles
from rl_keras.settings.experiment import ExperimentConfig, all_settings, from_values, to_values
from rl_keras.settings.model import models_that_take
from rl_keras.settings.setting import Setting, format_value


def define_flags() -> flags.FlagValues:
    """Returns fresh flag values, one flag for each setting, plus `--help`."""
    values = flags.FlagValues()
    for setting in all_settings():
        # absl reads booleans only, since it knows --nodry_run beside --dry_run. All other flags are
        # texts for absl: `convert` reads them, with errors worded alike for every type.
        if setting.type is bool:
            flags.DEFINE_bool(setting.flag, setting.default, setting.help, flag_values=values)
        else:
            text = format_value(setting.default)
            flags.DEFINE_string(setting.flag, text, setting.help, flag_values=values)
    flags.DEFINE_bool("help", False, "Show this help.", flag_values=values)
    return values


def parse(arguments: Sequence[str]) -> tuple[ExperimentConfig, frozenset[str]]:
    """Reads the command line, flagfiles included.

    Args:
        arguments: the command line without the program name.

    Returns:
        The configuration, and the names of the flags that were given.

    Raises:
        UsageError: for an unknown flag, an unreadable flagfile, a value of the wrong type or
            out of range, or settings that contradict each other.
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


def convert(setting: Setting, value: Any) -> Any:
    """Returns the value of a flag, given its text or, read by absl already, a boolean.

    Raises:
        UsageError: naming the flag and the text received.
    """
    if setting.type is bool:
        return value if isinstance(value, bool) else _convert_switch(setting, value)
    if not setting.is_list:
        return _convert_item(setting, value)
    return tuple(_convert_item(setting, item.strip()) for item in value.split(",") if item.strip())


def _convert_switch(setting, text):
    if text not in ("true", "false"):
        raise UsageError(f"--{setting.flag} takes true or false. Received: {text!r}")
    return text == "true"


def _convert_item(setting, text):
    if setting.item_type is str:
        return text
    try:
        return setting.item_type(text)
    except ValueError:
        noun = {int: "whole number", float: "number"}[setting.item_type]
        many = f"{noun}s separated by commas" if setting.is_list else f"a {noun}"
        raise UsageError(f"--{setting.flag} takes {many}. Received: {text!r}") from None


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
    """Prints every flag with its default and the values it takes, section by section."""
    out = sys.stdout.write
    out("python main.py --flagfile=flags/quickstart.cfg [--flag=value ...]\n")
    section = None
    for setting in all_settings():
        if setting.section != section:
            section = setting.section
            out(f"\n{section}\n")
        default = format_value(setting.default) or "(empty)"
        out(f"  --{setting.flag}={default}{_values(setting)}{_models(setting)}\n")
        out(f"      {setting.help}\n")


def _values(setting):
    if setting.choices:
        return f" [{'|'.join(setting.choices)}]"
    each = "each " if setting.is_list else ""
    return f" [{each}{setting.range}]" if str(setting.range) else ""


def _models(setting):
    models = models_that_take(setting.name) if setting.section == "model" else ()
    return f" ({', '.join(models)})" if models else ""
