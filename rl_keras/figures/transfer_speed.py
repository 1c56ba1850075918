"""Does pre-training on random labels help or hurt the task that follows?

A column for each variant of the run and kind of downstream labels: accuracy on the
train and the test probe from each start, and under it the steps that each start takes
to a train accuracy of 90%.

Any flagfile with --figures=transfer_speed.

Reference:
    Maennel et al., NeurIPS 2020, arXiv 2006.10455, Figure 1.
"""

from itertools import chain

from rl_keras.figures import Drawing
from rl_keras.figures.plotting import panels, style
from rl_keras.results import quantities
from rl_keras.results.curves import Curve
from rl_keras.results.runs import Variants

STAGE = "downstream"
ACROSS_VARIANTS = True
_PERCENT = 90
_MANY = 3  # columns that are drawn narrower


def read(variants: Variants) -> dict[str, list[Curve]]:
    """Returns the curves of the panels `accuracy` and `steps_to_90`.

    In `steps_to_90` the cell of a seed that never got there is infinite, and there
    is no mean unless every seed got there.
    """
    return {name: _curves(results) for name, results in variants.items()}


def _curves(results):
    arms = quantities.deepest_arms(results.config)
    curves = []
    for labels in results.config.downstream.labels:
        curves += quantities.accuracy(results, labels, arms)
        curves += quantities.steps_to(results, labels, arms, _PERCENT)
    return curves


def draw(curves: dict[str, list[Curve]], variants: Variants) -> Drawing:
    columns = [
        (name, labels)
        for name, results in variants.items()
        for labels in results.config.downstream.labels
    ]
    starts = (curve.start for curve in chain.from_iterable(curves.values()))
    arms = list(dict.fromkeys(filter(None, starts)))
    figure, axes = _axes(len(columns), len(arms))
    for (above, below), (name, labels) in zip(axes.T, columns, strict=True):
        of_column = [curve for curve in curves[name] if curve.labels == labels]
        below.sharex(above)
        above.set_title(panels.title("Downstream", labels, name))
        panels.accuracy(above, of_column, legend=False)
        panels.steps_to(below, of_column, _PERCENT, arms)
        if of_column:
            style.level(above, _PERCENT / 100, f"{_PERCENT}%")
        if above is not axes[0, 0]:
            above.set_ylabel("")
            below.set_yticklabels([])
    style.legend(axes[0, 0], 2 * len(columns), panels.TEST_NOTE, others=axes[0, 1:])
    return Drawing(figure, [quantities.depth_text(*variants.values())])


def _axes(columns, num_arms):
    """Narrow panels if there are many; only the first has names at its left."""
    rows = [(2.2, style.legend_space(num_arms + 1, 2 * columns)), (0.9, 0.5)]
    width = {} if columns < _MANY else {"width": 2.1}
    return style.subplots(columns, rows, left=1.45, between=0.45, **width)
