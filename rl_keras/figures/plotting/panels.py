"""Panels: each function draws some curves into one pair of axes."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from rl_keras.figures.plotting import style
from rl_keras.results.curves import Curve
from rl_keras.settings.transfer import split_arm

TEST_NOTE = "thin, hollow: test probe"
RARE = 0.01  # a unit that responds to a smaller share of its inputs is rarely active
LOWEST = 1e-3  # end of the axis of activity
_WIDE_RANGE = 20  # ratio of largest to smallest misalignment that asks for a logarithmic axis
_BASES = {  # short names first, for the columns of the legend
    "data_basis": (style.LAST, "basis of the data", style.MIN_SEEDS),
    "floor": (style.REFERENCE, "sampling floor", 1),
    "random_basis": (style.MIDDLE, "random bases (± 1 sd)", 1),
}
_NULL = "aligned filters (sign flips), 95%"


def accuracy(
    ax: Axes,
    labels: str,
    curves: Sequence[Curve],
    test: bool = True,
    title: str = "Training downstream, ",
    legend: bool = True,
) -> None:
    """Draws accuracy against steps: a band for each start, the test probe as a thin line."""
    curves = [curve for curve in curves if curve.labels == labels and curve.panel == "accuracy"]
    ax.set_title(f"{title}{style.LABELS[labels]}")
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
    ax: Axes, curves: Sequence[Curve], percent: int, arms: Sequence[str] | None = None
) -> None:
    """Draws a row for each arm: a hollow point for each seed, the mean with its interval under it.

    Args:
        ax: the panel.
        curves: those of `quantities.steps_to`; others are left out.
        percent: the train accuracy.
        arms: the rows; those of the curves by default.
    """
    found = {curve.start: curve for curve in curves if curve.panel == f"steps_to_{percent}"}
    ax.set_title(f"Steps to {percent}% train accuracy")
    if not found:
        return style.empty(ax, "no stage is finished")
    arms = list(found if arms is None else arms)
    for place, arm in enumerate(arms):
        if arm in found:
            _steps_row(ax, place, found[arm])
    ax.set_yticks(range(len(arms)), [_look(arm).label for arm in arms])
    ax.set(ylim=(len(arms) - 0.4, -0.6), xlabel="optimiser steps (hollow: one seed)")


def _steps_row(ax, place, curve):
    look, values = _look(curve.start), curve.values[:, 0]
    reached = values[np.isfinite(values)]
    point = {"color": look.color, "marker": look.marker, "linestyle": ""}
    ax.plot(reached, place - np.linspace(0.1, 0.35, len(reached)), **point, **style.HOLLOW)
    if len(reached) < len(values):
        return style.side_note(ax, place, f"{len(reached)} of {len(values)}")
    ax.plot(curve.mean, [place + 0.25], **point)
    if len(values) >= style.MIN_SEEDS:
        ax.hlines(place + 0.25, curve.low, curve.high, color=look.color, linewidth=1.2)


def misalignment(
    ax: Axes,
    labels: str,
    curves: Sequence[Curve],
    logarithmic_steps: bool = False,
    title: str = "Alignment upstream, ",
    others: Sequence[Curve] = (),
) -> None:
    """Draws misalignment with the data against steps, and the values that give it a meaning.

    Args:
        ax: the panel.
        labels: kind of labels upstream.
        curves: those of `quantities.misalignment`; its p-values are left out.
        logarithmic_steps: whether the steps are.
        title: what stands before the kind of labels.
        others: curves of other panels, which are to have the same kind of axis.
    """
    ax.set_title(f"{title}{style.LABELS[labels]}")
    curves, others = ([c for c in own if not math.isnan(c.x[0])] for own in (curves, others))
    if not curves:
        return style.empty(ax, "alignment: not measured")
    values = np.concatenate([curve.mean for curve in (*curves, *others)])
    is_wide = values.min() > 0 and values.max() > _WIDE_RANGE * values.min()
    minimum = 0.7 * values.min() if is_wide else -math.inf
    found = {curve.quantity.rpartition("/")[2]: curve for curve in curves}
    for name, (look, text, min_seeds) in _BASES.items():
        if name in found:
            style.band(ax, found[name], look, text, minimum, min_seeds)
    if "null" in found:
        style.region(ax, found["null"], _NULL, minimum)
    layer = curves[0].quantity.rpartition("/")[0]
    if minimum > 0:
        ax.set_yscale("log")
        ax.set_ylim(bottom=minimum)
    else:
        _start_at_zero(ax)
    if logarithmic_steps:
        ax.set_xscale("symlog", linthresh=1)
        ax.set_xlim(left=-0.2)
    ax.set(xlabel="optimiser steps", ylabel=f"misalignment $m$ of {layer} (nats)")
    style.legend(ax, columns=2)


def transfer(ax: Axes, labels: str, curves: Sequence[Curve]) -> None:
    """Draws the transfer function f at the first, a middle and the last measurement."""
    ax.set_title(f"Transfer function upstream, {style.LABELS[labels]}")
    if not curves:
        return style.empty(ax, "alignment: not measured")
    layer = curves[0].quantity.rpartition("/")[0]
    functions = [curve for curve in curves if curve.quantity.endswith("/transfer")]
    looks = {1: [style.LAST], 2: [style.FIRST, style.LAST]}.get(
        len(functions), [style.FIRST, style.MIDDLE, style.LAST]
    )
    for curve, look in zip(functions, looks, strict=True):
        style.band(ax, curve, look, f"step {curve.steps[0]}")
    style.level(ax, curves[-1].mean[0], "initial\nlevel")
    ax.set_xscale("log")
    _start_at_zero(ax)
    ax.set(xlabel="eigenvalue of the data covariance", ylabel=f"$f$ of {layer} (sd of weights)")
    style.legend(ax, columns=2)


def activity(ax: Axes, labels: str, curves: Sequence[Curve]) -> None:
    """Draws the share of inputs to which each unit responds, units sorted."""
    ax.set_title(f"Units at the switch to {style.LABELS[labels]}")
    curves = [curve for curve in curves if not curve.start or curve.labels == labels]
    units = [curve for curve in curves if curve.quantity.endswith("/fraction_active")]
    shares = [curve for curve in curves if curve.quantity.endswith("/share_rarely_active")]
    if not units:
        return style.empty(ax, "activity: not measured")
    layer = units[0].quantity.rpartition("/")[0]
    for curve, share in zip(units, shares, strict=True):
        look, name = _moment(curve)
        text = f"{name}: {share.mean[0]:.0%} rarely active"
        style.band(ax, curve, look, text, minimum=LOWEST, min_seeds=math.inf)
    ax.axhspan(LOWEST, RARE, color="0.9", linewidth=0, zorder=0)
    style.side_note(ax, math.sqrt(LOWEST * RARE), "rarely\nactive")
    ax.set_yscale("log")
    ax.set(xlim=(0, 100), ylim=(0.9 * LOWEST, 1.15))
    ax.set_xlabel(f"units of {layer}, most active first (%)")
    ax.set_ylabel(f"share of inputs active on (≥ {LOWEST})")
    style.legend(ax, columns=1)


def _look(arm):
    """The look of its start: where arms are compared, they have one depth."""
    return style.STARTS[split_arm(arm)[0]]


def _start_at_zero(ax):
    ax.set_ylim(0, 1.05 * ax.get_ylim()[1])


def _moment(curve):
    step = int(curve.steps[0])
    if not curve.start:
        return style.MIDDLE, f"upstream, step {step}"
    if curve.start == "scratch":
        return style.REFERENCE, "from scratch, step 0"
    if step == 0:
        return style.FIRST, "after the switch, step 0"
    return style.LAST, f"downstream, step {step}"
