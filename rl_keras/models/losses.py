"""Losses of a training stage, by the names of `--upstream_loss` and `--downstream_loss`."""

import keras
from keras import ops


class OneHotSquaredError(keras.losses.Loss):
    """Half the squared distance of the outputs `(batch, classes)` to the one-hot labels.

    Its minimiser in a linear model is least squares.

    Example:
        >>> float(OneHotSquaredError()(np.array([1]), np.array([[1.0, 0.0]])))
        1.0
    """

    def call(self, y_true, y_pred):
        targets = ops.one_hot(ops.reshape(y_true, [-1]), y_pred.shape[-1], dtype=y_pred.dtype)
        return ops.sum(ops.square(y_pred - targets), axis=-1) / 2


def make_loss(name: str) -> keras.losses.Loss:
    """Returns the loss of this name; labels are integers `(batch,)`.

    Example:
        >>> type(make_loss("squared_error")).__name__
        'OneHotSquaredError'
    """
    if name == "squared_error":
        return OneHotSquaredError()
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)
