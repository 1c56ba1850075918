"""Several flagfiles in one command: `--experiments`."""

from collections.abc import Collection
from pathlib import PurePath

from rl_keras.cli import format_value, parse
from rl_keras.config import ExperimentConfig, all_settings, to_values
from rl_keras.errors import UsageError

_OWN = {"experiment", "workdir", "experiments"}
# What else may stand beside --experiments, and is passed on to each of them.
_PASSED = {s.flag for s in all_settings() if s.section == "run"} - _OWN - {"variants", "figures"}
_PASSED |= {"data_dir", "download"}


def expand_program(config: ExperimentConfig, given: Collection[str]) -> dict[str, ExperimentConfig]:
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
        >>> expand_program(ExperimentConfig(run), [])["fig20_right"].run.workdir
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
