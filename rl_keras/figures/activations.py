"""What becomes of the units when the task is switched: are they still in use?

A row for each variant, such as the positive and the negative case of transfer. At four
moments: the share of inputs on which each unit is active, units sorted, in up to five
layers; and at the right, for every hidden layer, the share of units that are active on
under 1% of the inputs. The inputs are those of the downstream task at all four moments.

Any flagfile with --figures=activations.

Reference:
    Maennel et al., NeurIPS 2020, arXiv 2006.10455, Figure 7.
"""

import math
from dataclasses import dataclass, field, replace

import numpy as np
from matplotlib.figure import Figure

from rl_keras.figures import Drawing
from rl_keras.figures.plotting import panels, style
from rl_keras.figures.plotting.points import draw_points
from rl_keras.results import quantities
from rl_keras.results.curves import Curve, mean_curve
from rl_keras.results.runs import Variants
from rl_keras.science.activity import RARE

ACROSS_VARIANTS = True
STYLE = {"axes.titlesize": 7.5}  # so that the path of a layer fits over a narrow panel
_SMALL_PRINT = "Bars: 95% interval of the mean over seeds; thin lines: single seeds."
# The fresh network, to which the others are compared, looks like all references.
_LOOKS = {
    "initialisation": (style.REFERENCE, "at initialisation"),
    "upstream_end": (style.MIDDLE, "after upstream training"),
    "switch": (style.FIRST, "right after the switch"),
    "downstream_end": (style.LAST, "after downstream training"),
}
_MOST_LAYERS = 5
# Of the panels and the space around them, in inches: narrow ones for the layers, a wide one.
_NARROW, _WIDE, _HEIGHT = 1.4, 2.5, 1.9
_LEFT, _GAP, _BETWEEN, _RIGHT = 0.62, 0.14, 0.8, 0.2
_ABOVE, _BELOW, _LEGEND, _SMALL_PRINT_HEIGHT = 0.52, 0.42, 0.3, 0.45


@dataclass(frozen=True)
class Case:
    """One variant and kind of downstream labels.

    Attributes:
        variant: its name; empty without variants.
        title: what it is, for the reader.
        arm: the downstream arm, a pre-trained one; empty if there is none.
        layers: paths of all hidden layers, in the order of the network.
        units: share of inputs on which each unit is active, by layer and moment,
            of the layers of `shown`; `x` is the rank of a unit in per cent.
        rare: share of rarely active units, by layer and moment; `x` is the number
            of the layer, counted from the input.
    """

    variant: str
    title: str
    arm: str
    layers: tuple[str, ...]
    units: dict[tuple[str, str], Curve] = field(default_factory=dict)
    rare: dict[tuple[str, str], Curve] = field(default_factory=dict)

    @property
    def shown(self) -> list[tuple[int, str]]:
        """Numbers and paths of up to five layers: first, evenly spaced, last."""
        count = len(self.layers)
        indices = np.linspace(0, count - 1, min(_MOST_LAYERS, count)).round().astype(int)
        return [(int(index) + 1, self.layers[index]) for index in indices]


def read(variants: Variants) -> list[Case]:
    """Returns the cases of a run, one for each variant and kind of downstream labels."""
    return [
        _case(name, results, labels)
        for name, results in variants.items()
        for labels in results.config.downstream.labels
    ]


def _case(name, results, labels):
    upstream, layers = results.config.upstream.labels[0], results.layers("activity")
    arms = [arm for arm in quantities.deepest_arms(results.config) if arm.startswith("pretrained")]
    arm = arms[0] if arms else ""
    title = (f"{name}: " if name else "") + style.LABELS[upstream]
    title += f" → {style.LABELS[labels]}, {style.look_of(arm).label}" if arm else ", upstream"
    case = Case(name, title, arm, tuple(layers))
    before = results.keys("upstream", upstream)
    after = results.keys("downstream", labels, arm) if arm else []
    stages = (before, before, after, after)
    for moment, keys, index in zip(_LOOKS, stages, (0, -1, 0, -1), strict=True):
        for number, layer in enumerate(layers, 1):
            units = results.stack(keys, f"activity/{layer}", "fraction_active")
            rare = results.stack(keys, f"activity/{layer}", "rarely_active")
            if not units or not rare:
                continue
            key, quantity = replace(keys[0], labels=labels), f"{layer}/{moment}"
            case.rare[layer, moment] = _rare_units(key, quantity, rare, index, number)
            if (number, layer) in case.shown:
                curve = quantities.sorted_units("units", key, quantity, units, index)
                case.units[layer, moment] = curve
    return case


