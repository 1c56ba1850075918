"""The small Inception of Zhang et al., for 28x28 crops of CIFAR-10."""

import keras

from rl_keras.models.layers import (
    conv_relu,
    drop,
    functional_model,
    image_input,
    kernel_initializers,
    logits,
    scaled,
)

# Filters of the 1x1 and the 3x3 convolutions of each module; each stage but the last ends with a
# downsampling module, of which the filters of its 3x3 convolution are given.
STAGES = (
    (((32, 32), (32, 48)), 80),
    (((112, 48), (96, 64), (80, 80), (48, 96)), 96),
    (((176, 160), (176, 160)), None),
)


def small_inception(
    input_shape: tuple[int, ...] = (28, 28, 3),
    classes: int = 10,
    weights: str | None = None,
    width: float = 1.0,
    batch_normalization: str = "synchronized",
    init_scale: float = 1.0,
    dropout: float = 0.0,
    seed: int = 0,
    name: str = "small_inception",
) -> keras.Model:
    """Builds a stem, three stages of Inception modules, average pooling and head; returns logits.

    The stem is a 3x3 convolution of 96 filters. A module joins a 1x1 and a 3x3
    convolution, a downsampling module a 3x3 convolution of stride 2 and a 3x3 max pooling
    of stride 2. With and without batch normalisation it has 1,649,402 trained parameters,
    as published; with it another 3,424 moving statistics, which are not trained.

    Read, in descriptions by others: the modules and their filters, and normalisation and
    ReLU after each convolution.
    Inferred: that the normalisation learns a shift but no scale, TF-slim's default, since
    one vector for each convolution gives the published count and the same one to both
    networks (the next convolution can take over a scale); padding, since the last pooling
    is over 7x7.

    Args:
        input_shape: `(height, width, channels)`; any size, since all layers pad.
        classes: units of the last layer, `head`.
        weights: `None` for a random start, or the path of a weights file.
        width: factor on the filters of all convolutions, rounded, at least 1. The paper
            has 1 only.
        batch_normalization: `"synchronized"` or `"local"`, see `layers.normalize_relu`, or
            `"none"`, the paper's network without it, whose convolutions have biases.
        init_scale: see `ScaledHeNormal`.
        dropout: share of values dropped before the head, see `layers.drop`.
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
        >>> names = [layer.name for layer in small_inception(batch_normalization="none").layers]
        >>> names[:4]
        ['image', 'stem', 'stage1_module1_conv1x1', 'stage1_module1_conv3x3']
    """
    init = kernel_initializers(init_scale, seed)

    def conv(x, filters, side, layer, strides=1):
        settings = {"strides": strides, "padding": "same", "scale": False}
        return conv_relu(
            x, scaled(filters, width), side, layer, init, batch_normalization, **settings
        )

    inputs = image_input(input_shape)
    x = conv(inputs, 96, 3, "stem")
    for stage, (modules, down) in enumerate(STAGES, start=1):
        for number, (ones, threes) in enumerate(modules, start=1):
            module = f"stage{stage}_module{number}"
            parts = [conv(x, ones, 1, f"{module}_conv1x1"), conv(x, threes, 3, f"{module}_conv3x3")]
            x = keras.layers.Concatenate(name=f"{module}_concat")(parts)
        if down is not None:
            module = f"stage{stage}_down"
            pool = keras.layers.MaxPooling2D(3, 2, padding="same", name=f"{module}_pool")
            parts = [conv(x, down, 3, f"{module}_conv3x3", strides=2), pool(x)]
            x = keras.layers.Concatenate(name=f"{module}_concat")(parts)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    x = drop(x, dropout, "pool", seed)
    return functional_model(inputs, logits(x, classes, init), name, weights)
