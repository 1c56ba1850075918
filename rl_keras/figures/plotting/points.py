"""Draws quantities at a few values of x, such as numbers of layers, with their intervals."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from rl_keras.figures.plotting import style
from rl_keras.results.curves import Curve

LINE = 0.08  # height of a line of text, as a share of the panel


def draw_points(
    ax: Axes,
    points: Sequence[Curve],
    look: style.Look,
    label: str | None = None,
    shift: float = 0.0,
    before: Curve | None = None,
) -> None:
    """Draws means joined by a line with their intervals or, for few seeds, a point for each.

    Where a mean is missing, since some seed has no finite value, the seeds that
    have one are drawn alone.

    Args:
        ax: the panel.
        points: curves of one point each, in the order of their `x`.
        look: colour, line and marker.
        label: text of the legend; none by default.
        shift: added to every `x`, to keep the intervals of several lines apart.
        before: a point that another line has drawn and from which this one begins.
    """
    line = {"color": look.color, "linestyle": look.line}
    x = [point.x[0] + shift for point in points]
    if before is not None:
        ax.plot([before.x[0], x[0]], [before.mean[0], points[0].mean[0]], **line)
    ax.plot(x, [point.mean[0] for point in points], marker=look.marker, label=label, **line)
    for at, point in zip(x, points, strict=True):
        values = point.values[np.isfinite(point.values)]
        is_known = len(values) == len(point.seeds)
        if is_known and len(values) >= style.MIN_SEEDS:
            ax.vlines(at, point.low, point.high, color=look.color, linewidth=1.2)
        elif not is_known or len(values) > 1:
            single = {"color": look.color, "marker": look.marker or "o", "linestyle": ""}
            ax.plot([at] * len(values), values, **single, **style.HOLLOW)


def note_missing_seeds(
    ax: Axes, points: Sequence[Curve], look: style.Look, line: int, shift: float = 0.0
) -> None:
    """Writes at the top of the panel how many seeds have a value, where not all of them do.

    Args:
        ax: the panel, with room at the top for the lines.
        points: as drawn by `draw_points`.
        look: colour and marker, which stands before the number.
        line: how many lines of other points are above this one.
        shift: as in `draw_points`.
    """
    height, transform = 0.95 - LINE * line, ax.get_xaxis_transform()
    for point in points:
        reached = int(np.isfinite(point.values).sum())
        if reached < len(point.seeds):
            x, text = point.x[0] + shift, f"{reached} of {len(point.seeds)}"
            hollow = {"color": look.color, "marker": look.marker, **style.HOLLOW}
            ax.plot([x], [height], transform=transform, **hollow)
            ax.annotate(
                text,
                (x, height),
                (4, 0),
                xycoords=transform,
                textcoords="offset points",
                va="center",
                color=look.color,
                fontsize=6.5,
            )
