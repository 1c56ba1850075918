"""What TensorBoard shows of a run besides its measurements: settings, and histograms of weights."""

import keras
import numpy as np

from rl_keras.callbacks.writers import TensorBoardWriter
from rl_keras.settings.command_line import format_value, to_flagfile
from rl_keras.settings.experiment import ExperimentConfig, to_values
from rl_keras.storage.run_folder import RunDirectory, StageKey

_METRICS = ("final/train_accuracy", "final/test_accuracy", "train_probe/accuracy")
_SHOWN = ("dataset", "model", "init_scale", "upstream_labels")


def write_settings(writer: TensorBoardWriter, key: StageKey, config: ExperimentConfig) -> None:
    """Writes the settings as text, and those that tell this run from the others as HParams."""
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


def write_hparams_columns(directory: RunDirectory) -> None:
    """Writes once for the whole run which columns the HParams table has."""
    writer = TensorBoardWriter(directory.tensorboard_root)
    writer.clear()
    writer.hparams_columns(("labels", "stage", "start", "seed", *_SHOWN), _METRICS)
    writer.close()


class WeightHistograms(keras.callbacks.Callback):
    """Writes a histogram of every trainable variable before the first step and after the last.

    The tag is the variable's path, so layers never share one.
    """

    def __init__(self, writer: TensorBoardWriter):
        super().__init__()
        self.writer = writer

    def on_train_begin(self, logs=None):
        self._write()

    def on_train_end(self, logs=None):
        self._write()

    def _write(self):
        step = int(self.model.optimizer.iterations.numpy())
        for variable in self.model.trainable_variables:
            self.writer.histogram(step, variable.path, np.asarray(variable.numpy()))
