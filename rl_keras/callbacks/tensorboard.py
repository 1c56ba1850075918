"""Weights in TensorBoard."""

import keras
import numpy as np

from rl_keras.callbacks.writers import TensorBoardWriter


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
