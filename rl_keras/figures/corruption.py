"""What does it cost to fit partly corrupted labels, and what is left of the test accuracy?

The variants of the run differ in the corruption of their upstream labels and in their
network. Left: the steps to a train accuracy of 99%, as a ratio to those with true labels,
paired by seed. Right: the test error on true labels. A guide shows the error of perfect
generalisation from such labels, and a second one is scaled to what the network reaches on clean
labels.

Any flagfile with --figures=corruption.

Reference:
    Zhang et al., ICLR 2017, arXiv 1611.03530, Figures 1b and 1c; the guides follow
    Chen et al., ICML 2019.
"""

import math
from dataclasses import replace
from itertools import chain

import numpy as np

from rl_keras.figures import Drawing
from rl_keras.figures.plotting import style
from rl_keras.figures.plotting.points import LINE, draw_points, note_missing_seeds
from rl_keras.results.curves import Curve, reached_curve
from rl_keras.results.runs import Variants
from rl_keras.results.variants import by_network
from rl_keras.science.label_noise import guide_accuracy
from rl_keras.science.summaries import first_step_reaching

STAGE = "upstream"
ACROSS_VARIANTS = True
_FITTED = 0.99
_SHIFT = 0.012  # between the points of two networks, in units of the corruption
_SMALL_PRINT = (
    "Bars: 95% interval of the mean over seeds; hollow: single seeds; n of N: seeds that "
    "fitted their labels, if not all did."
)


def read(variants: Variants) -> dict[str, list[Curve]]:
    """Returns the curves of the panels `time` and `error`, one point each; `x` is the corruption.

    `start` is the network. In `time` the value is a ratio, infinite for a seed that never
    fitted its labels, and there is no mean unless every seed did. In `error` it is a
    fraction of the test split.
    """
    curves: dict[str, list[Curve]] = {}
    for network, levels in by_network(variants).items():
        times = {p: _times(results) for p, _, results in levels}
        for p, name, results in levels:
            keys, points = results.upstream_keys, curves.setdefault(name, [])
            if not keys:
                continue
            seeds = [seed for seed in times[p] if np.isfinite(times.get(0.0, {}).get(seed, np.inf))]
            if seeds:
                ratios = [times[p][seed] / times[0.0][seed] for seed in seeds]
                points.append(_point("time", network, keys, seeds, ratios, p))
            errors = {
                key.seed: 1 - results.finished[key]["summary"]["final_test_accuracy_true"]
                for key in keys
                if results.finished[key]["summary"]["final_test_accuracy_true"] is not None
            }
            if errors:
                values = list(errors.values())
                points.append(_point("error", network, keys, list(errors), values, p))
    return curves


def _point(panel, network, keys, seeds, values, x):
    return reached_curve(panel, replace(keys[0], start=network), panel, seeds, values, x)


def _times(results):
    """Steps by seed until the train probe is fitted; infinite where it never was."""
    times = {}
    for key in results.upstream_keys:
        arrays = results.arrays(key)
        step = first_step_reaching(
            arrays["probe/train/step"], arrays["probe/train/accuracy"], _FITTED
        )
        times[key.seed] = math.inf if step is None else float(step)
    return times


def draw(by_variant: dict[str, list[Curve]], variants: Variants) -> Drawing:
    curves = list(chain.from_iterable(by_variant.values()))
    networks = list(dict.fromkeys(curve.start for curve in curves))
    figure, axes = style.subplots(2, rows=[(2.2, 1.0)])
    left, right = axes[0]
    left.set_title(f"Time to fit the labels ({_FITTED:.0%})")
    left.set_ylabel("steps, as a ratio to true labels")
    right.set_title("Test error")
    right.set(ylabel="share of the test split", ylim=(0, 1.02))
    _draw_panel(left, [c for c in curves if c.panel == "time"], networks)
    _draw_panel(right, [c for c in curves if c.panel == "error"], networks)
    style.level(left, 1, "true\nlabels")
    _draw_guides(right, next(iter(variants.values())).num_classes, curves)
    for ax in (left, right):
        ax.set(xlabel="corruption $p$ (share of labels redrawn)", xlim=(-0.04, 1.04))
    left.set_ylim(0, left.get_ylim()[1] / (0.95 - LINE * len(networks)))
    style.legend(left, columns=2, others=[right])
    return Drawing(figure, [_SMALL_PRINT], has_bands=False)


def _draw_panel(ax, curves, networks):
    if not curves:
        return style.empty(ax, "no stage is finished")
    for number, network in enumerate(networks):
        look, shift = style.MOMENTS[::-1][number % 4], (number - (len(networks) - 1) / 2) * _SHIFT
        points = [curve for curve in curves if curve.start == network]
        if points:
            draw_points(ax, points, look, network, shift)
            note_missing_seeds(ax, points, look, number, shift)


def _draw_guides(ax, num_classes, curves):
    p = np.linspace(0, 1, 100)
    perfect = guide_accuracy(p, num_classes, "true")
    line = {"color": style.GREY, "linewidth": 0.8}
    ax.plot(p, 1 - perfect, label="guide: perfect generalisation", **line)
    style.level(ax, 1 - 1 / num_classes, "chance")
    clean = [c for c in curves if c.panel == "error" and c.x[0] == 0]
    for number, curve in enumerate(clean):
        scaled = 1 / num_classes + (perfect - 1 / num_classes) * _gain(curve.mean[0], num_classes)
        label = "guide, scaled to clean labels" if number == 0 else None
        ax.plot(p, 1 - scaled, linestyle=(0, (5, 2)), label=label, **line)


def _gain(error, num_classes):
    """What a network reaches above chance, as a share of what a perfect one does."""
    return (1 - error - 1 / num_classes) / (1 - 1 / num_classes)
