"""Does gradient descent find the interpolant of least norm, and does the norm foretell its error?

The variants of the run are linear models on several kinds of features. Left: how far the
weights are from those of least norm that fit every label, along training. Right: test error
against norm for the weights of each at the end, for those of least norm, and for the
interpolant of least norm of the Gaussian kernel.

Any flagfile with --figures=interpolation and --minimum_norm.

Reference:
    Zhang et al., ICLR 2017, arXiv 1611.03530, Section 5 and Table 3.
"""

import math
from pathlib import Path

import numpy as np

from rl_keras.figures.plotting import small_print, style
from rl_keras.results import variants
from rl_keras.results.curves import Curve, mean_curve
from rl_keras.results.quantities import chance_level
from rl_keras.results.runs import read_variants
from rl_keras.storage.run_folder import RunDirectory

NAME = "interpolation"
_RECORDS = ("distance", "residual", "norm", "train_error", "test_error")
_ENDS = {  # of the right panel: marker, text
    "end": ("o", "gradient descent, at the end"),
    "linear": ("s", "least norm"),
    "gaussian": ("^", "least norm, Gaussian kernel"),
}


def rows(run: RunDirectory) -> list[dict]:
    """Returns the plotted numbers as `variants.rows` lays them out.

    In the panel `path` the records against steps; in `end` the norms and errors of
    `end`, `linear` and `gaussian`, such as `linear/test_error`.
    """
    found = read_variants(run, stage="upstream")
    return variants.rows(_curves(found), found)


def draw(run: RunDirectory) -> tuple[list[Path], list[str]]:
    """Draws what is finished, see `rl_keras.figures`."""
    found = read_variants(run, stage="upstream")
    curves = _curves(found)
    with style.context():
        figure, axes = style.subplots(2, rows=[(2.2, 1.3)])
        left, right = axes[0]
        left.set_title("Distance to the weights of least norm")
        right.set_title("Norm and test error")
        if any(curves.values()):
            _draw_paths(left, curves)
            _draw_ends(right, curves)
        else:
            for ax in (left, right):
                style.empty(ax, "not measured; set --minimum_norm")
        style.finish(figure, axes.flat, small_print.of_variants(run, found))
        table = variants.rows(curves, found)
        return style.save(figure, run, NAME, table), variants.notes(run, found)


def _curves(found) -> dict[str, list[Curve]]:
    curves = {}
    for name, results in found.items():
        keys = results.upstream_keys
        own = []
        for record in _RECORDS:
            stack = results.stack(keys, "minimum_norm", record)
            if stack:
                own.append(mean_curve("path", keys[0], record, *stack))
                if record in ("norm", "test_error"):
                    own.append(_end(keys[0], f"end/{record}", stack[0], stack[2][:, -1]))
        kept = [key for key in keys if "minimum_norm/step" in results.arrays(key)]
        for kind in ("linear", "gaussian"):
            for record in ("norm", "test_error"):
                path = f"minimum_norm/{kind}/{record}"
                values = [float(results.arrays(key)[path]) for key in kept]
                if values:
                    seeds = [key.seed for key in kept]
                    own.append(_end(keys[0], f"{kind}/{record}", seeds, values))
        if own:
            own += chance_level(results, "end", kept)
        curves[name] = own
    return curves


def _end(key, quantity, seeds, values):
    return mean_curve("end", key, quantity, seeds, math.nan, np.asarray(values))


def _looks(curves):
    return {name: style.MOMENTS[::-1][number % 4] for number, name in enumerate(curves)}


def _draw_paths(ax, curves):
    for (name, own), look in zip(curves.items(), _looks(curves).values(), strict=True):
        for curve in own:
            if curve.quantity == "distance":
                style.band(ax, curve, look, name or "this run")
    ax.set(xlabel="optimiser steps", ylabel="distance (in norms of those weights)")
    ax.set_ylim(0, 1.05 * ax.get_ylim()[1])
    style.legend(ax, columns=1)


def _draw_ends(ax, curves):
    told = set()
    for (name, own), look in zip(curves.items(), _looks(curves).values(), strict=True):
        by = {curve.quantity: curve for curve in own if curve.panel == "end"}
        for kind, (marker, text) in _ENDS.items():
            x, y = by.get(f"{kind}/norm"), by.get(f"{kind}/test_error")
            if x is None or y is None:
                continue
            point = {"color": look.color, "marker": marker, "linestyle": ""}
            ax.plot(x.mean, y.mean, label=None if text in told else text, **point)
            told.add(text)
            if len(y.seeds) >= style.MIN_SEEDS:
                ax.vlines(x.mean, y.low, y.high, color=look.color, linewidth=1.2)
                ax.hlines(y.mean, x.low, x.high, color=look.color, linewidth=1.2)
            if kind == "linear":
                place = {"textcoords": "offset points", "ha": "center"}
                ax.annotate(
                    name, (x.mean[0], y.mean[0]), (0, 6), fontsize=7, color=look.color, **place
                )
        if "chance" in by:
            style.level(ax, 1 - by["chance"].mean[0], "chance")
    ax.set(xlabel="norm (logarithmic)", ylabel="test error (fraction)", ylim=(0, 1), xscale="log")
    style.legend(ax, columns=1)
