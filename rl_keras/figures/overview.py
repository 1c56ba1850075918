"""What did the network learn from random labels, and does it help downstream?

Upper row: does the start change how fast the network trains downstream, and do
its filters align with the data while it trains upstream (misalignment, Figure
2)? Lower row: how do the units of the last hidden layer fare across the task
switch (Figure 7), and how much do the filters grow along each direction of the
data (transfer function, Figure 4)?

Flagfile: flags/quickstart.cfg, and any other with --figures=overview.

Reference:
    Maennel et al., NeurIPS 2020, arXiv 2006.10455.
"""

import math
from collections.abc import Iterator

from rl_keras.figures import Drawing
from rl_keras.figures.plotting import panels, small_print, style
from rl_keras.results import quantities
from rl_keras.results.curves import Curve, mean_curve
from rl_keras.results.runs import Results
from rl_keras.science.activity import RARE
from rl_keras.storage.run_folder import StageKey


def read(results: Results) -> list[Curve]:
    """Returns the curves of the panels `accuracy`, `misalignment`, `activity` and `transfer`.

    Bounds are 95% intervals of the mean over seeds; those of `random_basis` are one
    standard deviation over random bases and seeds; `null`, the band of aligned filters, and
    the p-values are those of `quantities.null_curves`.
    """
    arms = quantities.deepest_arms(results.config)
    curves = []
    for labels in results.config.downstream.labels:
        curves += quantities.accuracy(results, labels, arms)
    curves += quantities.misalignment(results)
    curves += quantities.transfer(results, _first_middle_last)[0]
    return curves + list(_activity(results))


def draw(curves: list[Curve], results: Results) -> Drawing:
    by_panel = {
        name: [curve for curve in curves if curve.panel == name]
        for name in ("accuracy", "misalignment", "activity", "transfer")
    }
    kinds, upstream = results.config.downstream.labels, results.config.upstream.labels[0]
    figure, axes = style.subplots(len(kinds) + 1, rows=[(2.2, 1.2), (2.2, 1.1)])
    for (above, below), labels in zip(axes.T, kinds, strict=False):
        above.set_title(panels.title("Training downstream", labels))
        panels.accuracy(above, [c for c in by_panel["accuracy"] if c.labels == labels])
        below.set_title(f"Units at the switch to {style.LABELS[labels]}")
        _draw_activity(below, labels, by_panel["activity"])
    above, below = axes[:, -1]
    above.set_title(panels.title("Alignment upstream", upstream))
    logarithmic = results.config.measure.measure_schedule == "logarithmic"
    panels.misalignment(above, by_panel["misalignment"], logarithmic)
    below.set_title(panels.title("Transfer function upstream", upstream))
    _draw_transfer(below, by_panel["transfer"])
    return Drawing(figure, [quantities.depth_text(results), small_print.p_value_text(curves)])


def _first_middle_last(steps):
    return sorted({0, len(steps) // 2, len(steps) - 1})


def _activity(results) -> Iterator[Curve]:
    """The last hidden layer before, at and after the switch, and of a fresh network."""
    stages = [(StageKey("upstream", results.config.upstream.labels[0], "", 0), (-1,))]
    for labels in results.config.downstream.labels:
        stages.append((StageKey("downstream", labels, "pretrained", 0), (0, -1)))
        stages.append((StageKey("downstream", labels, "scratch", 0), (0,)))
    for layer in results.layers("activity")[-1:]:
        for kind, moments in stages:
            keys = results.keys(kind.stage, kind.labels, kind.start)
            units = results.stack(keys, f"activity/{layer}", "fraction_active")
            rare = results.stack(keys, f"activity/{layer}", "rarely_active")
            for moment in moments if units and rare else ():
                name = f"{layer}/fraction_active"
                yield quantities.sorted_units("activity", kind, name, units, moment)
                seeds, steps, shares = rare
                name, step = f"{layer}/share_rarely_active", steps[moment]
                yield mean_curve("activity", kind, name, seeds, step, shares[:, moment])


def _draw_activity(ax, labels, curves):
    curves = [curve for curve in curves if not curve.start or curve.labels == labels]
    units = [curve for curve in curves if curve.quantity.endswith("/fraction_active")]
    shares = [curve for curve in curves if curve.quantity.endswith("/share_rarely_active")]
    if not units:
        return style.empty(ax, "activity: not measured")
    drawn = []
    for curve, share in zip(units, shares, strict=True):
        look, moment = _moment(curve)
        drawn.append((curve, look, f"{moment}: {share.mean[0]:.0%} rarely active"))
    panels.active_units(ax, drawn)
    style.side_note(ax, math.sqrt(panels.LOWEST_ACTIVITY * RARE), "rarely\nactive")
    layer = units[0].quantity.rpartition("/")[0]
    ax.set_xlabel(f"units of {layer}, most active first (%)")
    ax.set_ylabel(f"share of inputs active on (≥ {panels.LOWEST_ACTIVITY})")
    style.legend(ax, columns=1)


def _moment(curve):
    step = int(curve.steps[0])
    if not curve.start:
        return style.MIDDLE, f"upstream, step {step}"
    if curve.start == "scratch":
        return style.REFERENCE, "from scratch, step 0"
    if step == 0:
        return style.FIRST, "after the switch, step 0"
    return style.LAST, f"downstream, step {step}"


def _draw_transfer(ax, curves):
    """The transfer function f at the first, a middle and the last measurement."""
    if not curves:
        return style.empty(ax, "alignment: not measured")
    layer = curves[0].quantity.rpartition("/")[0]
    functions = [curve for curve in curves if curve.quantity.endswith("/transfer")]
    looks = {1: [style.LAST], 2: [style.FIRST, style.LAST]}.get(
        len(functions), [style.FIRST, style.MIDDLE, style.LAST]
    )
    for curve, look in zip(functions, looks, strict=True):
        style.band(ax, curve, look, f"step {curve.steps[0]}")
    style.level(ax, curves[-1].mean[0], "initial\nlevel")
    ax.set_xscale("log")
    ax.set_ylim(0, 1.05 * ax.get_ylim()[1])
    ax.set(xlabel="eigenvalue of the data covariance", ylabel=f"$f$ of {layer} (sd of weights)")
    style.legend(ax, columns=2)
