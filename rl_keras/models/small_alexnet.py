"""The small AlexNet of Zhang et al., for 28x28 crops of CIFAR-10."""

import keras

from rl_keras.models.layers import (
    conv_relu,
    dense_relu,
    drop,
    functional_model,
    image_input,
    kernel_initializers,
    logits,
    scaled,
)
from rl_keras.models.local_response import LocalResponseNormalization


def small_alexnet(
    input_shape: tuple[int, ...] = (28, 28, 3),
    classes: int = 10,
    weights: str | None = None,
    width: float = 1.0,
    batch_normalization: str = "none",
    init_scale: float = 1.0,
    dropout: float = 0.0,
    seed: int = 0,
    name: str = "small_alexnet",
) -> keras.Model:
    """Builds two convolutional modules, two dense layers with ReLU and a head; returns logits.

    A module is a 5x5 convolution with ReLU, a 3x3 max pooling of stride 2 and local
    response normalisation. With the defaults it has 1,387,786 parameters, as published.

    Read, in descriptions by others: the two modules, the order in them, the kernels, and
    the units 384 and 192 of the dense layers. Inferred: 64 filters and padding everywhere
    (28, 14, 7), since the published count leaves no other choice; the constants of the
    normalisation, which are those of TensorFlow's CIFAR-10 tutorial with the same layers.

    Args:
        input_shape: `(height, width, channels)`; any size, since all layers pad.
        classes: units of the last layer, `head`.
        weights: `None` for a random start, or the path of a weights file.
        width: factor on all filters and units but the head's, rounded, at least 1.
        batch_normalization: `"none"`, `"local"` or `"synchronized"`, see
            `layers.normalize_relu`; it stands before each ReLU. The paper has none.
        init_scale: see `ScaledHeNormal`.
        dropout: share of values dropped after both dense layers, see `layers.drop`.
        seed: root seed; each layer derives its own by name.
        name: name of the model.

    Returns:
        A functional `keras.Model` from images to logits `(batch, classes)`.

    Raises:
        ValueError: if the inputs are no images.

    Reference:
        Zhang et al., "Understanding deep learning requires rethinking generalization",
        ICLR 2017, arXiv 1611.03530, Appendix A and Table 1.

    Example:
        >>> [layer.name for layer in small_alexnet().layers][:4]
        ['image', 'conv1', 'pool1', 'norm1']
    """
    init = kernel_initializers(init_scale, seed)
    inputs = image_input(input_shape)
    x = inputs
    for number in (1, 2):
        conv = f"conv{number}"
        x = conv_relu(x, scaled(64, width), 5, conv, init, batch_normalization, padding="same")
        x = keras.layers.MaxPooling2D(3, 2, padding="same", name=f"pool{number}")(x)
        x = LocalResponseNormalization(name=f"norm{number}")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    for number, units in enumerate((384, 192), start=1):
        x = dense_relu(x, scaled(units, width), f"dense{number}", init, batch_normalization)
        x = drop(x, dropout, f"dense{number}", seed)
    return functional_model(inputs, logits(x, classes, init), name, weights)
