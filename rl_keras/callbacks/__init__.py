"""Callbacks for `model.fit` that measure any built Keras model and never change it."""

from rl_keras.callbacks.accuracy import IntervalLoss, ProbeAccuracy
from rl_keras.callbacks.activations import ActivationTracker
from rl_keras.callbacks.alignment import CovarianceAlignment
from rl_keras.callbacks.feature_alignment import FeatureAlignmentTracker
from rl_keras.callbacks.inputs import SharedInputs
from rl_keras.callbacks.measurement import Schedule, every, logarithmic
from rl_keras.callbacks.memorisation import MemorisationTracker
from rl_keras.callbacks.writers import MetricLog, TensorBoardWriter

__all__ = [
    "ActivationTracker",
    "CovarianceAlignment",
    "FeatureAlignmentTracker",
    "IntervalLoss",
    "MemorisationTracker",
    "MetricLog",
    "ProbeAccuracy",
    "Schedule",
    "SharedInputs",
    "TensorBoardWriter",
    "every",
    "logarithmic",
]
