"""Along which axes of the data do the filters grow?

A panel for each variant of the run: the standard deviation f of the filters along each
eigenvector of the data covariance, against its eigenvalue (for synthetic inputs against its
root, as the paper has it), at some moments of the upstream training; flat means that nothing
was learnt. Values that the paper shows for the same inputs, network and labels are drawn as
open markers.

Flagfiles: flags/fig2_misalignment_cpu.cfg, flags/fig20_left.cfg, flags/fig20_middle.cfg and
flags/fig20_right.cfg, and any other with --figures=transfer_function.

Reference:
    Maennel et al., NeurIPS 2020, arXiv 2006.10455, Definition 3, Figures 4 and 20.
"""

import math
from dataclasses import replace
from functools import partial
from itertools import chain

import numpy as np

from rl_keras.errors import UsageError
from rl_keras.figures import Drawing
from rl_keras.figures.plotting import panels, style
from rl_keras.papers.printed import printed_curve
from rl_keras.results import quantities
from rl_keras.results.curves import Curve
from rl_keras.results.pooled_filters import data_axes, seeds_of_other_data
from rl_keras.results.runs import Variants
from rl_keras.science.eigenspaces import covariance_of
from rl_keras.science.pooling import pool_runs

STAGE = "upstream"
ACROSS_VARIANTS = True
_EPOCHS = (5, 10, 20, 40)  # those of Figure 4; the paper gives none for Gaussian inputs
_NEAR = 0.1  # relative distance up to which a measured step stands for an epoch
_RELATIVE = ", its baseline at our initial level"
_PAPER = {"color": "black", "marker": "o", "linestyle": "", "markerfacecolor": "white"}


def read(variants: Variants) -> dict[str, list[Curve]]:
    """Returns the curves of the panel `transfer`.

    Quantities that end in `/transfer` are means over seeds; `/pooled_transfer` is f of the
    last filters of all seeds taken together, with a jackknife interval over seeds. Bounds of
    `paper` are the range that can be read off the printed curve.
    """
    return {name: _curves(results) for name, results in variants.items()}


def _curves(results):
    wanted = () if _is_synthetic(results) else _EPOCHS
    moments = partial(_moments, _steps_per_epoch(results), wanted)
    curves, kept = quantities.transfer(results, moments)
    if not curves:
        return []
    *functions, level = curves
    pooled = _pooled(results, functions[-1], kept)
    functions[-1:] = [pooled] if pooled else functions[-1:]
    if _is_synthetic(results):
        functions = [replace(curve, x=np.sqrt(curve.x)) for curve in functions]
    return [*functions, level, *_from_paper(results.config, level)]


def _is_synthetic(results):
    return results.config.data.is_synthetic


def _steps_per_epoch(results):
    steps = next(iter(results.finished.values()))["summary"]["steps"]
    return steps / results.config.upstream.epochs


def _moments(steps_per_epoch, wanted, steps):
    """Indices of the steps at these epochs if all were measured, else of a few spread evenly."""
    epochs = steps / steps_per_epoch
    nearest = [int(np.abs(epochs - epoch).argmin()) for epoch in wanted]
    if nearest and np.allclose(epochs[nearest], wanted, rtol=_NEAR, atol=0):
        return nearest
    last = len(steps) - 1
    return sorted({0, last // 4, (last + 1) // 2, last})


def _pooled(results, curve, kept):
    """The curve of the last step with the filters of all seeds as one set, if they are stored."""
    layer = curve.quantity.rpartition("/")[0]
    prefix = f"alignment/{layer}"
    stages = [results.arrays(key) for key in results.finished if key.seed in curve.seeds]
    is_last = all(stage[f"{prefix}/step"][-1] == curve.steps[0] for stage in stages)
    if len(stages) < 2 or not is_last or any(f"{prefix}/filters" not in s for s in stages):
        return None
    axes = {number: data_axes(stage, prefix) for number, stage in enumerate(stages)}
    if seeds_of_other_data(axes):
        return None  # deeper layers see other inputs in each run
    try:
        runs = [stage[f"{prefix}/filters"] for stage in stages]
        pooled = pool_runs(runs, covariance_of(*axes[0]), interval="jackknife")
    except UsageError:  # fewer filters than dimensions
        return None
    ends = {"low": pooled.curve_low[kept], "high": pooled.curve_high[kept]}
    name = f"{layer}/pooled_transfer"
    return replace(curve, quantity=name, mean=pooled.curve.values[kept], **ends)


def _from_paper(config, level) -> list[Curve]:
    panel = printed_curve(config)
    if panel is None:
        return []
    x, low, high = np.transpose(panel.points)
    scale, name = 1.0, f"paper ({panel.source})"
    if panel.baseline is not None:
        scale, name = level.mean[0] / panel.baseline, name + _RELATIVE
    return [
        replace(
            level,
            quantity=name,
            seeds=(),
            steps=np.full(len(x), math.nan),
            x=x,
            values=np.empty((0, len(x))),
            mean=scale * (low + high) / 2,
            low=scale * low,
            high=scale * high,
        )
    ]


def draw(curves: dict[str, list[Curve]], variants: Variants) -> Drawing:
    figure, axes = style.subplots(len(variants), rows=[(2.4, 1.35)])
    for ax, (name, results) in zip(axes[0], variants.items(), strict=True):
        labels = results.config.upstream.labels[0]
        ax.set_title(panels.title("Transfer function upstream", labels, name))
        _draw_panel(ax, results, curves[name])
    drawn = " ".join(curve.quantity for curve in chain.from_iterable(curves.values()))
    sentences = []
    if "pooled" in drawn:
        sentences.append("Seeds pooled: jackknife interval over seeds.")
    if "paper" in drawn:
        sentences.append("Paper: read off by eye.")
    return Drawing(figure, sentences)


def _draw_panel(ax, results, curves):
    if not curves:
        return style.empty(ax, "alignment: not measured")
    per_epoch = _steps_per_epoch(results)
    functions = [curve for curve in curves if curve.quantity.endswith("transfer")]
    for curve, look in zip(functions, style.MOMENTS[-len(functions) :], strict=True):
        text = f"step {curve.steps[0]} (epoch {curve.steps[0] / per_epoch:.3g})"
        pooled = f", {len(curve.seeds)} seeds pooled" if "pooled" in curve.quantity else ""
        style.band(ax, curve, look, text + pooled, every_point=True)
    layer, _, _ = functions[0].quantity.rpartition("/")
    for curve in curves[len(functions) :]:
        if curve.quantity.startswith("paper"):
            errors = [curve.mean - curve.low, curve.high - curve.mean]
            ax.errorbar(curve.x, curve.mean, errors, label=curve.quantity, zorder=3, **_PAPER)
        else:
            style.level(ax, curve.mean[0], "initial\nlevel")
    is_wide = functions[0].x[0] > style.WIDE_RANGE * functions[0].x[-1]
    if is_wide:
        ax.set_xscale("log")
    if any(curve.quantity.endswith(_RELATIVE) for curve in curves):
        ax.set_yscale("log")
    elif is_wide:
        ax.set_ylim(0, 1.05 * ax.get_ylim()[1])
    name = (
        r"$\sigma$ of the data" if _is_synthetic(results) else "eigenvalue of the data covariance"
    )
    ax.set(xlabel=name, ylabel=f"$f$ of {layer} (sd of weights)")
    style.legend(ax, columns=1)
