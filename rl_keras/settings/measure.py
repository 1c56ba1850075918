"""What is measured along the way."""

from dataclasses import dataclass

from rl_keras.settings.setting import alone, setting


@dataclass(frozen=True)
class MeasureConfig:
    """What is measured along the way, and when (in optimiser steps)."""

    alignment_layers: tuple[str, ...] = setting(
        (),
        "Layers whose alignment is measured. Empty: the first; none: no layer.",
        rules=(alone("none"),),
    )
    measure_schedule: str = setting(
        "linear",
        "Steps of alignment, activations and test accuracy.",
        choices=("linear", "logarithmic"),
    )
    measure_every: int = setting(20, "Linear schedule: steps between measurements.", at_least=1)
    measure_points: int = setting(20, "Logarithmic schedule: number of measurements.", at_least=2)
    probe_every: int = setting(20, "Steps between two readings of train accuracy.", at_least=1)
    probe_examples: int = setting(
        512, "Examples of each fixed probe set (train and test).", at_least=1
    )
    moment_examples: int = setting(
        10_000, "Examples from which the data covariance is computed, at most.", at_least=2
    )
    few_filters: bool = setting(
        False,
        "Also follow layers with no more filters than input dimensions. Their misalignment is "
        "undefined in a single run; the filters are kept, to be pooled over seeds.",
    )
    keep_filters: bool = setting(
        False,
        "Keep the filters of these layers at every measurement, to be pooled over seeds along the "
        "way: 4 bytes an entry, in the arrays and in the saved states.",
    )
    random_bases: int = setting(20, "Random orthonormal bases to compare with.", at_least=1)
    null_draws: int = setting(
        100,
        "Random flips of the filters along the axes of the data at each measurement: the band in "
        "which aligned filters lie, and a p-value. 0: none. 100 stands for none in layers with "
        "more than 100 input dimensions, where it takes seconds; any other number is drawn.",
        at_least=0,
    )
    group_eigenvalues: bool = setting(
        False,
        "Take eigenvalues of the data that differ by no more than their sampling error for one, "
        "with one eigenspace. Examples are taken for independent of each other.",
    )
    ledger: bool = setting(
        False,
        "Keep the predicted class of each example of the train probe at every reading of its "
        "accuracy: when it was fitted, how often forgotten, and by which label. 4 bytes an example "
        "and reading.",
    )
    feature_alignment: bool = setting(
        False,
        "Compare the filters of --alignment_layers with the average gradient outer product of the "
        "outputs at every measurement; keeps these filters too.",
    )
    keep_representations: int = setting(
        0,
        "Keep the outputs of each hidden layer, when a stage ends, on so many of the first test "
        "examples at most (of a convolution at one random position of each): 4 bytes an example "
        "and unit. 0: none.",
        at_least=0,
    )
    minimum_norm: bool = setting(
        False,
        "For --model=linear: work out the weights of least norm that fit all labels, and follow "
        "the distance to them; 8 bytes times the square of the number of examples.",
    )
