"""The settings of a run, as TensorBoard shows them."""

from rl_keras.callbacks import TensorBoardWriter
from rl_keras.cli import format_value, to_flagfile
from rl_keras.config import ExperimentConfig, to_values
from rl_keras.storage import RunDirectory, StageKey

_METRICS = ("final/train_accuracy", "final/test_accuracy", "train_probe/accuracy")
_SHOWN = ("dataset", "model", "init_scale", "upstream_labels")


def write_run_header(writer: TensorBoardWriter, key: StageKey, config: ExperimentConfig) -> None:
    """Writes the settings as text, and what tells this run from the others as HParams."""
    flags = to_flagfile(config).splitlines()
    writer.text(0, "settings", "\n".join(f"    {line}" for line in flags))
    values = to_values(config)
    hparams = {
        "stage": key.stage,
        "labels": key.labels,
        "start": key.start or "fresh",
        "seed": key.seed,
        **{name: format_value(values[name]) for name in _SHOWN},
    }
    writer.hparams(hparams, session=key.name)


def write_experiment_header(directory: RunDirectory) -> None:
    """Says once for the whole run which columns the HParams table has."""
    writer = TensorBoardWriter(directory.tensorboard_root)
    writer.clear()
    writer.hparams_columns(("labels", "stage", "start", "seed", *_SHOWN), _METRICS)
    writer.close()
