"""A row of narrow panels with one axis of heights, and a wide one at its right."""

import numpy as np
from matplotlib.figure import Figure

from rl_keras.figures.plotting import style

_NARROW, _WIDE, _HEIGHT = 1.4, 2.5, 1.9  # inches, as all below
_LEFT, _GAP, _BETWEEN, _RIGHT = 0.62, 0.14, 0.8, 0.2
_ABOVE, _BELOW, _LEGEND, _SMALL_PRINT = 0.52, 0.42, 0.3, 0.45


def strips(num_rows: int, num_strips: int) -> tuple[Figure, np.ndarray]:
    """Returns a figure and its axes `(num_rows, num_strips + 1)`, the wide ones last.

    Above each row there is space for a heading, under the last one for a legend.

    Args:
        num_rows: number of rows.
        num_strips: number of narrow panels in a row.
    """
    lefts = [_LEFT + number * (_NARROW + _GAP) for number in range(num_strips)]
    lefts.append(lefts[-1] + _NARROW + _BETWEEN)
    widths = [_NARROW] * num_strips + [_WIDE]
    size = (
        lefts[-1] + _WIDE + _RIGHT,
        num_rows * (_ABOVE + _HEIGHT + _BELOW) + _LEGEND + _SMALL_PRINT,
    )
    figure = Figure(figsize=size, dpi=style.DPI)
    axes = np.empty((num_rows, num_strips + 1), dtype=object)
    for row in range(num_rows):
        bottom = size[1] - (row + 1) * (_ABOVE + _HEIGHT) - row * _BELOW
        for column, (left, width) in enumerate(zip(lefts, widths, strict=True)):
            box = (left, bottom, width, _HEIGHT)
            axes[row, column] = figure.add_axes([v / size[i % 2] for i, v in enumerate(box)])
            axes[row, column].margins(x=0.02)
    return figure, axes
