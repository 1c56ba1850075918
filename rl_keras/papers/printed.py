"""What the papers print: curves read off Maennel et al., and tables of Zhang et al.

Curves were read by eye from the printed figures of Maennel et al., NeurIPS 2020, arXiv
2006.10455, so that a point is a range: low and high. Figure 4 left and Figure 20 middle are
the same curves; the caption of the former says two layers of 256, the table beside the latter
2048 and 256 units. The network of two layers of 256 is Figure 20 right. Tables 1 and 4 of Zhang
et al., ICLR 2017, are in per cent.
"""

from dataclasses import dataclass

import numpy as np

from rl_keras.settings.experiment import ExperimentConfig


@dataclass(frozen=True)
class PrintedCurve:
    """A transfer function of the paper.

    Attributes:
        source: figure and panel.
        points: `(k, 3)`: position on the horizontal axis, lowest and highest f. The position
            is the standard deviation of the input in the synthetic panels, and the eigenvalue
            of the data covariance in those of CIFAR-10.
        baseline: f at the smallest eigenvalues, which training does not change, where the
            scale of the initial weights is not known; else `None`.
    """

    source: str
    points: tuple[tuple[float, float, float], ...]
    baseline: float | None = None


_FIG_20_LEFT = PrintedCurve(
    "Figure 20, left",
    (
        (1.0, 0.381, 0.381),
        (1.2, 0.365, 0.365),
        (1.4, 0.350, 0.350),
        (1.6, 0.335, 0.335),
        (1.8, 0.321, 0.321),
        (1.9, 0.313, 0.319),
    ),
)


_FIG_20_MIDDLE = PrintedCurve(
    "Figure 20, middle",
    (
        (0.1, 0.184, 0.184),
        (0.5, 0.197, 0.197),
        (1.1, 0.2065, 0.208),  # the peak, near 1.0 to 1.2
        (1.5, 0.203, 0.203),
        (2.0, 0.191, 0.191),
        (2.5, 0.176, 0.176),
        (3.0, 0.163, 0.163),
    ),
)


_FIG_20_RIGHT = PrintedCurve(
    "Figure 20, right",
    (
        (0.1, 0.183, 0.183),
        (0.5, 0.203, 0.203),
        (1.0, 0.226, 0.226),
        (1.5, 0.239, 0.239),
        (2.0, 0.249, 0.249),
        (2.5, 0.253, 0.253),
        (3.0, 0.254, 0.254),
    ),
)


# Epoch 40. Eigenvalues of CIFAR-10 stand where the paper's crowded markers leave a range.
_FIG_4_CENTRE = PrintedCurve(
    "Figure 4, centre, epoch 40",
    (
        (0.02, 0.008, 0.008),
        (0.06, 0.024, 0.040),  # markers from 0.05 to 0.07
        (0.19, 0.038, 0.044),
        (0.23, 0.045, 0.054),
        (0.27, 0.095, 0.105),
        (0.37, 0.028, 0.032),
        (1.1, 0.042, 0.047),
        (1.4, 0.036, 0.039),
        (1.8, 0.0135, 0.0135),
        (21.0, 0.0025, 0.0025),
    ),
    baseline=0.0018,
)


_FIG_4_RIGHT = PrintedCurve(
    "Figure 4, right, epoch 40",
    (
        (0.06, 0.003, 0.005),  # markers from 0.05 to 0.07
        (0.19, 0.008, 0.0125),
        (0.23, 0.007, 0.008),
        (0.27, 0.011, 0.013),
        (0.37, 0.0095, 0.0105),
        (1.1, 0.0228, 0.0238),
        (1.4, 0.020, 0.021),
        (1.8, 0.0077, 0.0077),
        (21.0, 0.0016, 0.0016),
    ),
    baseline=0.0018,
)


_RISING = tuple(np.linspace(0.1, 3.0, 30))
# Read as standard deviations, as in the paper's Definition 3: with these numbers as variances
# none of the learning rates 0.05, 0.1 and 0.2 gave the middle panel; as standard deviations
# 0.025 does (seed 0).
_SYNTHETIC = (  # standard deviations of the inputs, widths of the network, panel
    (tuple(np.linspace(1.0, 1.9, 10)), (2048, 256), _FIG_20_LEFT),
    (_RISING, (2048, 256), _FIG_20_MIDDLE),
    (_RISING, (256, 256), _FIG_20_RIGHT),
)


_CIFAR = {"random": _FIG_4_CENTRE, "true": _FIG_4_RIGHT}  # by labels upstream


def printed_curve(config: ExperimentConfig) -> PrintedCurve | None:
    """Returns the transfer function that the paper shows for these inputs, network and labels.

    Sizes, durations and learning rates may differ; the paper does not tell all of them.

    Example:
        >>> printed_curve(ExperimentConfig()) is None
        True
    """
    data, model, labels = config.data, config.model, config.upstream.labels[0]
    if data.is_synthetic and (model.model, labels) == ("mlp", "random"):
        sigma = np.sqrt(np.sort(data.input_variances))
        for deviations, widths, panel in _SYNTHETIC:
            is_same = len(sigma) == len(deviations) and np.allclose(sigma, deviations)
            if is_same and model.widths == widths:
                return panel
    if (data.dataset, data.scaling, model.model) == ("cifar10", "standardize", "simple_cnn"):
        return _CIFAR.get(labels) if model.kernel_size == 3 else None
    return None


@dataclass(frozen=True, order=True)
class TableRow:
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
class PrintedAccuracy:
    """Printed accuracies, in per cent.

    Attributes:
        train: on the given labels; NaN for a network that failed to converge.
        test: on the true ones; `None` where the paper has no number.
    """

    train: float
    test: float | None = None


def table_row(config: ExperimentConfig) -> TableRow | None:
    """Returns the setting of an upstream stage, `None` if the tables have none of its kind.

    Other networks than the paper's have one, under the name of their builder.
    """
    labels, network = config.upstream.labels[0], _network(config.model)
    if labels not in ("true", "random") or config.data.input_corruption != "none":
        return None
    has_decay = config.upstream.weight_decay > 0
    return TableRow(network, labels, config.upstream.augmentation, has_decay)


def _network(model):
    if model.model == "small_inception":
        bare = model.batch_normalization == "none"
        return "Inception w/o BatchNorm" if bare else "Inception"
    if model.model == "mlp" and len(set(model.widths)) == 1:
        return f"MLP {len(model.widths)}x{model.widths[0]}"
    return {"small_alexnet": "AlexNet"}.get(model.model, model.model)


def _rows(network, labels, *rows):
    """Rows of augmentation, weight decay, train and test accuracy."""
    return {TableRow(network, labels, *row[:2]): PrintedAccuracy(*row[2:]) for row in rows}


_NAN = float("nan")  # failed to converge
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
