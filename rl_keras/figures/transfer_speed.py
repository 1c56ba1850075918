"""Does pre-training on random labels help or hurt the task that follows?

A column for each variant of the run and kind of downstream labels: accuracy on the
train and the test probe from each start, and under it the steps that each start takes
to a train accuracy of 90%.

Any flagfile with --figures=transfer_speed.

Reference:
    Maennel et al., NeurIPS 2020, arXiv 2006.10455, Figure 1.
"""

from pathlib import Path

from rl_keras.figures.plotting import panels, small_print, style
from rl_keras.results import quantities, variants
from rl_keras.results.curves import Curve
from rl_keras.results.runs import Results, read_variants
from rl_keras.storage.run_folder import RunDirectory

NAME = "transfer_speed"
_PERCENT = 90
_MANY = 3  # columns that are drawn narrower


def rows(run: RunDirectory) -> list[dict]:
    """Returns the plotted numbers of both rows of panels, as `variants.rows` lays them out.

    In the panel `steps_to_90` the cell of a seed that never got there is infinite,
    and there is no mean unless every seed got there.
    """
    found = read_variants(run, stage="downstream")
    return variants.rows({name: _curves(results) for name, results in found.items()}, found)


def draw(run: RunDirectory) -> tuple[list[Path], list[str]]:
    """Draws what is finished, see `rl_keras.figures`."""
    found = read_variants(run, stage="downstream")
    curves = {name: _curves(results) for name, results in found.items()}
    columns = [
        (name, labels)
        for name, results in found.items()
        for labels in results.config.downstream.labels
    ]
    with style.context():
        arms = list(dict.fromkeys(c.start for own in curves.values() for c in own if c.start))
        figure, axes = _axes(len(columns), len(arms))
        for (above, below), (name, labels) in zip(axes.T, columns, strict=True):
            mine = [curve for curve in curves[name] if curve.labels == labels]
            title = small_print.title(name, "Downstream, ", labels)
            below.sharex(above)
            panels.accuracy(above, labels, mine, title=title, legend=False)
            panels.steps_to(below, mine, _PERCENT, arms)
            if mine:
                style.level(above, _PERCENT / 100, f"{_PERCENT}%")
            if above is not axes[0, 0]:
                above.set_ylabel("")
                below.set_yticklabels([])
        style.legend(axes[0, 0], 2 * len(columns), panels.TEST_NOTE, others=axes[0, 1:])
        text = small_print.of_variants(run, found) + quantities.depth_text(*found.values())
        style.finish(figure, axes.flat, text)
        paths = style.save(figure, run, NAME, variants.rows(curves, found))
        return paths, variants.notes(run, found)


def _axes(columns, num_arms):
    """Narrow panels if there are many; only the first has names at its left."""
    rows = [(2.2, style.legend_space(num_arms + 1, 2 * columns)), (0.9, 0.5)]
    width = {} if columns < _MANY else {"width": 2.1}
    return style.subplots(columns, rows, left=1.45, between=0.45, **width)


def _curves(results: Results) -> list[Curve]:
    arms = quantities.deepest_arms(results.config)
    curves = []
    for labels in results.config.downstream.labels:
        curves += quantities.accuracy(results, labels, arms)
        curves += quantities.steps_to(results, labels, arms, _PERCENT)
    return curves
