"""Pictures, drawn from the folder of a run alone: no TensorFlow, no training.

A figure is one file. `figures/NAME.py` is what `--figures=NAME` draws; nothing else names it.
The file has

    a docstring         whose first line is the question of the figure; the report prints it
    STAGE               "upstream" or "downstream", if it is read from these stages alone
    ACROSS_VARIANTS     True if it compares the variants of a run; otherwise each variant gets
                        a figure of its own
    read(results)       reads the numbers
    rows(numbers)       the rows of the CSV: dictionaries, or curves
    draw(numbers, results)    returns a `Drawing`
    table(numbers)      a table to print, if it has one

`results` are the `results.runs.Results` of one run or, with `ACROSS_VARIANTS`, a dictionary
of them by the name of the variant, with the name "" for a run without variants. A figure is not
asked to draw anything unless a stage of its kind is finished.

Most figures read curves: a list of `results.curves.Curve` or, with `ACROSS_VARIANTS`, such a list
for each variant. They need no `rows`, since one layout serves all curves. `STYLE`, a dictionary,
may change settings of matplotlib for one figure.

`plotting.drawing` does the rest: it calls these functions inside the style that all figures share,
puts letters on the panels and the small print under them, saves `figures/NAME.png` and
`figures/NAME.csv` in the folder of the run, and collects the notes to print.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # matplotlib is slow to load, and to know of a figure does not need it
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Drawing:
    """What `draw` of a figure returns.

    Attributes:
        figure: the picture, without letters and small print.
        small_print: sentences to add to those about data, seeds and variants; empty ones are
            left out.
        notes: what to print, such as what was not measured; unfinished stages are noted anyway.
        has_bands: whether the small print explains bands and thin lines.
    """

    figure: Figure
    small_print: Sequence[str] = ()
    notes: Sequence[str] = ()
    has_bands: bool = True
