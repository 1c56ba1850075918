"""How much of the head start is in the filters, in their covariance, or in their norm alone?

A panel for each kind of downstream labels: training accuracy from each start,
and under it the steps that each start takes to an accuracy of 80%.

Flagfile: flags/fig5_initialisations_cpu.cfg.

Reference:
    Maennel et al., NeurIPS 2020, arXiv 2006.10455, Figure 5.
"""

from pathlib import Path

from rl_keras.figures.plotting import panels, style
from rl_keras.figures.plotting.small_print import of_results
from rl_keras.results import quantities
from rl_keras.results.curves import Curve, to_rows
from rl_keras.results.runs import Results
from rl_keras.storage.run_folder import RunDirectory

NAME = "initialisations"
_PERCENT = 80


def rows(run: RunDirectory) -> list[dict]:
    """Returns the plotted numbers of both kinds of panels, as `curves.to_rows` lays them out.

    In the panel `steps_to_80` the cell of a seed that never got there is
    infinite, and there is no mean unless every seed got there.
    """
    results = Results(run, stage="downstream")
    return to_rows(_curves(results), results.config.run.seeds)


def draw(run: RunDirectory) -> tuple[list[Path], list[str]]:
    """Draws what is finished, see `rl_keras.figures`."""
    results = Results(run, stage="downstream")
    curves = _curves(results)
    kinds = results.config.downstream.labels
    rows = [(2.4, style.legend_space(len(results.config.transfer.starts), 2)), (0.9, 0.45)]
    with style.context():
        figure, axes = style.subplots(len(kinds), rows, left=1.45)
        for (above, below), labels in zip(axes.T, kinds, strict=True):
            mine = [curve for curve in curves if curve.labels == labels]
            below.sharex(above)
            panels.accuracy(above, labels, mine, test=False)
            if mine:
                style.level(above, _PERCENT / 100, f"{_PERCENT}%")
            panels.steps_to(below, mine, _PERCENT)
        style.finish(figure, axes.flat, of_results(results) + quantities.depth_text(results))
        table = to_rows(curves, results.config.run.seeds)
        return style.save(figure, run, NAME, table), results.notes


def _curves(results) -> list[Curve]:
    arms = quantities.deepest_arms(results.config)
    curves = []
    for labels in results.config.downstream.labels:
        curves += quantities.accuracy(results, labels, arms, probes=("train",))
        curves += quantities.steps_to(results, labels, arms, _PERCENT)
    return curves
