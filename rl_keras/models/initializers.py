"""He initialisation times a scale, the `init_scale` of Maennel et al."""

import keras


@keras.saving.register_keras_serializable(package="rl_keras")
class ScaledHeNormal(keras.initializers.VarianceScaling):
    """Draws kernels from N(0, s^2) with `s = scale * sqrt(2 / fan_in)`.

    The normal is not truncated, so the filters of a fresh layer are exactly
    Gaussian and the sampling floor of the misalignment holds for them.

    Args:
        scale: positive factor on He's standard deviation. The paper calls it
            init_scale and gives no values; `scale=0.5**0.5` is LeCun's
            initialisation, `s = 1 / sqrt(fan_in)`.
        seed: integer seed. The same seed and shape give the same kernel.

    Example:
        >>> ScaledHeNormal(scale=0.5, seed=1).get_config()
        {'scale': 0.5, 'seed': 1}
    """

    def __init__(self, scale: float = 1.0, seed: int | None = None):
        if scale <= 0:
            raise ValueError(f"`scale` must be positive. Received: scale={scale}")
        super().__init__(
            scale=2.0 * scale**2, mode="fan_in", distribution="untruncated_normal", seed=seed
        )
        self.init_scale = scale
        self.init_seed = seed

    def get_config(self):
        return {"scale": self.init_scale, "seed": self.init_seed}
