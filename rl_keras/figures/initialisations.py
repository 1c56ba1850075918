"""How much of the head start is in the filters, in their covariance, or in their norm alone?

A panel for each kind of downstream labels: training accuracy from each start,
and under it the steps that each start takes to an accuracy of 80%.

Flagfile: flags/fig5_initialisations_cpu.cfg.

Reference:
    Maennel et al., NeurIPS 2020, arXiv 2006.10455, Figure 5.
"""

from rl_keras.figures import Drawing
from rl_keras.figures.plotting import panels, style
from rl_keras.results import quantities
from rl_keras.results.curves import Curve
from rl_keras.results.runs import Results

STAGE = "downstream"
_PERCENT = 80


def read(results: Results) -> list[Curve]:
    """Returns the curves of the panels `accuracy` and `steps_to_80`.

    In `steps_to_80` the cell of a seed that never got there is infinite, and there
    is no mean unless every seed got there.
    """
    arms = quantities.deepest_arms(results.config)
    curves = []
    for labels in results.config.downstream.labels:
        curves += quantities.accuracy(results, labels, arms, probes=("train",))
        curves += quantities.steps_to(results, labels, arms, _PERCENT)
    return curves


def draw(curves: list[Curve], results: Results) -> Drawing:
    kinds = results.config.downstream.labels
    rows = [(2.4, style.legend_space(len(results.config.transfer.starts), 2)), (0.9, 0.45)]
    figure, axes = style.subplots(len(kinds), rows, left=1.45)
    for (above, below), labels in zip(axes.T, kinds, strict=True):
        of_labels = [curve for curve in curves if curve.labels == labels]
        below.sharex(above)
        above.set_title(panels.title("Training downstream", labels))
        panels.accuracy(above, of_labels, test=False)
        if of_labels:
            style.level(above, _PERCENT / 100, f"{_PERCENT}%")
        panels.steps_to(below, of_labels, _PERCENT)
    return Drawing(figure, [quantities.depth_text(results)])
