"""Several experiments in one command: `--variants` of one, or the flagfiles of `--experiments`."""

from collections.abc import Collection
from pathlib import PurePath

from rl_keras.errors import UsageError
from rl_keras.settings.command_line import convert, format_value, parse
from rl_keras.settings.experiment import ExperimentConfig, all_settings, from_values, to_values
from rl_keras.settings.setting import PLAIN_NAME

_OF_THE_RUN = frozenset(s.flag for s in all_settings() if s.section == "run")
# Of these each flagfile of --experiments has a value of its own, or they say which files to run.
_NOT_PASSED_ON = {"experiment", "workdir", "experiments", "variants", "figures"}
# These may be given beside --experiments and then hold for each flagfile.
_PASSED_ON = (_OF_THE_RUN - _NOT_PASSED_ON) | {"data_dir", "download"}


def variant_names(config: ExperimentConfig) -> tuple[str, ...]:
    """Returns the names of a configuration's variants, in order; empty without variants."""
    return tuple(_read_variants(config.run.variants))


def expand(config: ExperimentConfig) -> dict[str, ExperimentConfig]:
    """Returns the configuration of each variant, which runs in the folder WORKDIR/NAME.

    Args:
        config: its `--variants` is `"NAME: flag=value flag=value; NAME: flag=value"`.
            Without variants the result is the configuration alone, named "".

    Raises:
        UsageError: if the text cannot be read, a name or a flag is unknown or stands
            twice, or the settings of a variant contradict each other.

    Example:
        >>> config = from_values({"workdir": "w", "variants": "a: filters=8; b: filters=16"})
        >>> {name: (v.run.workdir, v.model.filters) for name, v in expand(config).items()}
        {'a': ('w/a', 8), 'b': ('w/b', 16)}
    """
    changes = _read_variants(config.run.variants)
    if not changes:
        return {"": config}
    settings = {setting.flag: setting for setting in all_settings()}
    expanded = {}
    for name, texts in changes.items():
        values = to_values(config)
        for flag, text in texts.items():
            if flag not in settings or flag in _OF_THE_RUN:
                raise UsageError(
                    "--variants may set the flags of data, model, stages, transfer and "
                    f"measurement. Received: {flag!r} in variant {name!r}"
                )
            values[flag] = convert(settings[flag], text)
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


def _read_variants(text) -> dict[str, dict[str, str]]:
    """Returns the text of each flag of each variant."""
    variants: dict[str, dict[str, str]] = {}
    for part in filter(None, (part.strip() for part in text.split(";"))):
        name, colon, flags = part.partition(":")
        name = name.strip()
        if not colon or not PLAIN_NAME.holds(name):
            raise UsageError(
                "--variants takes 'NAME: flag=value flag=value; NAME: flag=value'. "
                f"Received: {part!r}"
            )
        if name in variants:
            raise UsageError(f"--variants must not repeat a name. Received: {name}")
        variants[name] = _read_flags(name, flags.split())
    return variants


def _read_flags(variant, words):
    texts: dict[str, str] = {}
    for word in words:
        flag, equals, value = word.partition("=")
        flag = flag.removeprefix("--")
        if not equals or flag in texts:
            raise UsageError(
                f"--variants, variant {variant!r}: settings are flag=value, each flag once. "
                f"Received: {word!r}"
            )
        texts[flag] = value
    return texts


def expand_flagfiles(
    config: ExperimentConfig, given: Collection[str]
) -> dict[str, ExperimentConfig]:
    """Returns the settings of each flagfile of `--experiments`, by the name of the file.

    Args:
        config: its `--experiments` names the flagfiles, its `--workdir` the folder in which
            each gets a folder of its own.
        given: names of the flags that were given. Those that change no result, the seeds and
            the folder of the data are passed on to each flagfile.

    Raises:
        UsageError: if another flag was given, two files have one name, or a flagfile
            is wrong.

    Example:
        >>> config = from_values({"workdir": "w", "experiments": ("flags/fig20_right.cfg",)})
        >>> expand_flagfiles(config, given=[])["fig20_right"].run.workdir
        'w/fig20_right'
    """
    for flag in sorted(set(given) - _PASSED_ON - {"experiment", "workdir", "experiments"}):
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
    passed = [f"--{flag}={format_value(values[flag])}" for flag in sorted(_PASSED_ON & set(given))]
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
