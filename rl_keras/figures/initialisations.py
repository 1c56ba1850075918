"""How much of the head start is in the filters, in their covariance, or in their norm alone?

A panel for each kind of downstream labels: training accuracy from each start,
and under it the steps that each start takes to an accuracy of 80%.

Flagfile: flags/fig5_initialisations_cpu.cfg.

Reference:
    Maennel et al., NeurIPS 2020, arXiv 2006.10455, Figure 5.
"""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np

from rl_keras.figures import panels, style
from rl_keras.figures.curves import Curve, mean_curve, to_rows
from rl_keras.figures.reading import Results, chance_level, footer
from rl_keras.storage import RunDirectory

NAME = "initialisations"


def rows(run: RunDirectory) -> list[dict]:
    """Returns the plotted numbers of both kinds of panels, as `curves.to_rows` lays them out.

    In the panel `steps_to_80` the cell of a seed that never got there is
    infinite, and there is no mean unless every seed got there.

    Args:
        run: the folder of the run.

    Returns:
        One dictionary for each point, all with the same keys.

    Raises:
        UsageError: if no downstream stage is finished.
    """
    results = Results(run, stage="downstream")
    return to_rows(_curves(results), results.config.run.seeds)


def draw(run: RunDirectory) -> tuple[list[Path], list[str]]:
    """Draws what is finished.

    Args:
        run: the folder of the run.

    Returns:
        The written paths, and notes on what is missing.

    Raises:
        UsageError: if no downstream stage is finished.
    """
    results = Results(run, stage="downstream")
    curves = _curves(results)
    kinds = results.config.downstream.labels
    with style.context():
        figure, axes = style.subplots(len(kinds), rows=[(2.4, 1.05), (0.9, 0.45)], left=1.45)
        for (above, below), labels in zip(axes.T, kinds, strict=True):
            mine = [curve for curve in curves if curve.labels == labels]
            below.sharex(above)
            panels.accuracy(above, labels, mine, test=False)
            if mine:
                style.level(above, 0.8, "80%")
            _draw_steps(below, mine)
        style.finish(figure, axes.flat, footer(results))
        table = to_rows(curves, results.config.run.seeds)
        return style.save(figure, run, NAME, table), results.notes


def _curves(results) -> list[Curve]:
    curves = []
    for labels in results.config.downstream.labels:
        every = []
        for start in results.config.transfer.starts:
            keys = results.keys("downstream", labels, start)
            every += keys
            stack = results.stack(keys, "probe/train", "accuracy")
            if stack:
                curves.append(mean_curve("accuracy", keys[0], "train_probe", *stack))
            if keys:
                curves.append(_steps_to_80(results, keys))
        curves += chance_level(results, "accuracy", every)
    return curves


def _steps_to_80(results, keys):
    """A level; infinite for the seeds that never got there, and then without a mean."""
    cells = [results.finished[key]["summary"]["steps_to_80"] for key in keys]
    values = np.array([math.inf if cell in (None, "") else float(cell) for cell in cells])
    finite = np.where(np.isfinite(values), values, 0)
    seeds = [key.seed for key in keys]
    curve = mean_curve("steps_to_80", keys[0], "steps_to_80", seeds, math.nan, finite)
    if np.isfinite(values).all():
        return curve
    none = np.array([math.nan])
    return replace(curve, values=values[:, None], mean=none, low=none, high=none)


def _draw_steps(ax, curves):
    """A row for each start: a hollow point for each seed, the mean with its interval under it."""
    found = {curve.start: curve for curve in curves if curve.panel == "steps_to_80"}
    ax.set_title("Steps to 80% train accuracy (hollow: one seed)")
    if not found:
        return style.empty(ax, "no stage is finished")
    for place, (start, curve) in enumerate(found.items()):
        look, values = style.STARTS[start], curve.values[:, 0]
        reached = values[np.isfinite(values)]
        point = {"color": look.color, "marker": look.marker, "linestyle": ""}
        hollow = {"markersize": 3.5, "markerfacecolor": "white", "markeredgewidth": 0.8}
        ax.plot(reached, place - np.linspace(0.1, 0.35, len(reached)), **point, **hollow)
        if len(reached) < len(values):
            style.side_note(ax, place, f"{len(reached)} of {len(values)}")
            continue
        ax.plot(curve.mean, [place + 0.25], **point)
        if len(values) >= style.MIN_SEEDS:
            ax.hlines(place + 0.25, curve.low, curve.high, color=look.color, linewidth=1.2)
    ax.set_yticks(range(len(found)), [style.STARTS[start].label for start in found])
    ax.set(ylim=(len(found) - 0.4, -0.6), xlabel="optimiser steps")
