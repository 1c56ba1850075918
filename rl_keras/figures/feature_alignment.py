"""Do the filters come to resemble the average gradient of the outputs at their patches?

A column for each variant of the run. Above: the correlation of the filters' Gram matrix with
their average gradient outer product, while training. Below: the same for the change of the
filters since training began. The filters stand on both sides of the comparison, so what
remains of it without any knowledge of the gradients is drawn beside it: the value for an
identity moment of the gradients, and the band of values when the gradients are handed to the
filters in a random order. Only what is above these speaks of features that were learnt.

Flagfile: flags/feature_alignment_cpu.cfg, and any other with --feature_alignment and
--figures=feature_alignment.

Reference:
    Radhakrishnan et al., Science 383 (2024), arXiv 2212.13881; Beaglehole et al., arXiv
    2309.00570, for patches of convolutions.
"""

from dataclasses import replace
from functools import reduce

import numpy as np

from rl_keras.figures import Drawing
from rl_keras.figures.plotting import panels, small_print, style
from rl_keras.results.curves import Curve, mean_curve
from rl_keras.results.runs import Variants

STAGE = "upstream"
ACROSS_VARIANTS = True
FORMS = {  # the panels of the CSV; the first two are drawn
    "gram": "Filters",
    "change": "Change of the filters",
    "traceless": "",
    "change_traceless": "",
}
_HEIGHTS = {"gram": "filters of", "change": "change of"}
_LOOKS = {
    "observed": (style.LAST, "observed"),
    "centered": (style.ORANGE, "observed, gradients centred"),
    "identity": (style.REFERENCE, "identity for the gradients"),
    "permuted": (style.FIRST, "gradients in random order (95%)"),
    "own_gram": (style.MIDDLE, "gradients as correlated as filters"),
}


def read(variants: Variants) -> dict[str, list[Curve]]:
    """Returns the curves of the panels `FORMS`; quantities are LAYER/NAME.

    The panels `traceless` and `change_traceless` take the isotropic part out of both
    matrices and are not drawn. Bounds are 95% intervals of the mean over seeds; those of
    `permuted` are means over seeds of the bounds of 95% of the random orders.
    """
    return {name: _curves(results) for name, results in variants.items()}


def _curves(results):
    keys = results.upstream_keys
    curves = []
    for layer in results.layers("feature_alignment")[:1]:
        for form in FORMS:
            for name in _LOOKS:
                curve = _curve(results, keys, layer, form, name)
                if curve is not None:
                    curves.append(curve)
    return curves


def _curve(results, keys, layer, form, name):
    """One quantity; NaN where it is not defined, as the change at step 0 is not, is left out."""
    prefix = f"feature_alignment/{layer}"
    stack = _stack(results, keys, prefix, f"{form}_{name}")
    if stack is None:
        return None
    curve = mean_curve(form, keys[0], f"{layer}/{name}", *stack)
    if name != "permuted":
        return curve
    ends = [_stack(results, keys, prefix, f"{form}_{name}_{end}") for end in ("low", "high")]
    low, high = (values.mean(axis=0) for _, _, values in ends)
    return replace(curve, low=low, high=high)


def _stack(results, keys, prefix, name):
    """Seeds, steps and values `(seeds, k)` at the steps where all seeds have a finite one."""
    by_seed = {}
    for key in keys:
        arrays = results.arrays(key)
        if f"{prefix}/{name}" in arrays:
            values = arrays[f"{prefix}/{name}"]
            known = np.isfinite(values)
            by_seed[key.seed] = arrays[f"{prefix}/step"][known], values[known]
    if not by_seed:
        return None
    steps = reduce(np.intersect1d, [measured for measured, _ in by_seed.values()])
    values = [value[np.isin(measured, steps)] for measured, value in by_seed.values()]
    return (tuple(by_seed), steps, np.stack(values)) if len(steps) else None


def draw(curves: dict[str, list[Curve]], variants: Variants) -> Drawing:
    shown = list(FORMS)[:2]
    figure, axes = style.subplots(len(variants), rows=[(1.9, 0.72), (1.9, 1.3)])
    for column, (name, results) in zip(axes.T, variants.items(), strict=True):
        labels = results.config.upstream.labels[0]
        for ax, form in zip(column, shown, strict=True):
            ax.set_title(panels.title(FORMS[form], labels, name))
            _draw_panel(ax, [curve for curve in curves[name] if curve.panel == form])
            if results.config.measure.measure_schedule == "logarithmic" and curves[name]:
                ax.set_xscale("symlog", linthresh=1)
                ax.set_xlim(left=-0.2)
        if curves[name]:
            column[-1].set_xlim(column[0].get_xlim())
            style.legend(column[-1], columns=1)
            column[-1].set_xlabel("optimiser steps")
    for row in axes:
        style.share_heights([ax for ax, name in zip(row, curves, strict=True) if curves[name]])
    missing = small_print.not_measured(curves, "feature_alignment", "feature_alignment")
    return Drawing(figure, notes=missing)


def _draw_panel(ax, curves):
    if not curves:
        return style.empty(ax, "feature alignment: not measured")
    for curve in curves:
        layer, _, name = curve.quantity.rpartition("/")
        look, text = _LOOKS[name]
        # The band of random orders does not come from seeds, so one is enough.
        min_seeds = 1 if name == "permuted" else style.MIN_SEEDS
        style.band(ax, curve, look, text, min_seeds=min_seeds, every_point=True)
    ax.set_ylabel(f"correlation, {_HEIGHTS[curves[0].panel]} {layer}")
