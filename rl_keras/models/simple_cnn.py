"""The small convolutional network of Maennel et al., Figures 2, 4 and 5."""

import keras

from rl_keras.models.layers import (
    conv_relu,
    dense_relu,
    drop,
    functional_model,
    image_input,
    kernel_initializers,
    logits,
)


def simple_cnn(
    input_shape: tuple[int, ...] = (32, 32, 3),
    classes: int = 10,
    weights: str | None = None,
    filters: int = 256,
    kernel_size: int = 3,
    padding: str = "valid",
    units: int = 64,
    batch_normalization: str = "none",
    init_scale: float = 1.0,
    dropout: float = 0.0,
    seed: int = 0,
    name: str = "simple_cnn",
) -> keras.Model:
    """Builds convolution, ReLU, flatten, dense, ReLU, dense; returns logits.

    With the defaults it has 14,753,482 parameters.

    Args:
        input_shape: `(height, width, channels)`.
        classes: units of the last layer, `head`.
        weights: `None` for a random start, or the path of a weights file.
        filters: filters of the layer `conv1`.
        kernel_size: side of the square kernel of `conv1`.
        padding: `"valid"` or `"same"`; the paper does not say which it used.
        units: units of the layer `dense1`.
        batch_normalization: `"none"`, `"local"` or `"synchronized"`, see
            `layers.normalize_relu`; it stands before each ReLU. The paper has none.
        init_scale: see `ScaledHeNormal`.
        dropout: share of values dropped after the dense layer, see `layers.drop`.
        seed: root seed; each layer derives its own by name.
        name: name of the model.

    Returns:
        A functional `keras.Model` from images to logits `(batch, classes)`.

    Raises:
        ValueError: if the inputs are no images, or smaller than a kernel without padding.

    Reference:
        Maennel et al., "What Do Neural Networks Learn When Trained With Random
        Labels?", NeurIPS 2020, captions of Figures 2 and 4.

    Example:
        >>> [layer.name for layer in simple_cnn().layers]
        ['image', 'conv1', 'flatten', 'dense1', 'head']
    """
    init = kernel_initializers(init_scale, seed)
    inputs = image_input(input_shape)
    x = conv_relu(inputs, filters, kernel_size, "conv1", init, batch_normalization, padding=padding)
    x = keras.layers.Flatten(name="flatten")(x)
    x = dense_relu(x, units, "dense1", init, batch_normalization)
    x = drop(x, dropout, "dense1", seed)
    return functional_model(inputs, logits(x, classes, init), name, weights)
