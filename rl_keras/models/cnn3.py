"""A network of three convolutions, for transferring more and more layers: Figure 6."""

from collections.abc import Sequence

import keras

from rl_keras.models.layers import (
    conv_relu,
    dense_relu,
    functional_model,
    image_input,
    kernel_initializers,
    logits,
)


def cnn3(
    input_shape: tuple[int, ...] = (32, 32, 3),
    classes: int = 10,
    weights: str | None = None,
    conv_filters: Sequence[int] = (64, 128, 256),
    kernel_size: int = 3,
    padding: str = "valid",
    dense_units: Sequence[int] = (),
    batch_normalization: str = "none",
    init_scale: float = 1.0,
    seed: int = 0,
    name: str = "cnn3",
) -> keras.Model:
    """Builds three times convolution, ReLU and 2x2 max pooling, then flatten and head.

    Returns logits. With the defaults it has 393,866 parameters. The paper is
    known to use a network of three convolutions; its widths are not known to us
    and the defaults are ours.

    Args:
        input_shape: `(height, width, channels)`.
        classes: units of the last layer, `head`.
        weights: `None` for a random start, or the path of a weights file.
        conv_filters: filters of the layers `conv1`, `conv2` and `conv3`.
        kernel_size: side of the square kernels.
        padding: `"valid"` or `"same"`, of the convolutions. The poolings pad, so
            that no pixel is lost and small images fit.
        dense_units: units of dense layers with ReLU before the head, `dense1` and
            so on.
        batch_normalization: `"none"`, `"local"` or `"synchronized"`, see
            `layers.normalize_relu`; it stands before each ReLU.
        init_scale: see `ScaledHeNormal`.
        seed: root seed; each layer derives its own by name.
        name: name of the model.

    Returns:
        A functional `keras.Model` from images to logits `(batch, classes)`.

    Raises:
        ValueError: if `conv_filters` are not three, if the inputs are no images, or if a
            convolution without padding has a kernel larger than its input.

    Reference:
        Maennel et al., "What Do Neural Networks Learn When Trained With Random
        Labels?", NeurIPS 2020, Figure 6.

    Example:
        >>> [layer.name for layer in cnn3().layers][:5]
        ['image', 'conv1', 'pool1', 'conv2', 'pool2']
    """
    if len(conv_filters) != 3:
        raise ValueError(
            f"`conv_filters` must be three numbers. Received: conv_filters={conv_filters}"
        )
    init = kernel_initializers(init_scale, seed)
    inputs = image_input(input_shape)
    x = inputs
    for number, filters in enumerate(conv_filters, start=1):
        conv = f"conv{number}"
        x = conv_relu(x, filters, kernel_size, conv, init, batch_normalization, padding=padding)
        x = keras.layers.MaxPooling2D(2, padding="same", name=f"pool{number}")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    for number, units in enumerate(dense_units, start=1):
        x = dense_relu(x, units, f"dense{number}", init, batch_normalization)
    return functional_model(inputs, logits(x, classes, init), name, weights)
