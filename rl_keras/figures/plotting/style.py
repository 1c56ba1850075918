"""The one look of all figures: in grey print, line, marker and lightness tell curves apart."""

import io
import math
import string
import textwrap
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import ScaledTranslation

from rl_keras.results.curves import Curve
from rl_keras.settings.transfer import split_arm
from rl_keras.storage.files import write_bytes
from rl_keras.storage.run_folder import RunDirectory, write_table

DPI = 200
MIN_SEEDS = 3  # an interval from two seeds says little; both are drawn instead
GREY = "0.45"
_WIDTH, _RIGHT, _TOP, _SMALL_PRINT = 3.1, 0.48, 0.28, 0.4  # inches
_CHARACTERS = 20  # of the small print in an inch
SETTINGS = {
    "font.size": 8,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "0.92",
    "grid.linewidth": 0.6,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "legend.handlelength": 3.4,
    "lines.linewidth": 1.4,
    "lines.markersize": 4,
}
LABELS = {
    "true": "true labels",
    "random": "random labels",
    "partial": "partly corrupted labels",
    "permuted": "permuted labels",
}
HOLLOW = {"markersize": 3.5, "markerfacecolor": "white", "markeredgewidth": 0.8}  # one seed


@dataclass(frozen=True)
class Look:
    """How a curve is drawn; `place` shifts its markers away from those of other curves."""

    color: str
    line: str | tuple
    marker: str
    place: int
    label: str = ""


# From dark to light, which is what remains of the colours in grey print.
STARTS = {
    "scratch": Look("#000000", "-", "o", 0, "from scratch"),
    "pretrained": Look("#1a4488", (0, (5, 1.5)), "s", 1, "pretrained"),
    "covariance": Look("#d0673f", (0, (5, 1.5, 1, 1.5)), "D", 2, "drawn from covariance"),
    "pretrained_unscaled": Look("#dfa21c", (0, (1, 1)), "^", 3, "pretrained, not rescaled"),
    "layerwise": Look("#35756f", (0, (7, 1.5, 1, 1.5, 1, 1.5)), "P", 4, "drawn layer by layer"),
}


VARIANTS = (  # as the starts, from dark to light; then round again
    *(replace(look, label="") for look in STARTS.values()),
    Look("#a23b72", (0, (3, 1, 1, 1, 1, 1)), "v", 5),
)


LAST = Look("#3f1d78", "-", "o", 0)


MIDDLE = Look("#8a68b8", (0, (5, 1.5)), "s", 1)


FIRST = Look("#b5a8cc", (0, (1, 1)), "^", 2)


MOMENTS = (  # the last is the darkest
    FIRST,
    Look("#9a7cc4", (0, (5, 1.5, 1, 1.5)), "D", 3),
    Look("#6d49a3", (0, (5, 1.5)), "s", 1),
    LAST,
)


REFERENCE = Look(GREY, (0, (6, 3)), "", 3)


def look_of(arm: str) -> Look:
    """Returns the look of a downstream arm: that of its start, its depth in the label."""
    start, depth = split_arm(arm)
    look = STARTS[start]
    return look if depth is None else replace(look, label=f"{look.label}, {depth} layers")


def context() -> AbstractContextManager:
    """Returns the context in which figures are made and saved."""
    return matplotlib.rc_context(SETTINGS)


def subplots(
    columns: int,
    rows: Sequence[tuple[float, float]],
    left: float = 0.62,
    between: float | None = None,
    width: float = _WIDTH,
) -> tuple[Figure, np.ndarray]:
    """Returns a figure and its axes `(rows, columns)`, all of the same width; in inches.

    The sizes are fixed, so that legends and labels never squeeze a panel.

    Args:
        columns: number of columns.
        rows: for each row the height of its axes, and the space under them for
            labels and legend.
        left: space at the left of each panel.
        between: this space for all columns but the first, if it is another.
        width: width of each panel.
    """
    step = (left if between is None else between) + width + _RIGHT
    size = (left + step * (columns - 1) + width + _RIGHT, _TOP + sum(map(sum, rows)) + _SMALL_PRINT)
    figure = Figure(figsize=size, dpi=DPI)
    axes = np.empty((len(rows), columns), dtype=object)
    top = size[1] - _TOP
    for row, (height, space) in enumerate(rows):
        for column in range(columns):
            box = (left + step * column, top - height, width, height)
            axes[row, column] = figure.add_axes([v / size[i % 2] for i, v in enumerate(box)])
            axes[row, column].margins(x=0.02)
        top -= height + space
    return figure, axes


