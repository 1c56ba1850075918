"""VGG16 for small images, as Maennel et al. cut it down: Figures 1, 7 and 8."""

from collections.abc import Sequence

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

BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))  # filters, convolutions


def vgg16(
    input_shape: tuple[int, ...] = (32, 32, 3),
    classes: int = 10,
    weights: str | None = None,
    width: float = 1.0,
    last_width: float = 1.0,
    dense_units: Sequence[int] = (),
    batch_normalization: str = "none",
    init_scale: float = 1.0,
    dropout: float = 0.0,
    seed: int = 0,
    name: str = "vgg16",
) -> keras.Model:
    """Builds the thirteen convolutions of VGG16, flatten and one linear head; returns logits.

    Five blocks of 3x3 convolutions with ReLU, each closed by a 2x2 max pooling.
    Of the original, the average pooling and the last two dense layers are left
    out. With the defaults it has 14,719,818 parameters.

    Args:
        input_shape: `(height, width, channels)`; any size, since all layers pad.
        classes: units of the last layer, `head`.
        weights: `None` for a random start, or the path of a weights file.
        width: factor on the filters of all convolutions, rounded, at least 1
            filter. At 0.25 two CPU cores train it.
        last_width: further factor on the last layers, those of Figure 8: the
            three convolutions `block5_...` and the dense layers.
        dense_units: units of dense layers with ReLU before the head, `dense1` and
            so on, before `last_width`. The network of the paper has none.
        batch_normalization: `"none"`, `"local"` or `"synchronized"`, see
            `layers.normalize_relu`; it stands before each ReLU. The paper has none.
        init_scale: see `ScaledHeNormal`.
        dropout: share of values dropped after each dense layer or, without any,
            before the head, see `layers.drop`.
        seed: root seed; each layer derives its own by name.
        name: name of the model.

    Returns:
        A functional `keras.Model` from images to logits `(batch, classes)`.

    Raises:
        ValueError: if the inputs are no images.

    Reference:
        Maennel et al., "What Do Neural Networks Learn When Trained With Random
        Labels?", NeurIPS 2020, Figures 1, 7 and 8; Simonyan and Zisserman, "Very
        Deep Convolutional Networks for Large-Scale Image Recognition", ICLR 2015,
        configuration D.

    Example:
        >>> model = vgg16(width=0.25)
        >>> model.get_layer("block5_conv3").filters, model.count_params()
        (128, 922074)
    """
    init = kernel_initializers(init_scale, seed)
    inputs = image_input(input_shape)
    x = inputs
    for block, (filters, convolutions) in enumerate(BLOCKS, start=1):
        factor = width * last_width if block == len(BLOCKS) else width
        for number in range(1, convolutions + 1):
            conv = f"block{block}_conv{number}"
            filters_here = scaled(filters, factor)
            x = conv_relu(x, filters_here, 3, conv, init, batch_normalization, padding="same")
        x = keras.layers.MaxPooling2D(2, padding="same", name=f"block{block}_pool")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    for number, units in enumerate(dense_units, start=1):
        x = dense_relu(x, scaled(units, last_width), f"dense{number}", init, batch_normalization)
        x = drop(x, dropout, f"dense{number}", seed)
    if not dense_units:
        x = drop(x, dropout, "flatten", seed)
    return functional_model(inputs, logits(x, classes, init), name, weights)
