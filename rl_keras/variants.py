"""One experiment under several settings: `--variants`, and what each of them is."""

import re
from collections.abc import Iterable

from rl_keras.cli import convert
from rl_keras.config import ExperimentConfig, all_settings, from_values, to_values
from rl_keras.errors import UsageError

# What belongs to the command and not to one variant.
_SHARED = frozenset(s.flag for s in all_settings() if s.section == "run")


def variant_names(config: ExperimentConfig) -> tuple[str, ...]:
    """Returns the names of a configuration's variants, in order; empty without variants."""
    return tuple(_parse(config.run.variants))


def expand(config: ExperimentConfig) -> dict[str, ExperimentConfig]:
    """Returns the configuration of each variant, which runs in the folder WORKDIR/NAME.

    Args:
        config: its `--variants` is `"NAME: flag=value flag=value; NAME: flag=value"`.
            Without variants the result is the configuration alone, named "".

    Raises:
        UsageError: if the text cannot be read, a name or a flag is unknown or stands
            twice, or the settings of a variant contradict each other.

    Example:
        >>> run = RunConfig(workdir="w", variants="a: filters=8; b: filters=16")
        >>> {k: (v.run.workdir, v.model.filters) for k, v in expand(ExperimentConfig(run)).items()}
        {'a': ('w/a', 8), 'b': ('w/b', 16)}
    """
    overrides = _parse(config.run.variants)
    if not overrides:
        return {"": config}
    known = {setting.flag: setting for setting in all_settings()}
    expanded = {}
    for name, settings in overrides.items():
        values = to_values(config)
        for flag, text in settings.items():
            if flag not in known or flag in _SHARED:
                raise UsageError(
                    "--variants may set the flags of data, model, stages, transfer and "
                    f"measurement. Received: {flag!r} in variant {name!r}"
                )
            values[flag] = _convert(known[flag], text)
        values |= {
            "variants": "",
            "experiment": f"{config.run.experiment}-{name}",
            "workdir": f"{config.run.workdir}/{name}",
            "figures": (),
        }
        try:
            expanded[name] = from_values(values)
        except UsageError as error:
            raise UsageError(f"--variants, variant {name!r}: {error}") from None
    return expanded


def _convert(setting, text):
    if setting.type is not bool:
        return convert(setting, text)
    if text not in ("true", "false"):
        raise UsageError(f"--{setting.flag} takes true or false. Received: {text!r}")
    return text == "true"


def _parse(text) -> dict[str, dict[str, str]]:
    variants: dict[str, dict[str, str]] = {}
    for part in filter(None, (part.strip() for part in text.split(";"))):
        name, colon, rest = part.partition(":")
        name = name.strip()
        if not colon or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
            raise UsageError(
                "--variants takes 'NAME: flag=value flag=value; NAME: flag=value'. "
                f"Received: {part!r}"
            )
        if name in variants:
            raise UsageError(f"--variants must not repeat a name. Received: {name}")
        variants[name] = _settings(name, rest.split())
    return variants


def _settings(name, words: Iterable[str]):
    settings = {}
    for word in words:
        flag, equals, value = word.partition("=")
        flag = flag.removeprefix("--")
        if not equals or flag in settings:
            raise UsageError(
                f"--variants, variant {name!r}: settings are flag=value, each flag once. "
                f"Received: {word!r}"
            )
        settings[flag] = value
    return settings
