"""What the builders share: the input, and a linear layer, its batch normalisation and its ReLU.

Without normalisation a unit is one layer, `conv1`, with its ReLU inside. With it
the unit is three: `conv1` without a bias, which the normalisation would take away
again, then `conv1_bn` and `conv1_relu`.
"""

from collections.abc import Callable

import keras

from rl_keras.models.initializers import ScaledHeNormal
from rl_keras.models.weight_files import load_weights
from rl_keras.seeds import derive_seed

# Those of the published ResNets. At the 0.99 of Keras the moving statistics would lag a hundred
# steps behind, and every probe in inference mode with them.
MOMENTUM, EPSILON = 0.9, 1e-5


class NotAnImageError(ValueError):
    """A model for images was to be built for inputs of another shape."""


def image_input(input_shape: tuple[int, ...]):
    """Returns the input layer `image` of a model for images.

    Args:
        input_shape: `(height, width, channels)`.

    Raises:
        NotAnImageError: a `ValueError`, for a shape without three sizes.
    """
    if len(input_shape) != 3:
        raise NotAnImageError(
            "`input_shape` must be (height, width, channels). "
            f"Received: input_shape={tuple(input_shape)}"
        )
    return keras.Input(input_shape, name="image")


def kernel_initializers(init_scale: float, seed: int) -> Callable[[str], ScaledHeNormal]:
    """Returns the function from a layer's name to the initializer of its kernel.

    Every layer derives its seed by its name, so that it keeps its kernel when
    other layers come or go.

    Example:
        >>> kernel_initializers(0.5, seed=0)("conv1").init_scale
        0.5
    """

    def init(layer):
        return ScaledHeNormal(init_scale, seed=derive_seed(seed, "initial_weights", layer))

    return init


def conv_relu(
    x, filters, kernel_size, layer, init, batch_normalization="none", scale=True, **settings
):
    """Applies convolution, normalisation if wanted, and ReLU.

    Args:
        x: images `(batch, height, width, channels)`.
        filters: number of filters.
        kernel_size: side of the square kernel.
        layer: name of the convolution.
        init: from `kernel_initializers`.
        batch_normalization: see `normalize_relu`, or `"none"`.
        scale: see `normalize_relu`.
        **settings: other arguments of `Conv2D`, such as `padding`.

    Raises:
        ValueError: if the kernel is larger than what it is applied to, and nothing is padded.
    """
    height, width = x.shape[1:3]
    if settings.get("padding") != "same" and kernel_size > min(height, width):
        what = "image" if x.name == "image" else f"input of layer {layer!r}"
        raise ValueError(
            f"`kernel_size` must not exceed the {what}, {height}x{width}, with "
            f"`padding='valid'`. Received: kernel_size={kernel_size}"
        )
    settings = {"filters": filters, "kernel_size": kernel_size, **settings}
    return _unit(keras.layers.Conv2D, settings, x, layer, init, batch_normalization, scale)


def dense_relu(x, units, layer, init, batch_normalization="none"):
    """Applies a dense layer, normalisation if wanted, and ReLU, as `conv_relu` does."""
    return _unit(keras.layers.Dense, {"units": units}, x, layer, init, batch_normalization)


def _unit(kind, settings, x, layer, init, batch_normalization, scale=True):
    settings = {**settings, "kernel_initializer": init(layer), "name": layer}
    if batch_normalization == "none":
        return kind(activation="relu", **settings)(x)
    x = kind(use_bias=False, **settings)(x)
    return normalize_relu(x, layer, batch_normalization, scale)


def normalize_relu(x, layer, batch_normalization, scale=True):
    """Applies the normalisation `LAYER_bn` and the ReLU `LAYER_relu`.

    Args:
        x: what to normalise, over all axes but the last.
        layer: name of the convolution or dense layer that they belong to.
        batch_normalization: `"local"`, where each device normalises its part of
            the batch alone, or `"synchronized"`, where all devices together do,
            so that their number changes nothing but rounding.
        scale: learn a scale (gamma) besides the shift (beta)?

    Raises:
        ValueError: for another kind.
    """
    if batch_normalization not in ("local", "synchronized"):
        raise ValueError(
            "`batch_normalization` must be 'local' or 'synchronized', or 'none' in networks "
            f"without shortcuts. Received: batch_normalization={batch_normalization!r}"
        )
    x = keras.layers.BatchNormalization(
        momentum=MOMENTUM,
        epsilon=EPSILON,
        scale=scale,
        synchronized=batch_normalization == "synchronized",
        name=f"{layer}_bn",
    )(x)
    return keras.layers.ReLU(name=f"{layer}_relu")(x)


def drop(x, rate: float, layer: str, seed: int):
    """Drops a share of the values while training, by the layer `LAYER_dropout`; none at rate 0.

    Its seed is a function of the root seed and its name, its counter a variable of the
    model. Replicas count alike, so the first example of each has the same units dropped.

    Args:
        x: any tensor.
        rate: share dropped, at least 0 and below 1; the others grow to keep the mean.
        layer: name of the layer that they come from.
        seed: root seed.
    """
    if not rate:
        return x
    seed = derive_seed(seed, "dropout", f"{layer}_dropout")
    return keras.layers.Dropout(rate, seed=seed, name=f"{layer}_dropout")(x)


def logits(x, classes, init):
    """Applies the last layer, `head`."""
    return keras.layers.Dense(classes, kernel_initializer=init("head"), name="head")(x)


def scaled(number: int, factor: float) -> int:
    """Returns a number of filters or units times a factor, at least 1.

    Example:
        >>> scaled(64, 0.25), scaled(64, 0.001)
        (16, 1)
    """
    return max(1, round(number * factor))


def functional_model(inputs, outputs, name, weights=None) -> keras.Model:
    """Returns the functional model, with its weights from a file if one is given."""
    model = keras.Model(inputs, outputs, name=name)
    if weights is not None:
        load_weights(model, weights)
    return model
