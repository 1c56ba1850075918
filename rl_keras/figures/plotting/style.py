"""The style of all figures: line, marker and lightness tell curves apart, in grey print too."""

import math
import string
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import ScaledTranslation

from rl_keras.results.curves import Curve
from rl_keras.settings.transfer import STARTS as ALL_STARTS
from rl_keras.settings.transfer import split_arm

DPI = 200
MIN_SEEDS = 3  # an interval from two seeds says little, so with fewer the seeds are drawn instead
GREY = "0.45"
COLOUR_BAR = "colour bar"  # label of axes that are not a panel and get no letter
_WIDTH, _RIGHT, _TOP, _SMALL_PRINT = 3.1, 0.48, 0.28, 0.4  # inches
WIDE_RANGE = 50  # an axis of eigenvalues is logarithmic above this ratio of largest to smallest
_CHARACTERS = 20  # in an inch of the small print
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
    """How a curve is drawn; `marker_shift` keeps its markers away from those of other curves."""

    color: str
    line: str | tuple
    marker: str
    marker_shift: int
    label: str = ""

    @property
    def line_settings(self) -> dict:
        """Colour, line and marker, as `Axes.plot` takes them."""
        return {"color": self.color, "linestyle": self.line, "marker": self.marker}


# They differ in lightness, line and marker too, so that grey print tells them apart.
BLACK = Look("#000000", "-", "o", 0)
BLUE = Look("#1a4488", (0, (5, 1.5)), "s", 1)
ORANGE = Look("#d0673f", (0, (5, 1.5, 1, 1.5)), "D", 2)
YELLOW = Look("#dfa21c", (0, (1, 1)), "^", 3)
GREEN = Look("#35756f", (0, (7, 1.5, 1, 1.5, 1, 1.5)), "P", 4)
MAGENTA = Look("#a23b72", (0, (3, 1, 1, 1, 1, 1)), "v", 5)

VARIANTS = (BLACK, BLUE, ORANGE, YELLOW, GREEN, MAGENTA)  # in their order; again from the first

_KNOWN_STARTS = {
    "scratch": (BLACK, "from scratch"),
    "pretrained": (BLUE, "pretrained"),
    "covariance": (ORANGE, "drawn from covariance"),
    "pretrained_unscaled": (YELLOW, "pretrained, not rescaled"),
    "layerwise": (GREEN, "drawn layer by layer"),
}
_FREE = (  # for other starts; their lightness is none of those above
    Look("#500a2a", (0, (3, 1, 1, 1, 1, 1)), "v", 5),
    Look("#92d5c2", (0, (9, 2)), "X", 6),
    Look("#8c5a7d", (0, (2, 2)), "<", 7),
)


def looks_of_starts(starts: Iterable[str]) -> dict[str, Look]:
    """Returns the look of each start, with its name in the legend.

    A new start needs no entry here. It gets the next free look and is called by its own name;
    the looks of the others stay as they are.

    Args:
        starts: names of starts, new ones last.
    """
    looks = {}
    num_free = 0
    for start in starts:
        look, label = _KNOWN_STARTS.get(start, (_FREE[num_free % len(_FREE)], start))
        num_free += start not in _KNOWN_STARTS
        looks[start] = replace(look, label=label)
    return looks


STARTS = looks_of_starts(ALL_STARTS)

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


def context(others: Mapping[str, object] | None = None) -> AbstractContextManager:
    """Returns the context in which figures are made and saved.

    Args:
        others: settings of matplotlib that are to be others than `SETTINGS`.
    """
    return matplotlib.rc_context({**SETTINGS, **(others or {})})


def subplots(
    columns: int,
    rows: Sequence[tuple[float, float]],
    left: float = 0.62,
    between: float | None = None,
    width: float = _WIDTH,
    top: float = _TOP,
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
        top: space above the first row, for titles; by default of one line.
    """
    step = (left if between is None else between) + width + _RIGHT
    size = (left + step * (columns - 1) + width + _RIGHT, top + sum(map(sum, rows)) + _SMALL_PRINT)
    figure = Figure(figsize=size, dpi=DPI)
    axes = np.empty((len(rows), columns), dtype=object)
    upper = size[1] - top
    for row, (height, space) in enumerate(rows):
        for column in range(columns):
            box = (left + step * column, upper - height, width, height)
            axes[row, column] = figure.add_axes([v / size[i % 2] for i, v in enumerate(box)])
            axes[row, column].margins(x=0.02)
        upper -= height + space
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
    markers = None if every_point else (0.03 + 0.04 * look.marker_shift, 0.16)
    ax.plot(curve.x, mean, label=label, markevery=markers, **look.line_settings)
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
    markers = (0.05 + 0.04 * look.marker_shift, 0.16)
    hollow = {"markersize": 3.5, "markerfacecolor": "white", "markeredgewidth": 0.7}
    line = {"linewidth": 0.7, "markevery": markers}
    ax.plot(curve.x, curve.mean, **look.line_settings, **line, **hollow)


def level(ax: Axes, height: float, text: str) -> None:
    """Draws a level, such as chance, across the panel and names it beyond the right end."""
    ax.axhline(height, color=GREY, linestyle=":", linewidth=1, zorder=1)
    side_note(ax, height, text)


def side_note(ax: Axes, height: float, text: str) -> None:
    """Writes beside the panel, at a height of its vertical axis."""
    beside = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
    ax.annotate(text, (1, height), (3, 0), va="center", color=GREY, fontsize=7, **beside)


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
    below = ax.transAxes + ScaledTranslation(-0.3, -0.4, ax.figure.dpi_scale_trans)
    box = {"bbox_to_anchor": (0, 0), "bbox_transform": below}
    ax.legend(handles, texts, loc="upper left", ncols=columns, borderaxespad=0, **box)


def legend_space(entries: int, columns: int) -> float:
    """Returns the space under a panel, in inches, for its labels, legend and the next title."""
    return 0.68 + 0.17 * math.ceil(entries / columns)


def share_heights(axes: Sequence[Axes]) -> None:
    """Gives panels the same vertical axis, so that they can be compared."""
    ends = [ax.get_ylim() for ax in axes]
    for ax in axes:
        ax.set_ylim(min(low for low, _ in ends), max(high for _, high in ends))


def empty(ax: Axes, text: str) -> None:
    """Says in a panel why nothing is drawn there."""
    ax.set_xticks([])
    ax.set_yticks([])
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", color=GREY)


def finish(figure: Figure, small_print: str) -> None:
    """Letters the panels, in the order in which they were made, and adds the small print."""
    panels = [ax for ax in figure.axes if ax.get_visible() and ax.get_label() != COLOUR_BAR]
    for letter, ax in zip(string.ascii_lowercase, panels, strict=False):
        ax.set_title(f"({letter}) {ax.get_title('left')}")
    width, height = figure.get_size_inches()
    text = textwrap.fill(small_print, int(width * _CHARACTERS))
    figure.text(0.1 / width, 0.08 / height, text, fontsize=6.5, color="0.35", va="bottom")
