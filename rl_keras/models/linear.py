"""A linear model from zero, on pixels or on random convolutional features."""

import keras

from rl_keras.models.layers import conv_relu, functional_model, image_input, kernel_initializers


def linear(
    input_shape: tuple[int, ...] = (32, 32, 3),
    classes: int = 10,
    weights: str | None = None,
    random_filters: int = 0,
    kernel_size: int = 3,
    init_scale: float = 1.0,
    seed: int = 0,
    name: str = "linear",
) -> keras.Model:
    """Builds one dense layer without biases that starts at zero; returns its outputs.

    Gradient descent from zero stays in the span of the examples, and so, where it fits
    every label, ends at the weights of least norm that do. With `random_filters` its
    inputs are the outputs of a convolution that is never trained, after a ReLU averaged
    over each quarter of the image.

    Args:
        input_shape: `(height, width, channels)`, or `(d,)` without random filters.
        classes: units of the only trained layer, `head`.
        weights: `None` for zeros, or the path of a weights file.
        random_filters: filters of the fixed layer `conv1`; 0 for none. The features are
            four times as many.
        kernel_size: side of its square kernel.
        init_scale: of its kernel, see `ScaledHeNormal`.
        seed: root seed of its kernel.
        name: name of the model.

    Returns:
        A functional `keras.Model` from inputs to `(batch, classes)`.

    Raises:
        ValueError: with random filters, if the inputs are no images or smaller than a kernel.

    Reference:
        Zhang et al., "Understanding deep learning requires rethinking generalization",
        ICLR 2017, arXiv 1611.03530, Section 5 and Table 3.

    Example:
        >>> linear().count_params()  # 32 * 32 * 3 * 10
        30720
        >>> tuple(linear(random_filters=8).get_layer("head").kernel.shape)
        (32, 10)
    """
    takes_images = random_filters > 0
    inputs = image_input(input_shape) if takes_images else keras.Input(input_shape, name="image")
    x = inputs
    if takes_images:
        init = kernel_initializers(init_scale, seed)
        x = conv_relu(x, random_filters, kernel_size, "conv1", init, trainable=False)
        sides = [-(-side // 2) for side in x.shape[1:3]]
        x = keras.layers.AveragePooling2D(sides, padding="same", name="quarters")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    head = keras.layers.Dense(classes, use_bias=False, kernel_initializer="zeros", name="head")
    return functional_model(inputs, head(x), name, weights)
