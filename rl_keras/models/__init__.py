"""Model builders in the manner of `keras.applications`, and their choice by settings."""

import keras

from rl_keras.errors import UsageError
from rl_keras.models.cnn3 import cnn3
from rl_keras.models.finite_sample import finite_sample_network
from rl_keras.models.initializers import ScaledHeNormal
from rl_keras.models.linear import linear
from rl_keras.models.local_response import LocalResponseNormalization
from rl_keras.models.mlp import mlp
from rl_keras.models.resnet18 import resnet18
from rl_keras.models.simple_cnn import simple_cnn
from rl_keras.models.small_alexnet import small_alexnet
from rl_keras.models.small_inception import small_inception
from rl_keras.models.vgg16 import vgg16
from rl_keras.models.weight_files import load_weights
from rl_keras.models.wide_resnet import wide_resnet
from rl_keras.settings.model import MODELS, ModelConfig

__all__ = [
    "BUILDERS",
    "LocalResponseNormalization",
    "ScaledHeNormal",
    "build_model",
    "cnn3",
    "finite_sample_network",
    "linear",
    "load_weights",
    "mlp",
    "resnet18",
    "simple_cnn",
    "small_alexnet",
    "small_inception",
    "vgg16",
    "wide_resnet",
]
BUILDERS = {
    "simple_cnn": simple_cnn,
    "mlp": mlp,
    "cnn3": cnn3,
    "vgg16": vgg16,
    "resnet18": resnet18,
    "wide_resnet": wide_resnet,
    "small_inception": small_inception,
    "small_alexnet": small_alexnet,
    "linear": linear,
}


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
    settings = {name: getattr(config, name) for name in MODELS[config.model]}
    if config.batch_normalization != "auto":
        settings["batch_normalization"] = config.batch_normalization
    if config.model != "mlp" and (config.model != "linear" or config.random_filters):
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
    height, width = input_shape[:2]
    convolutions = {"simple_cnn": 1, "cnn3": 3}.get(config.model, 0)  # the others always pad
    if config.padding == "same":
        convolutions = 0
    for number in range(1, convolutions + 1):
        if config.kernel_size > min(height, width):
            what = "image" if number == 1 else f"input of layer 'conv{number}'"
            raise UsageError(
                f"--kernel_size must not exceed the {what}, {height}x{width}, with "
                f"--padding=valid. Received: {config.kernel_size}"
            )
        # A convolution without padding, then a 2x2 pooling that pads.
        height, width = ((side - config.kernel_size + 2) // 2 for side in (height, width))
