"""Model builders in the manner of `keras.applications`, and their choice by settings.

A model is one file and one line: `NAME.py` with a function `NAME` that returns a `keras.Model`,
and the settings that it takes in `settings.model.MODELS`. `--model=NAME` and
`from rl_keras.models import NAME` follow from that.
"""

import importlib
import re
from collections.abc import Collection

import keras

from rl_keras.errors import UsageError
from rl_keras.models.finite_sample import finite_sample_network
from rl_keras.models.initializers import ScaledHeNormal
from rl_keras.models.layers import NotAnImageError
from rl_keras.models.local_response import LocalResponseNormalization
from rl_keras.models.weight_files import load_weights
from rl_keras.settings.model import MODELS, OF_EVERY_MODEL, ModelConfig

BUILDERS = {
    name: getattr(importlib.import_module(f"rl_keras.models.{name}"), name) for name in MODELS
}
globals().update(BUILDERS)  # so that `from rl_keras.models import mlp` is the function, no module

__all__ = [
    *BUILDERS,
    "BUILDERS",
    "LocalResponseNormalization",
    "ScaledHeNormal",
    "build_model",
    "finite_sample_network",
    "load_weights",
]


def build_model(
    config: ModelConfig, input_shape: tuple[int, ...], classes: int, seed: int
) -> keras.Model:
    """Builds the configured model with fresh weights.

    Args:
        config: names the builder and its settings. A setting at `"auto"` is left to the
            builder's default.
        input_shape: shape of one example.
        classes: units of the head.
        seed: root of the layers' seeds; the same seed gives the same weights.

    Raises:
        UsageError: if the builder refuses inputs of this shape, or one of its settings.

    Example:
        >>> build_model(ModelConfig(model="mlp", widths=(5,)), (3,), classes=2, seed=0).name
        'mlp'
    """
    taken = (*OF_EVERY_MODEL, *MODELS[config.model])
    values = {name: getattr(config, name) for name in taken}
    settings = {name: value for name, value in values.items() if value != "auto"}
    try:
        return BUILDERS[config.model](
            input_shape=input_shape, classes=classes, seed=seed, **settings
        )
    except NotAnImageError:
        raise UsageError(
            f"--model={config.model} takes images; use --model=mlp for vectors. "
            f"Received: inputs of shape {tuple(input_shape)}"
        ) from None
    except ValueError as error:
        if not str(error).startswith("`"):  # not about an argument
            raise
        text = with_flags(str(error), taken)
        where = "" if text.startswith("--") else f"--model={config.model}: "
        raise UsageError(where + text) from error


def with_flags(message: str, settings: Collection[str]) -> str:
    """Returns the error message of a builder with flags in place of its arguments.

    Args:
        message: names arguments between backticks, as errors of Keras do, and may give their
            values: `padding` or `padding='valid'`.
        settings: the arguments that are flags too.

    Example:
        >>> with_flags("`units` must be positive. Received: units=0", ["units"])
        '--units must be positive. Received: 0'
    """

    def flag(match):
        name, value = match.groups()
        if name not in settings:
            return match[0]
        return f"--{name}={value}" if value else f"--{name}"

    message = re.sub(r"`(\w+)(?:='?([^'`]*)'?)?`", flag, message)
    return re.sub(r"Received: \w+=", "Received: ", message)
