"""The two-layer network of Theorem 1 of Zhang et al. as a Keras model of 2n + d parameters."""

import keras
import numpy as np
from numpy.typing import ArrayLike

from rl_keras.models.layers import functional_model


@keras.saving.register_keras_serializable(package="rl_keras")
class Hinges(keras.layers.Layer):
    """Turns a number x into the hidden units `max(x - b_j, 0)`; the thresholds b are learnt.

    A dense layer with ReLU would have as many kernel entries besides.

    Args:
        units: how many.
        **settings: other arguments of `keras.layers.Layer`, such as `name`.

    Example:
        >>> Hinges(2)(keras.ops.ones((3, 1))).shape
        TensorShape([3, 2])
    """

    def __init__(self, units, **settings):
        super().__init__(**settings)
        self.units = units

    def build(self, input_shape):
        self.thresholds = self.add_weight(
            shape=(self.units,), initializer="zeros", name="thresholds"
        )

    def call(self, x):
        return keras.ops.relu(x - self.thresholds)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.units)

    def get_config(self):
        return {**super().get_config(), "units": self.units}


def finite_sample_network(
    direction: ArrayLike,
    thresholds: ArrayLike,
    weights: ArrayLike,
    dtype: str = "float64",
    name: str = "finite_sample_network",
) -> keras.Model:
    """Builds `c(x) = sum_j w_j max(<a, x> - b_j, 0)` with given weights.

    Args:
        direction: a, array `(d,)`; the kernel of the layer `direction`.
        thresholds: b, array `(n,)`, of the layer `hinges`.
        weights: w, array `(n,)`; the kernel of the layer `head`.
        dtype: of weights and arithmetic. Large weights of both signs cancel, so that
            `"float32"` fits only few points.
        name: name of the model.

    Returns:
        A functional `keras.Model` from points `(batch, d)` to outputs `(batch, 1)`, with
        2n + d parameters. Call it: `predict` casts points to `keras.config.floatx()`.

    Raises:
        ValueError: if these are not vectors, or not as many weights as thresholds.

    Reference:
        Zhang et al., "Understanding deep learning requires rethinking generalization",
        ICLR 2017, arXiv 1611.03530, Theorem 1; `science.finite_sample.fit_any_labels`
        computes the weights.

    Example:
        >>> model = finite_sample_network([1.0, 2.0], [-1.0, 0.0, 1.0], [1.0, 0.5, -3.0])
        >>> model.count_params()
        8
    """
    direction, thresholds, weights = (np.asarray(a) for a in (direction, thresholds, weights))
    if direction.ndim != 1 or thresholds.ndim != 1 or weights.shape != thresholds.shape:
        raise ValueError(
            "`direction`, `thresholds` and `weights` must have the shapes (d,), (n,) and (n,). "
            f"Received: {direction.shape}, {thresholds.shape} and {weights.shape}"
        )
    inputs = keras.Input(direction.shape, name="input", dtype=dtype)
    settings = {"use_bias": False, "dtype": dtype}
    x = keras.layers.Dense(1, name="direction", **settings)(inputs)
    x = Hinges(len(thresholds), name="hinges", dtype=dtype)(x)
    model = functional_model(inputs, keras.layers.Dense(1, name="head", **settings)(x), name)
    model.set_weights([direction[:, None], thresholds, weights[:, None]])
    return model
