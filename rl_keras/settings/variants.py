"""Several experiments in one command: `--variants` of one, or the flagfiles of `--experiments`."""

import re
from collections.abc import Collection, Iterable
from pathlib import PurePath

from rl_keras.errors import UsageError
from rl_keras.settings.command_line import convert, format_value, parse
from rl_keras.settings.experiment import ExperimentConfig, all_settings, from_values, to_values

# What belongs to the command and not to one variant.
_SHARED = frozenset(s.flag for s in all_settings() if s.section == "run")
_OWN = {"experiment", "workdir", "experiments"}
# What else may stand beside --experiments, and is passed on to each of them.
_PASSED = {s.flag for s in all_settings() if s.section == "run"} - _OWN - {"variants", "figures"}


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


_PASSED |= {"data_dir", "download"}


def expand_flagfiles(
    config: ExperimentConfig, given: Collection[str]
) -> dict[str, ExperimentConfig]:
    """Returns the settings of each flagfile of a program, by the name of the file.

    Args:
        config: its `--experiments` names the flagfiles, its `--workdir` the folder in which
            each gets a folder of its own.
        given: the flags that were given, of which those that change no result, the seeds
            and the place of the data are passed on to each.

    Raises:
        UsageError: if another flag was given, two files have one name, or a flagfile
            is wrong.

    Example:
        >>> run = RunConfig(workdir="w", experiments=("flags/fig20_right.cfg",))
        >>> expand_flagfiles(ExperimentConfig(run), [])["fig20_right"].run.workdir
        'w/fig20_right'
    """
    for flag in sorted(set(given) - _OWN - _PASSED):
        raise UsageError(
            "beside --experiments only flags that change no result, --seeds, --data_dir and "
            f"--download may be given; the others stand in the flagfiles. Received: --{flag}"
        )
    if config.run.strategy == "multi_worker":
        raise UsageError(
            "--experiments needs all devices on one host; run the flagfiles one after another. "
            "Received: --strategy=multi_worker"
        )
    values = to_values(config)
    passed = [f"--{flag}={format_value(values[flag])}" for flag in sorted(_PASSED & set(given))]
    expanded: dict[str, ExperimentConfig] = {}
    for path in config.run.experiments:
        name = PurePath(path).stem
        if name in expanded:
            raise UsageError(f"--experiments must not name a file twice. Received: {path}")
        workdir = f"--workdir={config.run.workdir}/{name}"
        try:
            expanded[name], _ = parse([f"--flagfile={path}", *passed, workdir])
        except UsageError as error:
            raise UsageError(f"--experiments, {path}: {error}") from None
        if expanded[name].run.experiments:
            raise UsageError(f"--experiments must name single experiments. Received: {path}")
    return expanded
