"""What is measured along the way."""

from dataclasses import dataclass

from rl_keras.sections.setting import setting


@dataclass(frozen=True)
class MeasureConfig:
    """What is measured along the way, and when (in optimiser steps)."""

    alignment_layers: tuple[str, ...] = setting(
        (), "Layers whose alignment is measured. Empty: the first; none: no layer."
    )
    measure_schedule: str = setting(
        "linear",
        "Steps of alignment, activations and test accuracy.",
        ("linear", "logarithmic"),
    )
    measure_every: int = setting(20, "Linear schedule: steps between measurements.", minimum=1)
    measure_points: int = setting(20, "Logarithmic schedule: number of measurements.", minimum=2)
    probe_every: int = setting(20, "Steps between two readings of train accuracy.", minimum=1)
    probe_examples: int = setting(
        512, "Examples of each fixed probe set (train and test).", minimum=1
    )
    moment_examples: int = setting(
        10_000, "Examples from which the data covariance is computed, at most.", minimum=2
    )
    few_filters: bool = setting(
        False,
        "Follow layers that have no more filters than input dimensions too. Their misalignment is "
        "undefined in a single run; the filters are kept, to be pooled over seeds.",
    )
    keep_filters: bool = setting(
        False,
        "Keep the filters of these layers at every measurement, to be pooled over seeds along the "
        "way: 4 bytes an entry, in the arrays and in the saved states.",
    )
    random_bases: int = setting(20, "Random orthonormal bases to compare with.", minimum=1)
