"""Which measurements a stage carries, and the arrays and the summary they leave.

To add one, write a subclass of `callbacks.measurement.Measurement` with `of_stage` and, if it
stores more than its records, `arrays`; enter it in `MEASUREMENTS`; and declare the setting that
asks for it in `settings.measure`.
"""

from collections.abc import Sequence

import numpy as np

from rl_keras.callbacks import (
    ActivationTracker,
    CovarianceAlignment,
    FeatureAlignmentTracker,
    IntervalLoss,
    MemorisationTracker,
    ProbeAccuracy,
)
from rl_keras.callbacks.measurement import Measurement, StageView
from rl_keras.callbacks.minimum_norm import MinimumNormTracker
from rl_keras.callbacks.representations import RepresentationSampler
from rl_keras.science.summaries import area_under_curve, first_step_reaching

# In the order of the lines of a step in `metrics.jsonl`, and of the records in checkpoints.
MEASUREMENTS: tuple[type[Measurement], ...] = (
    IntervalLoss,
    ProbeAccuracy,
    CovarianceAlignment,
    ActivationTracker,
    MemorisationTracker,
    FeatureAlignmentTracker,
    MinimumNormTracker,
    RepresentationSampler,
)
_FIRST_ARRAYS = (CovarianceAlignment, ActivationTracker)  # first in arrays/STAGE.npz
THRESHOLDS = (50, 80, 90, 95)  # per cent


def measurements_of(view: StageView) -> list[Measurement]:
    """Returns the measurements of a stage, in the order of `MEASUREMENTS`."""
    measurements = [one for kind in MEASUREMENTS for one in kind.of_stage(view)]
    for measurement in measurements:
        measurement.must_succeed = True
    return measurements


def recorded_arrays(measurements: Sequence[Measurement]) -> dict[str, np.ndarray]:
    """Returns everything that was recorded, by the names and in the order of `arrays/*.npz`."""
    ordered = sorted(measurements, key=lambda one: not isinstance(one, _FIRST_ARRAYS))
    return {
        f"{one.array_prefix}/{name}": array
        for one in ordered
        for name, array in one.arrays().items()
    }


def accuracy_summary(measurements: Sequence[Measurement]) -> dict[str, float | int | None]:
    """Returns best accuracies, steps to fixed accuracies, and the area under the train curve."""
    probes = {one.name: one.records for one in measurements if isinstance(one, ProbeAccuracy)}
    train, test = probes["train_probe"], probes["test_probe"]
    steps, accuracy = train["step"], train["accuracy"]
    reached = {
        f"steps_to_{percent}": first_step_reaching(steps, accuracy, percent / 100)
        for percent in THRESHOLDS
    }
    return {
        "best_train_accuracy": float(accuracy.max()),
        "best_test_accuracy": float(test["accuracy"].max()),
        **reached,
        "area_under_train_curve": float(area_under_curve(steps, accuracy)),
    }
