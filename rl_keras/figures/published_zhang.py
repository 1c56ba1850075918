"""Tables 1 and 4 of Zhang et al., ICLR 2017, in per cent, and the row of them a setting is."""

from dataclasses import dataclass

from rl_keras.config import ExperimentConfig


@dataclass(frozen=True, order=True)
class Setting:
    """What a row of the tables is about.

    Attributes:
        network: as the paper calls it.
        labels: `"true"` or `"random"`.
        augmentation: `"none"`, `"crop"` (random crops) or `"full"` (flips and turns as well).
        weight_decay: whether there is any.
    """

    network: str
    labels: str
    augmentation: str
    weight_decay: bool


@dataclass(frozen=True)
class Published:
    """Printed accuracies, in per cent.

    Attributes:
        train: on the given labels; NaN for a network that failed to converge.
        test: on the true ones; `None` where the paper has no number.
    """

    train: float
    test: float | None = None


def setting_of(config: ExperimentConfig) -> Setting | None:
    """Returns the setting of an upstream stage, `None` if the tables have none of its kind.

    Other networks than the paper's have one, under the name of their builder.
    """
    labels, network = config.upstream.labels[0], _network(config.model)
    if labels not in ("true", "random") or config.data.input_corruption != "none":
        return None
    has_decay = config.upstream.weight_decay > 0
    return Setting(network, labels, config.upstream.augmentation, has_decay)


def _network(model):
    if model.model == "small_inception":
        bare = model.batch_normalization == "none"
        return "Inception w/o BatchNorm" if bare else "Inception"
    if model.model == "mlp" and len(set(model.widths)) == 1:
        return f"MLP {len(model.widths)}x{model.widths[0]}"
    return {"small_alexnet": "AlexNet"}.get(model.model, model.model)


def _rows(network, labels, *rows):
    """Rows of augmentation, weight decay, train and test accuracy."""
    return {Setting(network, labels, *row[:2]): Published(*row[2:]) for row in rows}


_NAN = float("nan")
TABLES = {
    **_rows(
        "Inception",
        "true",
        ("crop", True, 100.0, 89.05),
        ("crop", False, 100.0, 89.31),
        ("none", True, 100.0, 86.03),
        ("none", False, 100.0, 85.75),
    ),
    **_rows(
        "Inception",
        "random",
        ("none", False, 100.0, 9.78),
        ("none", True, 100.0),
        ("crop", False, 99.93),
        ("full", False, 99.28),
    ),
    **_rows(
        "Inception w/o BatchNorm",
        "true",
        ("none", True, 100.0, 83.00),
        ("none", False, 100.0, 82.00),
    ),
    **_rows("Inception w/o BatchNorm", "random", ("none", False, 100.0, 10.12)),
    **_rows(
        "AlexNet",
        "true",
        ("crop", True, 99.90, 81.22),
        ("crop", False, 99.82, 79.66),
        ("none", True, 100.0, 77.36),
        ("none", False, 100.0, 76.07),
    ),
    **_rows("AlexNet", "random", ("none", False, 99.82, 9.86), ("none", True, _NAN)),
    **_rows("MLP 3x512", "true", ("none", True, 100.0, 53.35), ("none", False, 100.0, 52.39)),
    **_rows("MLP 3x512", "random", ("none", False, 100.0, 10.48), ("none", True, 100.0)),
    **_rows("MLP 1x512", "true", ("none", True, 99.80, 50.39), ("none", False, 100.0, 50.51)),
    **_rows("MLP 1x512", "random", ("none", False, 99.34, 10.61), ("none", True, 99.21)),
}
