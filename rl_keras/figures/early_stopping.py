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
from pathlib import Path

import numpy as np

from rl_keras.figures.plotting import panels, small_print, style
from rl_keras.results import variants
from rl_keras.results.curves import Curve, mean_curve
from rl_keras.results.quantities import chance_level
from rl_keras.results.runs import Results, read_variants
from rl_keras.storage.run_folder import RunDirectory

NAME = "early_stopping"
_ENDS = {"best": "best on the way", "final": "at the end"}


def rows(run: RunDirectory) -> list[dict]:
    """Returns the plotted numbers as `variants.rows` lays them out.

    In the panel `accuracy` the quantities `train_probe` and `test_probe` against steps; in
    `test` the levels `best`, `final` and `gain`, their difference, paired by seed.
    """
    found = read_variants(run, stage="upstream")
    return variants.rows({name: _curves(results) for name, results in found.items()}, found)


def draw(run: RunDirectory) -> tuple[list[Path], list[str]]:
    """Draws what is finished, see `rl_keras.figures`."""
    found = read_variants(run, stage="upstream")
    curves = {name: _curves(results) for name, results in found.items()}
    looks = dict(zip(found, itertools.cycle(style.VARIANTS), strict=False))
    with style.context():
        space = style.legend_space(len(found) + 1, 2)
        figure, axes = style.subplots(2, rows=[(2.2, space)], left=1.3, between=1.45)
        left, right = axes[0]
        left.set_title("Training upstream")
        right.set_title("Test accuracy")
        for name, own in curves.items():
            by = {curve.quantity: curve for curve in own}
            style.band(left, by["train_probe"], looks[name], name or "this run")
            style.thin(left, by["test_probe"], looks[name])
        _draw_ends(right, curves, looks)
        level = by["chance"].mean[0]  # the same for all variants
        style.level(left, level, "chance")
        right.axvline(level, color=style.GREY, linestyle=":", linewidth=1)
        left.set(xlabel="optimiser steps", ylabel="accuracy (fraction of the probe set)")
        left.set_ylim(0, 1.02)
        style.legend(left, 2, panels.TEST_NOTE)
        style.legend(right, 2)
        style.finish(figure, axes.flat, small_print.of_variants(run, found))
        return style.save(figure, run, NAME, variants.rows(curves, found)), variants.notes(
            run, found
        )


def _draw_ends(ax, curves, looks):
    for place, (name, own) in enumerate(curves.items()):
        by = {curve.quantity: curve for curve in own}
        for shift, end in ((-0.12, "best"), (0.12, "final")):
            curve, point = by[end], {"color": looks[name].color, "linestyle": ""}
            marker = {"marker": "^" if end == "best" else "o"}
            label = _ENDS[end] if place == 0 else None
            ax.plot(curve.mean, [place + shift], label=label, **point, **marker)
            if len(curve.seeds) >= style.MIN_SEEDS:
                ax.hlines(place + shift, curve.low, curve.high, color=looks[name].color)
    ax.set_yticks(range(len(curves)), [name or "this run" for name in curves])
    ax.set(ylim=(len(curves) - 0.5, -0.5), xlabel="fraction of the test probe")


def _curves(results: Results) -> list[Curve]:
    """Curves against steps, and levels."""
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