def band(
    ax: Axes,
    curve: Curve,
    look: Look,
    label: str | None = None,
    minimum: float = -np.inf,
    min_seeds: float = MIN_SEEDS,
    every_point: bool = False,
) -> None:
    """Draws the mean over seeds with its interval or, for fewer seeds, a thin line for each.

    Args:
        ax: the panel.
        curve: the numbers.
        look: colour, line and marker.
        label: text of the legend; none by default.
        minimum: what lies below is drawn here, for logarithmic axes.
        min_seeds: seeds from which the interval is drawn.
        every_point: mark every point, for points that are no more than one can see.
    """
    mean, low, high = (np.maximum(v, minimum) for v in (curve.mean, curve.low, curve.high))
    places = None if every_point else (0.03 + 0.04 * look.place, 0.16)
    line = {"color": look.color, "linestyle": look.line, "marker": look.marker}
    ax.plot(curve.x, mean, label=label, markevery=places, **line)
    if len(curve.seeds) >= min_seeds:
        ax.fill_between(curve.x, low, high, color=look.color, alpha=0.18, linewidth=0)
    elif len(curve.seeds) > 1:
        seeds = np.maximum(curve.values, minimum).T
        ax.plot(curve.x, seeds, color=look.color, linewidth=0.5, alpha=0.7)


def region(ax: Axes, curve: Curve, label: str, minimum: float = -np.inf) -> None:
    """Draws the bounds of a curve as a grey region behind all lines, with an edge for grey print.

    Args:
        ax: the panel.
        curve: the numbers; its mean is not drawn.
        label: text of the legend.
        minimum: what lies below is drawn here, for logarithmic axes.
    """
    low, high = (np.maximum(bound, minimum) for bound in (curve.low, curve.high))
    look = {"facecolor": "0.86", "edgecolor": "0.6", "linewidth": 0.5, "zorder": 0.5}
    ax.fill_between(curve.x, low, high, label=label, **look)


def thin(ax: Axes, curve: Curve, look: Look) -> None:
    """Draws the mean alone, thin and with hollow markers: the companion of a band."""
    line = {"color": look.color, "linestyle": look.line, "marker": look.marker}
    hollow = {"linewidth": 0.7, "markersize": 3.5, "markerfacecolor": "white"}
    places = (0.05 + 0.04 * look.place, 0.16)
    ax.plot(curve.x, curve.mean, markevery=places, markeredgewidth=0.7, **line, **hollow)


def level(ax: Axes, height: float, text: str) -> None:
    """Draws a level, such as chance, across the panel and names it beyond the right end."""
    ax.axhline(height, color=GREY, linestyle=":", linewidth=1, zorder=1)
    side_note(ax, height, text)


def side_note(ax: Axes, height: float, text: str) -> None:
    """Writes beside the panel, at a height of its vertical axis."""
    place = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
    ax.annotate(text, (1, height), (3, 0), va="center", color=GREY, fontsize=7, **place)


def legend(ax: Axes, columns: int, note: str = "", others: Iterable[Axes] = ()) -> None:
    """Puts the legend under the panel, where it covers no curve.

    Args:
        ax: the panel.
        columns: number of columns of the legend.
        note: text for thin lines with hollow markers, if there are any.
        others: further panels whose curves are in the legend, each name once.
    """
    entries = {}
    for panel in (ax, *others):
        for handle, text in zip(*panel.get_legend_handles_labels(), strict=True):
            entries.setdefault(text, handle)
    handles, texts = list(entries.values()), list(entries)
    if note:
        hollow = {"markerfacecolor": "white", "markeredgewidth": 0.7, "markersize": 3.5}
        handles.append(Line2D([], [], color=GREY, linewidth=0.7, marker="o", **hollow))
        texts.append(note)
    place = ax.transAxes + ScaledTranslation(-0.3, -0.4, ax.figure.dpi_scale_trans)
    box = {"bbox_to_anchor": (0, 0), "bbox_transform": place}
    ax.legend(handles, texts, loc="upper left", ncols=columns, borderaxespad=0, **box)


def legend_space(entries: int, columns: int) -> float:
    """Returns the space under a panel, in inches, for its labels, legend and the next title."""
    return 0.68 + 0.17 * math.ceil(entries / columns)


def empty(ax: Axes, text: str) -> None:
    """Says in a panel why nothing is drawn there."""
    ax.set_xticks([])
    ax.set_yticks([])
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", color=GREY)


def finish(figure: Figure, axes: Iterable[Axes], small_print: str) -> None:
    """Letters the panels and adds the small print under them."""
    for letter, ax in zip(string.ascii_lowercase, axes, strict=False):
        ax.set_title(f"({letter}) {ax.get_title('left')}")
    width, height = figure.get_size_inches()
    text = textwrap.fill(small_print, int(width * _CHARACTERS))
    figure.text(0.1 / width, 0.08 / height, text, fontsize=6.5, color="0.35", va="bottom")


def save(figure: Figure, run: RunDirectory, name: str, rows: list[dict]) -> list[Path]:
    """Writes `figures/NAME.png`, and beside it `figures/NAME.csv` with the plotted rows.

    Returns:
        Both paths.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    image, table = (run.figures_path / f"{name}.{kind}" for kind in ("png", "csv"))
    write_table(table, rows)
    write_bytes(image, buffer.getvalue())
    return [image, table]