def _rare_units(key, quantity, stack, index, number):
    seeds, steps, shares = stack
    level = mean_curve("rare", key, quantity, seeds, steps[index], shares[:, index])
    return replace(level, x=np.array([float(number)]))


def rows(cases: list[Case]) -> dict[str, list[Curve]]:
    """Returns the curves by variant; quantities are LAYER/MOMENT.

    In the panel `units`, `x` is the rank of a unit in per cent, the most active
    first; in `rare`, the number of a layer, counted from the input. `labels` are
    those of the downstream stage, `start` is empty for what was measured upstream.
    """
    curves: dict[str, list[Curve]] = {}
    for case in cases:
        of_variant = curves.setdefault(case.variant, [])
        of_variant += [*case.units.values(), *case.rare.values()]
    return curves


def draw(cases: list[Case], variants: Variants) -> Drawing:
    num_strips = max(1, *(len(case.shown) for case in cases))
    figure, axes = _strips(len(cases), num_strips)
    for case, row in zip(cases, axes, strict=True):
        _draw_case(row, case)
    highest = max(ax.get_ylim()[1] for ax in axes[:, -1])
    for ax in axes[:, -1]:
        ax.set_ylim(-0.02, max(0.1, highest))
    _legend(axes[-1, 0], columns=4 if num_strips > 2 else 2)
    notes = []
    if not all(case.arm for case in cases):
        notes = ["activations: the switch needs a start that is pretrained; add it to --starts"]
    return Drawing(figure, [_SMALL_PRINT], notes, has_bands=False)


def _strips(num_rows, num_strips):
    """A figure and its axes `(num_rows, num_strips + 1)`, the wide ones last.

    Above each row there is space for a heading, under the last one for a legend.
    """
    lefts = [_LEFT + number * (_NARROW + _GAP) for number in range(num_strips)]
    lefts.append(lefts[-1] + _NARROW + _BETWEEN)
    widths = [_NARROW] * num_strips + [_WIDE]
    size = (
        lefts[-1] + _WIDE + _RIGHT,
        num_rows * (_ABOVE + _HEIGHT + _BELOW) + _LEGEND + _SMALL_PRINT_HEIGHT,
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


def _draw_case(row, case):
    *strips, summary = row
    strips[0].annotate(
        case.title,
        (0, 1),
        (0, 20),
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=9,
        fontweight="bold",
    )
    if not case.units:
        style.empty(strips[0], "activity:\nnot measured")
        style.empty(summary, "activity: not measured")
    for ax in strips[max(len(case.shown), 1) :]:
        ax.set_visible(False)
    for ax, (number, layer) in zip(strips, case.shown, strict=False):
        ax.set_title(f"{number}: {layer}")
        curves = {m: curve for (name, m), curve in case.units.items() if name == layer}
        panels.active_units(ax, [(curve, _LOOKS[m][0], None) for m, curve in curves.items()])
        ax.set_xticks((0, 40, 80))
        if ax is strips[0]:
            ax.set_ylabel(f"share of inputs active on (≥ {panels.LOWEST_ACTIVITY})")
        else:
            ax.tick_params(labelleft=False)
    if case.units:
        strips[0].set_xlabel("units of the layer, most active first (%)", loc="left")
        _draw_rare(summary, case)


def _legend(ax, columns):
    """All moments, whether or not each of them is in this panel."""
    for look, text in _LOOKS.values():
        ax.plot([], [], label=text, **look.line_settings)
    style.legend(ax, columns=columns)


def _draw_rare(ax, case):
    ax.set_title("Rarely active units")
    count = len(case.layers)
    for number, (moment, (look, _)) in enumerate(_LOOKS.items()):
        points = [curve for (_, at), curve in case.rare.items() if at == moment]
        if points:
            draw_points(ax, points, look, shift=(number - 1.5) * 0.06)
    ax.set(xlim=(0.6, count + 0.4), xlabel="hidden layer, counted from the input")
    ax.set_xticks(range(1, count + 1, max(1, math.ceil(count / 14))))
    ax.set_ylabel(f"share of units active on < {RARE:.0%}\nof inputs")
