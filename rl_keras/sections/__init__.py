"""The sections of an experiment's settings, with defaults, help texts and choices.

They are put together in `config`, from where the rest of the project takes them.
"""

from rl_keras.sections.data import INPUT_CORRUPTIONS, SCALINGS, DataConfig
from rl_keras.sections.measure import MeasureConfig
from rl_keras.sections.model import ModelConfig
from rl_keras.sections.run import FIGURES, RunConfig
from rl_keras.sections.stage import (
    AUGMENTATIONS,
    CORRUPTION_KINDS,
    LABEL_MAPS,
    OPTIMIZERS,
    StageConfig,
)
from rl_keras.sections.transfer import FIRST_LAYER_STARTS, STARTS, TransferConfig, split_arm

__all__ = [
    "AUGMENTATIONS",
    "CORRUPTION_KINDS",
    "FIGURES",
    "FIRST_LAYER_STARTS",
    "INPUT_CORRUPTIONS",
    "LABEL_MAPS",
    "OPTIMIZERS",
    "SCALINGS",
    "STARTS",
    "DataConfig",
    "MeasureConfig",
    "ModelConfig",
    "RunConfig",
    "StageConfig",
    "TransferConfig",
    "split_arm",
]
