"""Does a wider network leave room for the next task, so that pre-training helps rather than hurts?

The variants of the run differ in a setting of the model. A column for each kind of
downstream labels: what each start gains over the start from scratch in the area under the
train curve, paired by seed, and under it the steps to a train accuracy of 90%.

Any flagfile with --figures=widths.

Reference:
    Maennel et al., NeurIPS 2020, arXiv 2006.10455, Figure 8.
"""

import math
from dataclasses import replace
from itertools import chain

import numpy as np

from rl_keras.figures import Drawing
from rl_keras.figures.plotting import style
from rl_keras.figures.plotting.points import LINE, draw_points, note_missing_seeds
from rl_keras.results import quantities
from rl_keras.results.curves import Curve, mean_curve
from rl_keras.results.runs import Variants
from rl_keras.results.variants import differing, positions
from rl_keras.settings.transfer import split_arm

STAGE = "downstream"
ACROSS_VARIANTS = True
_PERCENT = 90
_STEPS = f"steps_to_{_PERCENT}"
_AREA = "area_under_train_curve"
_SHIFT = 0.06  # between the points of two starts: in doublings of x, or in numbers of variants
_SMALL_PRINT = (
    "Bars: 95% interval of the mean over seeds; hollow: single seeds; n of N: seeds that got "
    "there, if not all did."
)


def read(variants: Variants) -> dict[str, list[Curve]]:
    """Returns the curves of the panels `gain` and `steps_to_90`, one point each.

    `x` is the setting of the model that differs, or the number of the variant if no single
    setting with a number does. In `gain` the values are differences to the start from
    scratch in percentage points. In `steps_to_90` the cell of a seed that never got there is
    infinite, and there is no mean unless every seed got there.
    """
    curves = {}
    for name, x in positions(variants)[1].items():
        results = variants[name]
        arms = quantities.deepest_arms(results.config)
        points = []
        for labels in results.config.downstream.labels:
            points += [_gain(results, labels, arm) for arm in arms if arm != "scratch"]
            points += quantities.steps_to(results, labels, arms, _PERCENT)
        curves[name] = [replace(point, x=np.array([x])) for point in points if point]
    return curves


def _gain(results, labels, arm):
    """The difference to scratch over the seeds that have both; `None` without such a seed."""
    areas = [
        {key.seed: results.finished[key]["summary"][_AREA] for key in keys}
        for keys in (results.keys("downstream", labels, name) for name in (arm, "scratch"))
    ]
    seeds = [seed for seed in areas[0] if seed in areas[1]]
    if not seeds:
        return None
    values = [100 * (areas[0][seed] - areas[1][seed]) for seed in seeds]
    key = results.keys("downstream", labels, arm)[0]
    return mean_curve("gain", key, f"{_AREA}_gain", seeds, math.nan, values)


def draw(by_variant: dict[str, list[Curve]], variants: Variants) -> Drawing:
    curves = list(chain.from_iterable(by_variant.values()))
    kinds = list(dict.fromkeys(k for r in variants.values() for k in r.config.downstream.labels))
    figure, axes = style.subplots(len(kinds), rows=[(1.7, 0.5), (1.7, 0.85)], left=0.8)
    for (above, below), labels in zip(axes.T, kinds, strict=True):
        above.set_title(f"Gain over the start from scratch, {style.LABELS[labels]}")
        above.set_ylabel("area under train curve,\ndifference (percentage points)")
        below.set_title(f"Steps to {_PERCENT}% train accuracy")
        below.set_ylabel("optimiser steps")
        for ax, panel in ((above, "gain"), (below, _STEPS)):
            drawn = [c for c in curves if (c.labels, c.panel) == (labels, panel)]
            _draw_panel(ax, drawn, variants)
        above.set_xlabel("")
        style.legend(below, columns=2)
    depths = quantities.depth_text(*variants.values())
    return Drawing(figure, [_SMALL_PRINT, depths], _notes(variants), has_bands=False)


def _notes(variants):
    if len(variants) == 1 or positions(variants)[0]:
        return []
    names = ", ".join(differing(variants)) or "none"
    return [f"widths: drawn by variant, as no single model setting differs. Received: {names}"]


def _draw_panel(ax, curves, variants):
    setting, values = positions(variants)
    if not curves:
        return style.empty(ax, "no stage is finished")
    scale = math.log2 if setting else float
    arms, lines = list(dict.fromkeys(curve.start for curve in curves)), 0
    for number, arm in enumerate(arms):
        look, shift = style.STARTS[split_arm(arm)[0]], (number - (len(arms) - 1) / 2) * _SHIFT
        points = [
            replace(curve, x=np.array([scale(curve.x[0])]))
            for curve in curves
            if curve.start == arm
        ]
        draw_points(ax, points, look, look.label, shift)
        note_missing_seeds(ax, points, look, number, shift)
        if any(np.isinf(point.values).any() for point in points):
            lines = number + 1
    ticks = [scale(x) for x in values.values()]
    names = [f"{x:g}" for x in values.values()] if setting else [n or "run" for n in values]
    ax.set_xticks(ticks, names)
    ax.set_xlim(min(ticks) - 0.4, max(ticks) + 0.4)
    ax.set_xlabel(f"{setting} of the model (logarithmic)" if setting else "variant")
    if curves[0].panel == "gain":
        style.level(ax, 0, "no\ntransfer")
    else:
        ax.set_ylim(0, ax.get_ylim()[1] / (0.95 - LINE * lines))
