"""A training stage: examples, labels, optimiser."""

from dataclasses import dataclass

from rl_keras.settings.setting import NO_REPETITION, NOT_EMPTY, Rule, setting

OPTIMIZERS = ("sgd", "adam")
LABEL_MAPS = ("true", "random", "partial", "permuted")
CORRUPTION_KINDS = ("redraw", "flip")
LOSSES = ("cross_entropy", "squared_error")
AUGMENTATIONS = ("none", "crop", "full")
RISING = Rule(
    "be rising fractions between 0 and 1",
    lambda fractions: list(fractions) == sorted(set(fractions)),
)


@dataclass(frozen=True)
class StageConfig:
    """One training stage: examples, labels, optimiser."""

    split: str = setting("train", "TFDS slice to train on.")
    labels: tuple[str, ...] = setting(
        ("random",), "Label map.", choices=LABEL_MAPS, rules=(NOT_EMPTY, NO_REPETITION)
    )
    num_random_classes: int = setting(10, "Classes of the label map random.", at_least=2)
    corruption: float = setting(
        0.0, "Label map partial: probability of corruption.", at_least=0, at_most=1
    )
    corruption_kind: str = setting(
        "redraw",
        "Label map partial: redraw over all classes (Zhang et al.), or flip to another class.",
        choices=CORRUPTION_KINDS,
    )
    head_units: int = setting(0, "Units of the last layer. 0: one for each class.", at_least=0)
    loss: str = setting(
        "cross_entropy",
        "Loss: cross_entropy, or squared_error (half the squared distance to the one-hot label).",
        choices=LOSSES,
    )
    epochs: int = setting(10, "Passes over the slice.", at_least=1)
    batch_size: int = setting(256, "Examples in a step, over all devices together.", at_least=1)
    optimizer: str = setting(
        "sgd",
        "Optimiser. adam scales every entry of a filter by itself, so the axes of the input are "
        "special to it; to sgd no direction is.",
        choices=OPTIMIZERS,
    )
    learning_rate: float = setting(0.01, "Learning rate of the optimiser.", above=0)
    learning_rate_drops: tuple[float, ...] = setting(
        (),
        "Fractions of the stage at which the learning rate drops, such as 0.33,0.67.",
        above=0,
        below=1,
        rules=(RISING,),
    )
    learning_rate_drop_factor: float = setting(
        3.0, "What the learning rate is divided by at each drop.", above=0
    )
    learning_rate_decay: float = setting(
        1.0, "What the learning rate is multiplied by after each epoch.", above=0, at_most=1
    )
    momentum: float = setting(0.9, "Momentum of sgd, or beta_1 of adam.", at_least=0, below=1)
    weight_decay: float = setting(
        0.0,
        "Each step takes learning rate times this off every weight, biases too, apart from the "
        "gradient. sgd with momentum m and a penalty of l/2 times the squared norm shrinks weights "
        "like a weight decay of l / (1 - m). 0: none.",
        at_least=0,
    )
    augmentation: str = setting(
        "none",
        "Fresh changes of the training images in every epoch: crop (a random square of --crop_size "
        "instead of the central one), full (also mirrored half of the time and turned by up to 25 "
        "degrees). Whatever is measured sees the central square.",
        choices=AUGMENTATIONS,
    )
    steps_per_execution: int = setting(
        1, "Steps that Keras runs between two callbacks.", at_least=1
    )
