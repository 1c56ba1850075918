"""Does the network train faster the more of its first layers are transferred?

A column for each kind of downstream labels: mean train accuracy while training, steps to an
accuracy of 80%, and final test accuracy, against the number of transferred layers. The means
of the final accuracies are printed as a table, as the paper does in Table 1.

Any flagfile with --figures=depths.

Reference:
    Maennel et al., NeurIPS 2020, arXiv 2006.10455, Figure 6 and Table 1.
"""

import math
from dataclasses import replace

import numpy as np

from rl_keras.figures import Drawing
from rl_keras.figures.plotting import style
from rl_keras.figures.plotting.points import LINE, draw_points, note_missing_seeds
from rl_keras.results import quantities
from rl_keras.results.curves import Curve, mean_curve
from rl_keras.results.runs import Results
from rl_keras.settings.transfer import split_arm

STAGE = "downstream"
_COLUMNS = {  # of summary.csv, by panel
    "area": "area_under_train_curve",
    "test": "final_test_accuracy",
    "train": "final_train_accuracy",
}
_PANELS = {  # in the order in which they are drawn: title, unit
    "area": ("Area under the train curve", "area (mean train accuracy)"),
    "steps_to_80": ("Steps to 80% train accuracy", "optimiser steps"),
    "test": ("Final test accuracy", "accuracy (of the test split)"),
}
_SHIFT = 0.02  # between the points of two starts, as a share of the axis of layers
_SMALL_PRINT = (
    "Bars, and the grey around scratch: 95% interval of the mean over seeds; hollow: single seeds; "
    "n of N: seeds that got there, if not all did."
)


def read(results: Results) -> list[Curve]:
    """Returns the curves of the panels, one point each; `x` is a number of layers.

    The panels are `area`, `steps_to_80`, `test`, and `train`, which is not drawn. In
    `steps_to_80` the cell of a seed that never got there is infinite, and there is
    no mean unless every seed got there.
    """
    arms = [arm for arm in results.config.transfer.arms if _depth(arm) is not None]
    curves = []
    for labels in results.config.downstream.labels:
        every = []
        for arm in arms:
            keys = results.keys("downstream", labels, arm)
            every += keys
            levels = [_level(results, keys, panel) for panel in _COLUMNS]
            levels += quantities.steps_to(results, labels, [arm], 80)
            curves += [_at_depth(curve, arm) for curve in levels if curve]
        curves += quantities.chance_level(results, "test", every)
    return curves


def _level(results, keys, panel):
    """The curve of those seeds that have a value, or `None` without any."""
    name = _COLUMNS[panel]
    values = {key.seed: results.finished[key]["summary"][name] for key in keys}
    values = {seed: value for seed, value in values.items() if value is not None}
    if not values:
        return None
    return mean_curve(panel, keys[0], name, tuple(values), math.nan, list(values.values()))


def _depth(arm):
    """The number of transferred layers, `None` for an arm that does not say."""
    start, depth = split_arm(arm)
    return 0 if start == "scratch" else depth


def _at_depth(curve, arm):
    return replace(curve, start=split_arm(arm)[0], x=np.array([float(_depth(arm))]))


def draw(curves: list[Curve], results: Results) -> Drawing:
    kinds = results.config.downstream.labels
    figure, axes = style.subplots(len(kinds), rows=[(1.5, 0.45), (1.5, 0.45), (1.5, 1.0)])
    for column, labels in zip(axes.T, kinds, strict=True):
        for ax, panel in zip(column, _PANELS, strict=True):
            _draw_panel(ax, panel, labels, curves)
        column[-1].set_xlabel("transferred layers $k$ (0: from scratch)")
    style.legend(axes[-1, 0], columns=2 * len(kinds), others=axes[-1, 1:])
    notes = []
    if not results.config.transfer.transfer_depths:
        notes = ["depths: nothing was transferred at several depths; set --transfer_depths"]
    return Drawing(figure, [_SMALL_PRINT], notes, has_bands=False)


def _draw_panel(ax, panel, labels, curves):
    title, unit = _PANELS[panel]
    ax.set_title(f"{title}, {style.LABELS[labels]}")
    curves = [curve for curve in curves if (curve.panel, curve.labels) == (panel, labels)]
    by_start: dict[str, list] = {}
    for curve in sorted((c for c in curves if c.start), key=lambda curve: curve.x[0]):
        by_start.setdefault(curve.start, []).append(curve)
    if not by_start:
        return style.empty(ax, "no stage is finished")
    ax.set_ylabel(unit)
    scratch = by_start.pop("scratch", [None])[0]
    if scratch is not None:
        _draw_scratch(ax, scratch)
    depths = sorted({int(curve.x[0]) for curve in curves if curve.start})
    for number, (start, points) in enumerate(by_start.items()):
        look = style.STARTS[start]
        shift = (number - (len(by_start) - 1) / 2) * _SHIFT * depths[-1]
        draw_points(ax, points, look, look.label, shift, before=scratch)
        note_missing_seeds(ax, points, look, number, shift)
    for curve in curves:
        if curve.quantity == "chance":
            _draw_chance(ax, curve.mean[0])
    ax.set_xticks(depths)
    margin = 0.08 * max(1, depths[-1])
    ax.set_xlim(-margin, depths[-1] + margin)
    if panel == "steps_to_80":
        ax.set_ylim(0, ax.get_ylim()[1] / (0.95 - LINE * len(by_start)))


def _draw_scratch(ax, scratch):
    """Draws scratch as a point and as a level across the panel, to compare transfer with."""
    look = style.STARTS["scratch"]
    draw_points(ax, [scratch], look, look.label)
    note_missing_seeds(ax, [scratch], look, 0)
    ax.axhline(scratch.mean[0], color=look.color, linewidth=0.8, linestyle=":", zorder=1)
    if len(scratch.seeds) >= style.MIN_SEEDS:
        ax.axhspan(scratch.low[0], scratch.high[0], color="0.9", linewidth=0, zorder=0)


def _draw_chance(ax, chance):
    """Draws chance if it is near the points; else the axis would press them together."""
    low, high = ax.get_ylim()
    if chance > low - 0.5 * (high - low):
        style.level(ax, chance, "chance")
    else:
        style.side_note(ax, low, f"chance:\n{chance:.2g} ↓")
