"""How much longer does it take to fit noise than to fit what the images show?

The training loss of each variant of the run against optimiser steps and, under it, the step
at which it first falls to 0.1: a row for each variant. The loss at a step is the mean over
the batches since the previous reading, --probe_every steps before.

Flagfile: flags/zhang_fig1a_cpu.cfg, and any other with --figures=convergence.

Reference:
    Zhang et al., "Understanding deep learning requires rethinking generalization",
    ICLR 2017, arXiv 1611.03530, Figure 1a.
"""

from dataclasses import replace
from functools import reduce
from pathlib import Path

import numpy as np

from rl_keras.figures.plotting import small_print, style
from rl_keras.results import variants
from rl_keras.results.curves import Curve, mean_curve, reached_curve
from rl_keras.results.quantities import LEVEL, first_steps, read_losses
from rl_keras.results.runs import Results, read_variants
from rl_keras.storage.run_folder import RunDirectory

NAME = "convergence"
_LOWEST = 1e-3  # end of the axis of the loss


def rows(run: RunDirectory) -> list[dict]:
    """Returns the plotted numbers, as `variants.rows` lays them out.

    In the panel `steps_to_0.1` the cell of a seed that never got there is infinite, and
    there is no mean unless every seed got there.
    """
    found = read_variants(run, stage="upstream")
    return variants.rows({name: _curves(results) for name, results in found.items()}, found)


def draw(run: RunDirectory) -> tuple[list[Path], list[str]]:
    """Draws what is finished, see `rl_keras.figures`."""
    found = read_variants(run, stage="upstream")
    curves = {name: _curves(results) for name, results in found.items()}
    drawn = {name: own for name, own in curves.items() if own}
    with style.context():
        height = 0.4 + 0.2 * len(found)
        space = style.legend_space(len(drawn), 2)
        figure, axes = style.subplots(1, [(2.4, space), (height, 0.6)], left=1.45, width=4.2)
        above, below = axes[:, 0]
        above.set_title("Training loss")
        below.set_title(f"First step with a loss of {LEVEL:g} or less")
        if drawn:
            _draw_panels(above, below, drawn, found)
        else:
            for ax in (above, below):
                style.empty(ax, "no training loss was logged")
        style.finish(figure, (above, below), small_print.of_variants(run, found))
        paths = style.save(figure, run, NAME, variants.rows(curves, found))
    missing = [f"variant {name}: no training loss" for name in found if name not in drawn]
    return paths, [*variants.notes(run, found), *missing]


def _draw_panels(above, below, drawn, found):
    names = []
    for place, (name, (loss, first)) in enumerate(drawn.items()):
        look = replace(style.VARIANTS[place % len(style.VARIANTS)], place=place)
        names.append(name or style.LABELS[found[name].config.upstream.labels[0]])
        style.band(above, loss, look, names[-1], minimum=_LOWEST)
        _draw_first(above, below, place, look, first)
    above.set(yscale="log", ylabel="mean loss of the batches", xlabel="optimiser steps")
    style.level(above, LEVEL, f"{LEVEL:g}")
    style.legend(above, columns=2)
    below.sharex(above)
    below.set_yticks(range(len(names)), names)
    below.set(ylim=(len(names) - 0.4, -0.6), xlabel="optimiser steps (hollow: one seed)")


def _draw_first(above, below, place, look, first):
    """The mean as a mark on the level, and in a row below it with its interval and the seeds."""
    values = first.values[:, 0]
    reached = values[np.isfinite(values)]
    point = {"color": look.color, "marker": look.marker, "linestyle": ""}
    below.plot(reached, place - np.linspace(0.1, 0.3, len(reached)), **point, **style.HOLLOW)
    if len(reached) < len(values):
        return style.side_note(below, place, f"{len(reached)} of {len(values)}")
    above.plot(first.mean, [LEVEL], **point, markersize=6, markeredgecolor="white", zorder=3)
    below.plot(first.mean, [place + 0.25], **point)
    if len(values) >= style.MIN_SEEDS:
        below.hlines(place + 0.25, first.low, first.high, color=look.color, linewidth=1.2)


def _curves(results: Results) -> list[Curve]:
    """Loss and first step, or nothing if no stage logged a loss."""
    losses = read_losses(results)
    if not losses:
        return []
    key = results.upstream_keys[0]
    seeds = tuple(losses)
    steps = reduce(np.intersect1d, [list(own) for own in losses.values()])
    values = [[own[step] for step in steps] for own in losses.values()]
    name = f"steps_to_{LEVEL:g}"
    return [
        mean_curve("loss", key, "train_loss", seeds, steps, values),
        reached_curve(name, key, name, seeds, list(first_steps(losses).values())),
    ]
