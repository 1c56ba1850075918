"""Are corrupted examples predicted as their true class before their given label is learnt?

A panel for each variant of the run: of the training examples whose given label is not the
true one, the shares that the network predicts as the true class, as the given label and as
another class, against steps; and of the examples with a true label the share that is fitted.
The CSV also has how often examples are forgotten between two readings, and when they are
first fitted.

Flagfile: flags/memorisation_cpu.cfg, and any other with --ledger and --figures=memorisation.

Reference:
    Liu et al., NeurIPS 2020, arXiv 2007.00151, for the shares; Toneva et al., ICLR 2019,
    arXiv 1812.05159, for forgetting.
"""

import math

import numpy as np

from rl_keras.figures import Drawing
from rl_keras.figures.plotting import panels, small_print, style
from rl_keras.results.curves import Curve, mean_curve, reached_curve
from rl_keras.results.quantities import chance_level
from rl_keras.results.runs import Variants

STAGE = "upstream"
ACROSS_VARIANTS = True
_PANEL = "memorisation"
GROUPS = ("corrupted", "clean")
_KINDS = ("given", "true", "other")  # in the order of the arrays
_LOOKS = {
    "corrupted/true": (style.ORANGE, "corrupted: true class"),
    "corrupted/given": (style.LAST, "corrupted: given label"),
    "corrupted/other": (style.FIRST, "corrupted: another class"),
    "clean/given": (style.BLUE, "clean: fitted"),
}


def read(variants: Variants) -> dict[str, list[Curve]]:
    """Returns the curves of the panels `memorisation` and `forgetting`.

    Quantities of the panel `memorisation` are GROUP/CLASS, shares of the examples of a
    group. The panel `forgetting` has a number for each group: `times_forgotten`, mean over
    the examples; `unforgettable`, the share fitted once and never forgotten; `first_fitted`,
    the median step, infinite if fewer than half were; and `num_examples`.
    """
    return {name: _curves(results) for name, results in variants.items()}


def _curves(results):
    keys = results.upstream_keys
    kept = [key for key in keys if "ledger/step" in results.arrays(key)]
    if not kept:
        return []
    curves = []
    for group in GROUPS:
        name = f"shares_{group}"
        # A group without examples has no shares in any run, which is no defect of the run.
        known = [key for key in kept if np.isfinite(results.arrays(key)[f"ledger/{name}"]).all()]
        if not known:
            continue
        seeds, steps, values = results.stack(known, "ledger", name)
        for number, kind in enumerate(_KINDS if group == "corrupted" else _KINDS[:1]):
            shares = values[:, :, number]
            curves.append(mean_curve(_PANEL, known[0], f"{group}/{kind}", seeds, steps, shares))
        numbers = [_forgetting(results.arrays(key), group) for key in known]
        for quantity in numbers[0]:
            level = np.array([of_seed[quantity] for of_seed in numbers])
            name = f"{group}/{quantity}"
            curves.append(reached_curve("forgetting", known[0], name, seeds, level))
    return curves + chance_level(results, _PANEL, kept)


def _forgetting(arrays, group):
    """Numbers of one run about the examples of a group."""
    corrupted = arrays["ledger/given_labels"] != arrays["ledger/true_labels"]
    chosen = corrupted if group == "corrupted" else ~corrupted
    first = arrays["ledger/first_fitted"][chosen].astype(np.float64)
    forgotten = arrays["ledger/times_forgotten"][chosen]
    first[first < 0] = math.inf
    # Not np.median, whose mean of two infinities is not a number.
    return {
        "num_examples": float(chosen.sum()),
        "first_fitted": float(np.sort(first)[(len(first) - 1) // 2]),
        "times_forgotten": float(forgotten.mean()),
        "unforgettable": float(np.mean((forgotten == 0) & np.isfinite(first))),
    }


def draw(curves: dict[str, list[Curve]], variants: Variants) -> Drawing:
    figure, axes = style.subplots(len(variants), rows=[(2.2, 0.95)])
    for ax, (name, results) in zip(axes[0], variants.items(), strict=True):
        labels = results.config.upstream.labels[0]
        ax.set_title(panels.title("Predictions upstream", labels, name))
        _draw_panel(ax, curves[name])
    forgetting = [_forgetting_text(name, curves[name]) for name in curves]
    return Drawing(figure, forgetting, small_print.not_measured(curves, "memorisation", "ledger"))


def _draw_panel(ax, curves):
    drawn = {curve.quantity: curve for curve in curves if curve.panel == _PANEL}
    if not drawn:
        return style.empty(ax, "no predictions were kept")
    for quantity, (look, text) in _LOOKS.items():
        if quantity in drawn:
            style.band(ax, drawn[quantity], look, text)
    style.level(ax, drawn["chance"].mean[0], "chance")
    ax.set(xlabel="optimiser steps", ylabel="share of the examples of the group", ylim=(0, 1.02))
    style.legend(ax, columns=2)


def _forgetting_text(name, curves):
    """How often the examples of each group are forgotten, for the small print."""
    texts = [
        f"{group} {curve.mean[0]:.2f}"
        for group in GROUPS
        for curve in curves
        if curve.quantity == f"{group}/times_forgotten"
    ]
    if not texts:
        return ""
    of = f", {name}" if name else ""
    return f"Times that an example is forgotten{of}: {', '.join(texts)}."
