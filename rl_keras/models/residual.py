"""What the residual networks share: stages of pre-activation units of two convolutions."""

import keras

from rl_keras.models.layers import normalize_relu


def conv(x, filters, kernel_size, layer, init, strides=1):
    """Applies a padded convolution without a bias, which the next normalisation would undo."""
    return keras.layers.Conv2D(
        filters,
        kernel_size,
        strides,
        padding="same",
        use_bias=False,
        kernel_initializer=init(layer),
        name=layer,
    )(x)


def residual_stages(x, stages, init, batch_normalization):
    """Applies stages of units, the last normalisation and ReLU, and average pooling.

    The units of stage s are `stageS_unitU`. Each normalisation is named after the
    convolution that it stands before: `stage1_unit1_conv1_bn`,
    `stage1_unit1_conv1_relu`, `stage1_unit1_conv1`. The last are `final_bn` and
    `final_relu`.

    Args:
        x: output of the stem.
        stages: for each stage its filters, its units, and the stride of its first
            unit.
        init: from `layers.kernel_initializers`.
        batch_normalization: `"local"` or `"synchronized"`.
    """
    for stage, (filters, units, strides) in enumerate(stages, start=1):
        for number in range(1, units + 1):
            unit = f"stage{stage}_unit{number}"
            x = _unit(x, filters, strides if number == 1 else 1, unit, init, batch_normalization)
    x = normalize_relu(x, "final", batch_normalization)
    return keras.layers.GlobalAveragePooling2D(name="pool")(x)


def _unit(x, filters, strides, unit, init, batch_normalization):
    """Adds two convolutions to their input, which a 1x1 convolution fits if sizes change."""
    shortcut = x
    x = normalize_relu(x, f"{unit}_conv1", batch_normalization)
    if strides != 1 or shortcut.shape[-1] != filters:
        shortcut = conv(x, filters, 1, f"{unit}_shortcut", init, strides)
    x = conv(x, filters, 3, f"{unit}_conv1", init, strides)
    x = normalize_relu(x, f"{unit}_conv2", batch_normalization)
    x = conv(x, filters, 3, f"{unit}_conv2", init)
    # In this order Keras lists the shortcut after the unit's second convolution.
    return keras.layers.Add(name=f"{unit}_add")([x, shortcut])
