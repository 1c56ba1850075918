"""Copies upstream stages that several runs have in common, so that each is trained once."""

from collections.abc import Iterable

from rl_keras.settings.experiment import ExperimentConfig, all_settings, to_values
from rl_keras.storage.files import write_bytes
from rl_keras.storage.run_folder import FREE_SETTINGS, RunDirectory, StageKey

_SECTIONS = ("data", "model", "upstream", "measure")
_FLAGS = tuple(
    s.flag for s in all_settings() if s.section in _SECTIONS and s.flag not in FREE_SETTINGS
)


def upstream_settings(config: ExperimentConfig) -> tuple:
    """Returns all that an upstream stage and its measurements depend on, the seed excepted.

    Example:
        >>> slow, fast = (from_values({"downstream_learning_rate": r}) for r in (0.01, 0.1))
        >>> upstream_settings(slow) == upstream_settings(fast)
        True
    """
    values = to_values(config)
    # Activations are followed on downstream examples, if there are any.
    probe = config.downstream.split if config.transfer.arms else ""
    return (*(values[flag] for flag in _FLAGS), probe)


def borrow(
    key: StageKey,
    config: ExperimentConfig,
    directory: RunDirectory,
    lenders: Iterable[tuple[ExperimentConfig, RunDirectory]],
) -> bool:
    """Copies an upstream stage that another run has finished under the same settings.

    Args:
        key: the stage.
        config: the settings of the run that wants it.
        directory: its folder.
        lenders: settings and folders of other runs.

    Returns:
        Whether there was one.
    """
    wanted = upstream_settings(config)
    for other, lender in lenders:
        if upstream_settings(other) == wanted and lender.read_result(key) is not None:
            _copy(key, lender, directory)
            return True
    return False


def _copy(key, source, target):
    def copy(path_in):
        write_bytes(path_in(target), path_in(source).read_bytes())

    copy(lambda run: run.arrays_path(key))
    copy(lambda run: run.labels_path(key.stage, key.labels, key.seed))
    copy(lambda run: run.weights_path(key))
    for events in source.tensorboard_path(key).glob("events*"):
        copy(lambda run, name=events.name: run.tensorboard_path(key) / name)
    # The result last: its presence marks a finished stage.
    for name in ("metrics.jsonl", "result.json"):
        copy(lambda run, name=name: run.stage_path(key) / name)
