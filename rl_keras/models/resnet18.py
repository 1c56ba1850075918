"""ResNet-18 with pre-activation, the ResNet18-v2 of Maennel et al.'s larger experiments."""

import keras

from rl_keras.models.layers import (
    functional_model,
    image_input,
    kernel_initializers,
    logits,
    scaled,
)
from rl_keras.models.residual import conv, residual_stages


def resnet18(
    input_shape: tuple[int, ...] = (32, 32, 3),
    classes: int = 10,
    weights: str | None = None,
    stem: str = "imagenet",
    width: float = 1.0,
    batch_normalization: str = "synchronized",
    init_scale: float = 1.0,
    seed: int = 0,
    name: str = "resnet18",
) -> keras.Model:
    """Builds a stem, four stages of two pre-activation units, pooling and head; returns logits.

    With the defaults it has 11,187,658 parameters, with `stem="cifar"` 11,179,978;
    7,808 of them are moving statistics, which are not trained. No convolution has
    a bias.

    Args:
        input_shape: `(height, width, channels)`; any size, since all layers pad.
        classes: units of the last layer, `head`.
        weights: `None` for a random start, or the path of a weights file.
        stem: `"imagenet"`, a 7x7 convolution of stride 2 and a 3x3 max pooling of
            stride 2, or `"cifar"`, a 3x3 convolution of stride 1 for small images.
        width: factor on the filters of all convolutions, rounded, at least 1.
        batch_normalization: `"synchronized"` or `"local"`, see
            `layers.normalize_relu`.
        init_scale: see `ScaledHeNormal`.
        seed: root seed; each layer derives its own by name.
        name: name of the model.

    Returns:
        A functional `keras.Model` from images to logits `(batch, classes)`. Among
        its layers `stageS_unit1_shortcut` of the stages 2, 3 and 4 stands after
        `stageS_unit1_conv2`.

    Raises:
        ValueError: for another stem or kind of normalisation, or inputs that are no images.

    Reference:
        He et al., "Identity Mappings in Deep Residual Networks", ECCV 2016; used by
        Maennel et al., "What Do Neural Networks Learn When Trained With Random
        Labels?", NeurIPS 2020.

    Example:
        >>> [layer.name for layer in resnet18(stem="cifar").layers][:3]
        ['image', 'stem', 'stage1_unit1_conv1_bn']
    """
    if stem not in ("imagenet", "cifar"):
        raise ValueError(f"`stem` must be 'imagenet' or 'cifar'. Received: stem={stem!r}")
    init = kernel_initializers(init_scale, seed)
    filters = [scaled(number, width) for number in (64, 128, 256, 512)]
    inputs = image_input(input_shape)
    if stem == "imagenet":
        x = conv(inputs, filters[0], 7, "stem", init, strides=2)
        x = keras.layers.MaxPooling2D(3, 2, padding="same", name="stem_pool")(x)
    else:
        x = conv(inputs, filters[0], 3, "stem", init)
    stages = [(number, 2, 1 if stage == 0 else 2) for stage, number in enumerate(filters)]
    x = residual_stages(x, stages, init, batch_normalization)
    return functional_model(inputs, logits(x, classes, init), name, weights)
