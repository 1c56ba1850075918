"""Upstream stages that several runs have in common are trained once and copied."""

from collections.abc import Iterable

from rl_keras.config import ExperimentConfig, all_settings, to_values
from rl_keras.files import write_bytes
from rl_keras.storage import FREE_SETTINGS, RunDirectory, StageKey

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
    # The result last: its presence marks a finished stage.
    for path in (
        source.arrays_path(key),
        source.labels_path(key.stage, key.labels, key.seed),
        *source.tensorboard_path(key).glob("*"),
        source.weights_path(key),
        source.stage_path(key) / "metrics.jsonl",
        source.stage_path(key) / "result.json",
    ):
        below = path.relative_to(source.path)
        write_bytes(target.path / below, path.read_bytes())
