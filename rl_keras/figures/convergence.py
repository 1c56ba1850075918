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

import numpy as np

from rl_keras.figures import Drawing
from rl_keras.figures.plotting import panels, style
from rl_keras.results.curves import Curve, mean_curve, reached_curve
from rl_keras.results.quantities import LEVEL, first_steps, read_losses
from rl_keras.results.runs import Variants

STAGE = "upstream"
ACROSS_VARIANTS = True
_LOWEST = 1e-3  # end of the axis of the loss


def read(variants: Variants) -> dict[str, list[Curve]]:
    """Returns the curves of the panels `loss` and `steps_to_0.1`, none without a logged loss.

    In `steps_to_0.1` the cell of a seed that never got there is infinite, and there is no
    mean unless every seed got there.
    """
    return {name: _curves(results) for name, results in variants.items()}


def _curves(results):
    losses = read_losses(results)
    if not losses:
        return []
    key = results.upstream_keys[0]
    seeds = tuple(losses)
    steps = reduce(np.intersect1d, [list(of_seed) for of_seed in losses.values()])
    values = [[of_seed[step] for step in steps] for of_seed in losses.values()]
    name = f"steps_to_{LEVEL:g}"
    return [
        mean_curve("loss", key, "train_loss", seeds, steps, values),
        reached_curve(name, key, name, seeds, list(first_steps(losses).values())),
    ]


def draw(curves: dict[str, list[Curve]], variants: Variants) -> Drawing:
    drawn = {name: pair for name, pair in curves.items() if pair}
    space = style.legend_space(len(drawn), 2)
    height = 0.4 + 0.2 * len(variants)
    figure, axes = style.subplots(1, [(2.4, space), (height, 0.6)], left=1.45, width=4.2)
    above, below = axes[:, 0]
    above.set_title("Training loss")
    below.set_title(f"First step with a loss of {LEVEL:g} or less")
    if drawn:
        _draw_panels(above, below, drawn, variants)
    else:
        for ax in (above, below):
            style.empty(ax, "no training loss was logged")
    notes = [f"variant {name}: no training loss" for name in variants if name not in drawn]
    return Drawing(figure, notes=notes)


def _draw_panels(above, below, drawn, variants):
    names = []
    for number, (name, (loss, first)) in enumerate(drawn.items()):
        look = replace(style.VARIANTS[number % len(style.VARIANTS)], marker_shift=number)
        names.append(name or style.LABELS[variants[name].config.upstream.labels[0]])
        style.band(above, loss, look, names[-1], minimum=_LOWEST)
        if not np.isnan(first.mean[0]):
            point = {"color": look.color, "marker": look.marker, "markersize": 6}
            above.plot(
                first.mean, [LEVEL], linestyle="", markeredgecolor="white", zorder=3, **point
            )
        panels.seeds_row(below, number, first, look, spread=0.3)
    above.set(yscale="log", ylabel="mean loss of the batches", xlabel="optimiser steps")
    style.level(above, LEVEL, f"{LEVEL:g}")
    style.legend(above, columns=2)
    below.sharex(above)
    below.set_yticks(range(len(names)), names)
    below.set(ylim=(len(names) - 0.4, -0.6), xlabel="optimiser steps (hollow: one seed)")
