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

from pathlib import Path

from rl_keras.figures.plotting import panels, style
from rl_keras.figures.plotting.small_print import of_results, p_value_text
from rl_keras.results import quantities
from rl_keras.results.curves import Curve, mean_curve, to_rows
from rl_keras.results.runs import Results
from rl_keras.storage.run_folder import RunDirectory, StageKey

NAME = "overview"


def rows(run: RunDirectory) -> list[dict]:
    """Returns the plotted numbers of all panels, as `curves.to_rows` lays them out.

    The panels are `accuracy`, `misalignment`, `activity` and `transfer`. Bounds
    are 95% intervals of the mean over seeds; those of `random_basis` are one
    standard deviation over random bases and seeds; `null`, the band of aligned filters, and
    the p-values are those of `quantities.null_curves`.
    """
    results = Results(run)
    return to_rows(_curves(results), results.config.run.seeds)


def draw(run: RunDirectory) -> tuple[list[Path], list[str]]:
    """Draws what is finished, see `rl_keras.figures`."""
    results = Results(run)
    curves = _curves(results)
    kinds, upstream = results.config.downstream.labels, results.config.upstream.labels[0]
    with style.context():
        figure, axes = style.subplots(len(kinds) + 1, rows=[(2.2, 1.2), (2.2, 1.1)])
        for column, labels in enumerate(kinds):
            panels.accuracy(axes[0, column], labels, _of("accuracy", curves))
            panels.activity(axes[1, column], labels, _of("activity", curves))
        logarithmic = results.config.measure.measure_schedule == "logarithmic"
        panels.misalignment(axes[0, -1], upstream, _of("misalignment", curves), logarithmic)
        panels.transfer(axes[1, -1], upstream, _of("transfer", curves))
        text = of_results(results) + quantities.depth_text(results) + p_value_text(curves)
        style.finish(figure, axes.flat, text)
        table = to_rows(curves, results.config.run.seeds)
        return style.save(figure, run, NAME, table), results.notes


def _of(panel, curves):
    return [curve for curve in curves if curve.panel == panel]


def _curves(results) -> list[Curve]:
    arms = quantities.deepest_arms(results.config)
    curves = []
    for labels in results.config.downstream.labels:
        curves += quantities.accuracy(results, labels, arms)
    curves += quantities.misalignment(results)
    curves += quantities.transfer(results, _first_middle_last)[0]
    return curves + list(_activity(results))


def _first_middle_last(steps):
    return sorted({0, len(steps) // 2, len(steps) - 1})


def _activity(results):
    """The last hidden layer before, at and after the switch, and of a fresh network."""
    stages = [(StageKey("upstream", results.config.upstream.labels[0], "", 0), (-1,))]
    for labels in results.config.downstream.labels:
        stages.append((StageKey("downstream", labels, "pretrained", 0), (0, -1)))
        stages.append((StageKey("downstream", labels, "scratch", 0), (0,)))
    for layer in results.layers("activity")[-1:]:
        for kind, places in stages:
            keys = results.keys(kind.stage, kind.labels, kind.start)
            units = results.stack(keys, f"activity/{layer}", "fraction_active")
            rare = results.stack(keys, f"activity/{layer}", "rarely_active")
            for place in places if units and rare else ():
                name = f"{layer}/fraction_active"
                yield quantities.sorted_units("activity", kind, name, units, place)
                seeds, steps, shares = rare
                name, step = f"{layer}/share_rarely_active", steps[place]
                yield mean_curve("activity", kind, name, seeds, step, shares[:, place])
