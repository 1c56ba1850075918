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
from pathlib import Path

import numpy as np

from rl_keras.figures.plotting import small_print, style
from rl_keras.figures.plotting.points import LINE, draw_points, tell_missing
from rl_keras.results import quantities, variants
from rl_keras.results.curves import Curve, mean_curve
from rl_keras.results.runs import read_variants
from rl_keras.settings.transfer import split_arm
from rl_keras.storage.run_folder import RunDirectory

NAME = "widths"
_PERCENT = 90
_STEPS = f"steps_to_{_PERCENT}"
_AREA = "area_under_train_curve"
_SHIFT = 0.06  # between starts, in doublings or places


def rows(run: RunDirectory) -> list[dict]:
    """Returns the plotted numbers, as `variants.rows` lays them out; `x` is the model's setting.

    It is the number of the variant if no single setting with a number differs. In the
    panel `gain` the values are differences to the start from scratch in percentage points.
    In `steps_to_90` the cell of a seed that never got there is infinite, and there is no
    mean unless every seed got there.
    """
    found = read_variants(run, stage="downstream")
    return variants.rows(_curves(found), found)


def draw(run: RunDirectory) -> tuple[list[Path], list[str]]:
    """Draws what is finished, see `rl_keras.figures`."""
    found = read_variants(run, stage="downstream")
    curves = _curves(found)
    every = [curve for own in curves.values() for curve in own]
    kinds = list(dict.fromkeys(k for r in found.values() for k in r.config.downstream.labels))
    with style.context():
        figure, axes = style.subplots(len(kinds), rows=[(1.7, 0.5), (1.7, 0.85)], left=0.8)
        for (above, below), labels in zip(axes.T, kinds, strict=True):
            mine = [curve for curve in every if curve.labels == labels]
            above.set_title(f"Gain over the start from scratch, {style.LABELS[labels]}")
            above.set_ylabel("area under train curve,\ndifference (percentage points)")
            below.set_title(f"Steps to {_PERCENT}% train accuracy")
            below.set_ylabel("optimiser steps")
            for ax, panel in ((above, "gain"), (below, _STEPS)):
                _draw_panel(ax, [curve for curve in mine if curve.panel == panel], found)
            above.set_xlabel("")
            style.legend(below, columns=2)
        style.finish(figure, axes.flat, _small_print(run, found))
        paths = style.save(figure, run, NAME, variants.rows(curves, found))
        return paths, variants.notes(run, found) + _notes(found)


def _curves(found) -> dict[str, list[Curve]]:
    curves = {}
    for name, x in variants.positions(found)[1].items():
        results = found[name]
        arms = quantities.deepest_arms(results.config)
        own = []
        for labels in results.config.downstream.labels:
            own += [_gain(results, labels, arm) for arm in arms if arm != "scratch"]
            own += quantities.steps_to(results, labels, arms, _PERCENT)
        curves[name] = [replace(curve, x=np.array([x])) for curve in own if curve]
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


def _notes(found):
    if len(found) == 1 or variants.positions(found)[0]:
        return []
    names = ", ".join(variants.differing(found)) or "none"
    return [f"widths: drawn by variant, as no single model setting differs. Received: {names}"]


def _draw_panel(ax, curves, found):
    setting, positions = variants.positions(found)
    if not curves:
        return style.empty(ax, "no stage is finished")
    place_of = math.log2 if setting else float
    arms, lines = list(dict.fromkeys(curve.start for curve in curves)), 0
    for number, arm in enumerate(arms):
        look, shift = style.STARTS[split_arm(arm)[0]], (number - (len(arms) - 1) / 2) * _SHIFT
        own = [curve for curve in curves if curve.start == arm]
        points = [replace(curve, x=np.array([place_of(curve.x[0])])) for curve in own]
        draw_points(ax, points, look, look.label, shift)
        tell_missing(ax, points, look, number, shift)
        if any(np.isinf(point.values).any() for point in points):
            lines = number + 1
    places = [place_of(x) for x in positions.values()]
    names = [f"{x:g}" for x in positions.values()] if setting else [n or "run" for n in positions]
    ax.set_xticks(places, names)
    ax.set_xlim(min(places) - 0.4, max(places) + 0.4)
    ax.set_xlabel(f"{setting} of the model (logarithmic)" if setting else "variant")
    if curves[0].panel == "gain":
        style.level(ax, 0, "no\ntransfer")
    else:
        ax.set_ylim(0, ax.get_ylim()[1] / (0.95 - LINE * lines))


def _small_print(run, found):
    bars = (
        "Bars: 95% interval of the mean over seeds; hollow: single seeds; n of N: seeds that got "
        "there, if not all did."
    )
    depth = quantities.depth_text(*found.values())
    return f"{small_print.of_variants(run, found, bands=False)} {bars}{depth}"
