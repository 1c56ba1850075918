"""Model builders in the manner of `keras.applications`, and their choice by settings."""

import keras

from rl_keras.checks import MODEL_SETTINGS
from rl_keras.config import ModelConfig
from rl_keras.errors import UsageError
from rl_keras.models.initializers import ScaledHeNormal
from rl_keras.models.mlp import mlp
from rl_keras.models.simple_cnn import simple_cnn

__all__ = ["BUILDERS", "ScaledHeNormal", "build_model", "mlp", "simple_cnn"]

BUILDERS = {"simple_cnn": simple_cnn, "mlp": mlp}


def build_model(
    config: ModelConfig, input_shape: tuple[int, ...], classes: int, seed: int
) -> keras.Model:
    """Builds the configured model with fresh weights.

    Args:
        config: names the builder and its settings.
        input_shape: shape of one example.
        classes: units of the head.
        seed: root of the layers' seeds; the same seed gives the same weights.

    Raises:
        UsageError: if the model cannot take inputs of this shape.
    """
    settings = {name: getattr(config, name) for name in MODEL_SETTINGS[config.model]}
    if config.model == "simple_cnn":
        _check_image(config, input_shape)
    return BUILDERS[config.model](
        input_shape=input_shape,
        classes=classes,
        init_scale=config.init_scale,
        seed=seed,
        **settings,
    )


def _check_image(config, input_shape):
    if len(input_shape) != 3:
        raise UsageError(
            f"--model={config.model} takes images; use --model=mlp for vectors. "
            f"Received: inputs of shape {tuple(input_shape)}"
        )
    if config.padding == "valid" and config.kernel_size > min(input_shape[:2]):
        raise UsageError(
            f"--kernel_size must not exceed the image, {input_shape[0]}x{input_shape[1]}. "
            f"Received: {config.kernel_size}"
        )
