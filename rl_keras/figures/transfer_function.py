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
from pathlib import Path

import numpy as np

from rl_keras.errors import UsageError
from rl_keras.figures.plotting import small_print, style
from rl_keras.papers.printed import printed_curve
from rl_keras.results import quantities, variants
from rl_keras.results.curves import Curve
from rl_keras.results.runs import read_variants
from rl_keras.science.eigenspaces import covariance_of
from rl_keras.science.pooling import pool_runs
from rl_keras.storage.run_folder import RunDirectory

NAME = "transfer_function"
_EPOCHS = (5, 10, 20, 40)  # of Figure 4; of the synthetic panels the paper names none
_NEAR = 0.1  # relative distance up to which a measured step stands for an epoch
_WIDE_RANGE = 50  # ratio of largest to smallest eigenvalue that asks for a logarithmic axis
_SAME = 1e-6  # relative difference up to which two covariances are one
_RELATIVE = ", its baseline at our initial level"
_PAPER = {"color": "black", "marker": "o", "linestyle": "", "markerfacecolor": "white"}


def rows(run: RunDirectory) -> list[dict]:
    """Returns the plotted numbers, as `variants.rows` lays them out.

    Quantities that end in `/transfer` are means over seeds; `/pooled_transfer` is f of the
    last filters of all seeds taken together, with a jackknife interval over seeds. Bounds of
    `paper` are the range that can be read off the printed curve.
    """
    found = read_variants(run, stage="upstream")
    return variants.rows({name: _curves(results) for name, results in found.items()}, found)


def draw(run: RunDirectory) -> tuple[list[Path], list[str]]:
    """Draws what is finished, see `rl_keras.figures`."""
    found = read_variants(run, stage="upstream")
    curves = {name: _curves(results) for name, results in found.items()}
    with style.context():
        figure, axes = style.subplots(len(found), rows=[(2.4, 1.35)])
        for ax, (name, results) in zip(axes[0], found.items(), strict=True):
            labels = results.config.upstream.labels[0]
            title = small_print.title(name, "Transfer function upstream, ", labels)
            ax.set_title(f"{title}{style.LABELS[labels]}")
            _draw_panel(ax, results, curves[name])
        style.finish(figure, axes.flat, _small_print(run, found, curves))
        paths = style.save(figure, run, NAME, variants.rows(curves, found))
        return paths, variants.notes(run, found)


def _curves(results) -> list[Curve]:
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
    """Places of these epochs if they were quantities, else a few spread over the training."""
    epochs = steps / steps_per_epoch
    places = [int(np.abs(epochs - epoch).argmin()) for epoch in wanted]
    if places and np.allclose(epochs[places], wanted, rtol=_NEAR, atol=0):
        return places
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
    covariances = [_covariance(stage, prefix) for stage in stages]
    if not np.allclose(covariances, covariances[0], rtol=0, atol=_SAME * covariances[0].max()):
        return None  # deeper layers see other inputs in each run
    try:
        runs = [stage[f"{prefix}/filters"] for stage in stages]
        pooled = pool_runs(runs, covariances[0], interval="jackknife")
    except UsageError:  # fewer filters than dimensions
        return None
    ends = {"low": pooled.curve_low[kept], "high": pooled.curve_high[kept]}
    name = f"{layer}/pooled_transfer"
    return replace(curve, quantity=name, mean=pooled.curve.values[kept], **ends)


def _covariance(stage, prefix):
    return covariance_of(stage[f"{prefix}/eigenvalues"], stage[f"{prefix}/eigenvectors"])


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


def _small_print(run, found, curves):
    names = [curve.quantity for own in curves.values() for curve in own]
    text = small_print.of_variants(run, found)
    if any("pooled" in name for name in names):
        text += " Seeds pooled: jackknife interval over seeds."
    return text + " Paper: read off by eye." if any("paper" in n for n in names) else text


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
    is_wide = functions[0].x[0] > _WIDE_RANGE * functions[0].x[-1]
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
