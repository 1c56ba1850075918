"""Panels that several figures have: each function draws some curves into one pair of axes."""

import math
from collections.abc import Iterable, Sequence

import numpy as np
from matplotlib.axes import Axes

from rl_keras.figures.plotting import style
from rl_keras.results.curves import Curve
from rl_keras.science.activity import RARE
from rl_keras.settings.transfer import split_arm

TEST_NOTE = "thin, hollow: test probe"
LOWEST_ACTIVITY = 1e-3  # end of the axis of activity
_WIDE_RANGE = 20  # the axis of misalignment is logarithmic above this ratio of largest to smallest
_BASES = {  # short names first, for the columns of the legend
    "data_basis": (style.LAST, "basis of the data", style.MIN_SEEDS),
    "floor": (style.REFERENCE, "sampling floor", 1),
    "random_basis": (style.MIDDLE, "random bases (± 1 sd)", 1),
}
_NULL = "aligned filters (sign flips), 95%"


def title(what: str, labels: str, variant: str = "") -> str:
    """Returns the title of a panel: what is drawn or, of several variants, which; and the labels.

    Args:
        what: is drawn, such as "Training downstream".
        labels: kind of labels.
        variant: its name. One that is named like its labels need not be told.

    Example:
        >>> title("Training", "true"), title("Training", "true", "wide")
        ('Training, true labels', 'wide: true labels')
    """
    text = style.LABELS[labels]
    return f"{what}, {text}" if variant in ("", labels) else f"{variant}: {text}"


def accuracy(ax: Axes, curves: Iterable[Curve], test: bool = True, legend: bool = True) -> None:
    """Draws accuracy against steps: a band for each start, the test probe as a thin line.

    Args:
        ax: the panel.
        curves: those of `quantities.accuracy`, for one kind of labels; others are left out.
        test: whether to draw the test probe.
        legend: whether to draw one.
    """
    curves = [curve for curve in curves if curve.panel == "accuracy"]
    if not curves:
        return style.empty(ax, "no stage is finished")
    for curve in curves:
        if curve.quantity == "train_probe":
            style.band(ax, curve, _look(curve.start), _look(curve.start).label)
        elif curve.quantity == "test_probe" and test:
            style.thin(ax, curve, _look(curve.start))
        elif curve.quantity == "chance":
            style.level(ax, curve.mean[0], "chance")
    name = "accuracy" if test else "train accuracy"
    ax.set(xlabel="optimiser steps", ylabel=f"{name} (fraction of the probe set)", ylim=(0, 1.02))
    if legend:
        style.legend(ax, columns=2, note=TEST_NOTE if test else "")


def steps_to(
    ax: Axes, curves: Iterable[Curve], percent: int, arms: Sequence[str] | None = None
) -> None:
    """Draws a row for each arm: a hollow point for each seed, the mean with its interval under it.

    Args:
        ax: the panel.
        curves: those of `quantities.steps_to`; others are left out.
        percent: the train accuracy.
        arms: the rows; those of the curves by default.
    """
    by_arm = {curve.start: curve for curve in curves if curve.panel == f"steps_to_{percent}"}
    ax.set_title(f"Steps to {percent}% train accuracy")
    if not by_arm:
        return style.empty(ax, "no stage is finished")
    arms = list(by_arm if arms is None else arms)
    for row, arm in enumerate(arms):
        if arm in by_arm:
            seeds_row(ax, row, by_arm[arm], _look(arm))
    ax.set_yticks(range(len(arms)), [_look(arm).label for arm in arms])
    ax.set(ylim=(len(arms) - 0.4, -0.6), xlabel="optimiser steps (hollow: one seed)")


def seeds_row(ax: Axes, row: int, curve: Curve, look: style.Look, spread: float = 0.35) -> None:
    """Draws a number in a row: hollow points for the seeds, under them the mean with its interval.

    Where some seeds are infinite there is no mean; how many are not is written beside the panel.

    Args:
        ax: the panel.
        row: height of the row; the next is 1 below it.
        curve: of one point.
        look: colour and marker.
        spread: height up to which the points of the seeds are spread.
    """
    values = curve.values[:, 0]
    reached = values[np.isfinite(values)]
    point = {"color": look.color, "marker": look.marker, "linestyle": ""}
    ax.plot(reached, row - np.linspace(0.1, spread, len(reached)), **point, **style.HOLLOW)
    if len(reached) < len(values):
        return style.side_note(ax, row, f"{len(reached)} of {len(values)}")
    ax.plot(curve.mean, [row + 0.25], **point)
    if len(values) >= style.MIN_SEEDS:
        ax.hlines(row + 0.25, curve.low, curve.high, color=look.color, linewidth=1.2)


def misalignment(
    ax: Axes,
    curves: Iterable[Curve],
    logarithmic_steps: bool = False,
    others: Iterable[Curve] = (),
) -> None:
    """Draws misalignment with the data against steps, and what it must be compared with.

    Args:
        ax: the panel.
        curves: those of `quantities.misalignment`; its p-values are left out.
        logarithmic_steps: whether the steps are.
        others: curves of other panels, which are to have the same kind of axis.
    """
    curves = [curve for curve in curves if not math.isnan(curve.x[0])]
    others = [curve for curve in others if not math.isnan(curve.x[0])]
    if not curves:
        return style.empty(ax, "alignment: not measured")
    values = np.concatenate([curve.mean for curve in (*curves, *others)])
    is_wide = values.min() > 0 and values.max() > _WIDE_RANGE * values.min()
    minimum = 0.7 * values.min() if is_wide else -math.inf
    by_name = {curve.quantity.rpartition("/")[2]: curve for curve in curves}
    for name, (look, text, min_seeds) in _BASES.items():
        if name in by_name:
            style.band(ax, by_name[name], look, text, minimum, min_seeds)
    if "null" in by_name:
        style.region(ax, by_name["null"], _NULL, minimum)
    layer = curves[0].quantity.rpartition("/")[0]
    if is_wide:
        ax.set_yscale("log")
        ax.set_ylim(bottom=minimum)
    else:
        ax.set_ylim(0, 1.05 * ax.get_ylim()[1])
    if logarithmic_steps:
        ax.set_xscale("symlog", linthresh=1)
        ax.set_xlim(left=-0.2)
    ax.set(xlabel="optimiser steps", ylabel=f"misalignment $m$ of {layer} (nats)")
    style.legend(ax, columns=2)


def active_units(ax: Axes, units: Iterable[tuple[Curve, style.Look, str | None]]) -> None:
    """Draws the share of inputs to which each unit responds, and a grey zone where that is rare.

    Args:
        ax: the panel.
        units: curves of `sorted_units`, with their looks and texts in the legend.
    """
    for curve, look, text in units:
        style.band(ax, curve, look, text, minimum=LOWEST_ACTIVITY, min_seeds=math.inf)
    ax.axhspan(LOWEST_ACTIVITY, RARE, color="0.9", linewidth=0, zorder=0)
    ax.set_yscale("log")
    ax.set(xlim=(0, 100), ylim=(0.9 * LOWEST_ACTIVITY, 1.15))


def _look(arm):
    """The look of the start of an arm; the arms in a panel have the same depth."""
    return style.STARTS[split_arm(arm)[0]]
