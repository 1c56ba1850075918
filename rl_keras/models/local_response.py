"""The layer of local response normalisation that `small_alexnet` needs; Keras has none."""

import keras


@keras.saving.register_keras_serializable(package="rl_keras")
class LocalResponseNormalization(keras.layers.Layer):
    """Divides each channel by the activity of its neighbours at the same position.

    `y_c = x_c / (bias + alpha * s_c) ** beta`, where `s_c` is the sum of the squares of
    the channels `c - depth_radius` to `c + depth_radius`, fewer at the ends. It has no
    weights. The defaults are those of TensorFlow's CIFAR-10 tutorial.

    Args:
        depth_radius: channels to each side.
        bias: positive, so that nothing is divided by zero.
        alpha: factor on the sum, at least 0.
        beta: the exponent.
        **settings: other arguments of `keras.layers.Layer`, such as `name`.

    Raises:
        ValueError: for a radius or alpha below 0, or a bias that is not positive.

    Reference:
        Krizhevsky et al., "ImageNet Classification with Deep Convolutional Neural
        Networks", NeurIPS 2012, Section 3.3; `tf.nn.local_response_normalization` has the
        same formula.

    Example:
        >>> layer = LocalResponseNormalization(depth_radius=1, alpha=1.0, beta=1.0)
        >>> layer(keras.ops.ones((1, 1, 1, 7)))[0, 0, 0, 3].numpy()  # 1 / (1 + 3)
        np.float32(0.25)
    """

    def __init__(self, depth_radius=4, bias=1.0, alpha=0.001 / 9, beta=0.75, **settings):
        super().__init__(**settings)
        if depth_radius < 0 or bias <= 0 or alpha < 0:
            raise ValueError(
                "`depth_radius` and `alpha` must be at least 0 and `bias` positive. "
                f"Received: depth_radius={depth_radius}, alpha={alpha}, bias={bias}"
            )
        self.depth_radius = depth_radius
        self.bias = bias
        self.alpha = alpha
        self.beta = beta

    def call(self, x):
        radius, channels = self.depth_radius, x.shape[-1]
        squares = keras.ops.pad(
            keras.ops.square(x), [(0, 0)] * (len(x.shape) - 1) + [(radius, radius)]
        )
        # Shifted slices are exact; a product with a band matrix would be rounded to short
        # formats on a TPU.
        sums = sum(squares[..., shift : shift + channels] for shift in range(2 * radius + 1))
        return x / keras.ops.power(self.bias + self.alpha * sums, self.beta)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        settings = {"depth_radius": self.depth_radius, "bias": self.bias}
        return {**super().get_config(), **settings, "alpha": self.alpha, "beta": self.beta}
