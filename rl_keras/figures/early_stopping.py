"""What would stopping early have gained, with batch normalisation and without?

Left: accuracy on the train and the test probe of each variant of the run, against steps.
Right: test accuracy at the end of the training, and the best on the way. The best is chosen on
the test set itself, as in the paper, so it is too good by chance alone.

Flagfile: flags/zhang_fig2b_cpu.cfg, and any other with --figures=early_stopping.

Reference:
    Zhang et al., ICLR 2017, arXiv 1611.03530, Figure 2 and Section 3.
"""

import itertools
import math

import numpy as np

from rl_keras.figures import Drawing
from rl_keras.figures.plotting import panels, style
from rl_keras.results.curves import Curve, mean_curve
from rl_keras.results.quantities import chance_level
from rl_keras.results.runs import Variants

STAGE = "upstream"
ACROSS_VARIANTS = True
_ENDS = {"best": "best on the way", "final": "at the end"}


def read(variants: Variants) -> dict[str, list[Curve]]:
    """Returns the curves of the panels `accuracy` and `test`.

    In `accuracy` the quantities are `train_probe` and `test_probe` against steps; in
    `test` the levels `best`, `final` and `gain`, their difference, paired by seed.
    """
    return {name: _curves(results) for name, results in variants.items()}


def _curves(results):
    keys = results.upstream_keys
    curves = []
    for name in ("train", "test"):
        stack = results.stack(keys, f"probe/{name}", "accuracy")
        curves.append(mean_curve("accuracy", keys[0], f"{name}_probe", *stack))
    seeds, accuracy = curves[-1].seeds, curves[-1].values
    ends = {"best": accuracy.max(axis=1), "final": accuracy[:, -1]}
    ends["gain"] = ends["best"] - ends["final"]
    for name, values in ends.items():
        curves.append(mean_curve("test", keys[0], name, seeds, math.nan, np.asarray(values)))
    return curves + chance_level(results, "test", keys)


def draw(curves: dict[str, list[Curve]], variants: Variants) -> Drawing:
    looks = dict(zip(variants, itertools.cycle(style.VARIANTS), strict=False))
    space = style.legend_space(len(variants) + 1, 2)
    figure, axes = style.subplots(2, rows=[(2.2, space)], left=1.3, between=1.45)
    left, right = axes[0]
    left.set_title("Training upstream")
    right.set_title("Test accuracy")
    for name, of_variant in curves.items():
        by_name = {curve.quantity: curve for curve in of_variant}
        style.band(left, by_name["train_probe"], looks[name], name or "this run")
        style.thin(left, by_name["test_probe"], looks[name])
    _draw_ends(right, curves, looks)
    level = by_name["chance"].mean[0]  # the same for all variants
    style.level(left, level, "chance")
    right.axvline(level, color=style.GREY, linestyle=":", linewidth=1)
    left.set(xlabel="optimiser steps", ylabel="accuracy (fraction of the probe set)")
    left.set_ylim(0, 1.02)
    style.legend(left, 2, panels.TEST_NOTE)
    style.legend(right, 2)
    return Drawing(figure)


def _draw_ends(ax, curves, looks):
    for row, (name, of_variant) in enumerate(curves.items()):
        by_name = {curve.quantity: curve for curve in of_variant}
        for shift, end in ((-0.12, "best"), (0.12, "final")):
            curve, point = by_name[end], {"color": looks[name].color, "linestyle": ""}
            marker = {"marker": "^" if end == "best" else "o"}
            label = _ENDS[end] if row == 0 else None
            ax.plot(curve.mean, [row + shift], label=label, **point, **marker)
            if len(curve.seeds) >= style.MIN_SEEDS:
                ax.hlines(row + shift, curve.low, curve.high, color=looks[name].color)
    ax.set_yticks(range(len(curves)), [name or "this run" for name in curves])
    ax.set(ylim=(len(curves) - 0.5, -0.5), xlabel="fraction of the test probe")
