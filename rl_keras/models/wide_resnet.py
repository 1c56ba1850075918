"""Wide residual networks, the WRN-28-4 of Maennel et al., Figure 3."""

import keras

from rl_keras.models.layers import functional_model, image_input, kernel_initializers, logits
from rl_keras.models.residual import conv, residual_stages


def wide_resnet(
    input_shape: tuple[int, ...] = (32, 32, 3),
    classes: int = 10,
    weights: str | None = None,
    depth: int = 28,
    widen: int = 4,
    stem_filters: int = 16,
    stem_kernel_size: int = 3,
    batch_normalization: str = "synchronized",
    init_scale: float = 1.0,
    seed: int = 0,
    name: str = "wide_resnet",
) -> keras.Model:
    """Builds a stem, three stages of pre-activation units, pooling and head; returns logits.

    With the defaults, WRN-28-4, it has 5,856,250 parameters; 7,200 of them are
    moving statistics, which are not trained. No convolution has a bias, and there
    is no dropout.

    Args:
        input_shape: `(height, width, channels)`; any size, since all layers pad.
        classes: units of the last layer, `head`.
        weights: `None` for a random start, or the path of a weights file.
        depth: 6 n + 4 for n units of two convolutions in each stage.
        widen: factor on the filters of the stages, which are 16, 32 and 64.
        stem_filters: filters of the first layer, `stem`, which `widen` leaves alone.
        stem_kernel_size: side of the square kernel of `stem`: 3 as published, 5 in
            Figure 3, where the filters are to be looked at.
        batch_normalization: `"synchronized"` or `"local"`, see
            `layers.normalize_relu`.
        init_scale: see `ScaledHeNormal`.
        seed: root seed; each layer derives its own by name.
        name: name of the model.

    Returns:
        A functional `keras.Model` from images to logits `(batch, classes)`. Among
        its layers `stageS_unit1_shortcut` stands after `stageS_unit1_conv2`.

    Raises:
        ValueError: if the depth is not 6 n + 4, or for another kind of
            normalisation, or inputs that are no images.

    Reference:
        Zagoruyko and Komodakis, "Wide Residual Networks", BMVC 2016; Maennel et
        al., "What Do Neural Networks Learn When Trained With Random Labels?",
        NeurIPS 2020, Figure 3.

    Example:
        >>> wide_resnet(stem_kernel_size=5).get_layer("stem").kernel_size
        (5, 5)
    """
    if depth < 10 or depth % 6 != 4:
        raise ValueError(f"`depth` must be 6 n + 4, such as 10, 16 or 28. Received: depth={depth}")
    init = kernel_initializers(init_scale, seed)
    units = (depth - 4) // 6
    inputs = image_input(input_shape)
    x = conv(inputs, stem_filters, stem_kernel_size, "stem", init)
    stages = [(16 * widen, units, 1), (32 * widen, units, 2), (64 * widen, units, 2)]
    x = residual_stages(x, stages, init, batch_normalization)
    return functional_model(inputs, logits(x, classes, init), name, weights)
