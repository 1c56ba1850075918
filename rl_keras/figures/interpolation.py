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

import numpy as np

from rl_keras.figures import Drawing
from rl_keras.figures.plotting import style
from rl_keras.results.curves import Curve, mean_curve
from rl_keras.results.quantities import chance_level
from rl_keras.results.runs import Variants

STAGE = "upstream"
ACROSS_VARIANTS = True
_RECORDS = ("distance", "residual", "norm", "train_error", "test_error")
_ENDS = {  # of the right panel: marker, text
    "end": ("o", "gradient descent, at the end"),
    "linear": ("s", "least norm"),
    "gaussian": ("^", "least norm, Gaussian kernel"),
}


def read(variants: Variants) -> dict[str, list[Curve]]:
    """Returns the curves of the panels `path`, the records against steps, and `end`.

    In `end` the quantities are norms and errors of `end`, `linear` and `gaussian`, such as
    `linear/test_error`.
    """
    return {name: _curves(results) for name, results in variants.items()}


def _curves(results):
    keys = results.upstream_keys
    curves = []
    for record in _RECORDS:
        stack = results.stack(keys, "minimum_norm", record)
        if stack:
            curves.append(mean_curve("path", keys[0], record, *stack))
            if record in ("norm", "test_error"):
                curves.append(_end(keys[0], f"end/{record}", stack[0], stack[2][:, -1]))
    kept = [key for key in keys if "minimum_norm/step" in results.arrays(key)]
    for kind in ("linear", "gaussian"):
        for record in ("norm", "test_error"):
            path = f"minimum_norm/{kind}/{record}"
            values = [float(results.arrays(key)[path]) for key in kept]
            if values:
                seeds = [key.seed for key in kept]
                curves.append(_end(keys[0], f"{kind}/{record}", seeds, values))
    return curves + chance_level(results, "end", kept) if curves else []


def _end(key, quantity, seeds, values):
    return mean_curve("end", key, quantity, seeds, math.nan, np.asarray(values))


def draw(curves: dict[str, list[Curve]], variants: Variants) -> Drawing:
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
    return Drawing(figure)


def _looks(curves):
    return {name: style.MOMENTS[::-1][number % 4] for number, name in enumerate(curves)}


def _draw_paths(ax, curves):
    for (name, of_variant), look in zip(curves.items(), _looks(curves).values(), strict=True):
        for curve in of_variant:
            if curve.quantity == "distance":
                style.band(ax, curve, look, name or "this run")
    ax.set(xlabel="optimiser steps", ylabel="distance (in norms of those weights)")
    ax.set_ylim(0, 1.05 * ax.get_ylim()[1])
    style.legend(ax, columns=1)


def _draw_ends(ax, curves):
    in_legend = set()
    for (name, of_variant), look in zip(curves.items(), _looks(curves).values(), strict=True):
        by_name = {curve.quantity: curve for curve in of_variant if curve.panel == "end"}
        for kind, (marker, text) in _ENDS.items():
            x, y = (by_name.get(f"{kind}/{record}") for record in ("norm", "test_error"))
            if x is None or y is None:
                continue
            point = {"color": look.color, "marker": marker, "linestyle": ""}
            ax.plot(x.mean, y.mean, label=None if text in in_legend else text, **point)
            in_legend.add(text)
            if len(y.seeds) >= style.MIN_SEEDS:
                ax.vlines(x.mean, y.low, y.high, color=look.color, linewidth=1.2)
                ax.hlines(y.mean, x.low, x.high, color=look.color, linewidth=1.2)
            if kind == "linear":
                above = {"xytext": (0, 6), "textcoords": "offset points", "ha": "center"}
                point = (x.mean[0], y.mean[0])
                ax.annotate(name, point, fontsize=7, color=look.color, **above)
        if "chance" in by_name:
            style.level(ax, 1 - by_name["chance"].mean[0], "chance")
    ax.set(xlabel="norm (logarithmic)", ylabel="test error (fraction)", ylim=(0, 1), xscale="log")
    style.legend(ax, columns=1)
