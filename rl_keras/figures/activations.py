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
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import matplotlib
import numpy as np

from rl_keras.figures.plotting import panels, small_print, style
from rl_keras.figures.plotting.points import draw_points
from rl_keras.figures.plotting.strips import strips
from rl_keras.results import quantities, variants
from rl_keras.results.curves import Curve, mean_curve
from rl_keras.results.runs import Results, read_variants
from rl_keras.storage.run_folder import RunDirectory

NAME = "activations"
_SMALL_PRINT = "Bars: 95% interval of the mean over seeds; thin lines: single seeds."
_TITLE_SIZE = 7.5  # so that the path of a layer fits over a narrow panel
# The fresh network, to which the others are compared, looks like all references.
_LOOKS = {
    "initialisation": (style.REFERENCE, "at initialisation"),
    "upstream_end": (style.MIDDLE, "after upstream training"),
    "switch": (style.FIRST, "right after the switch"),
    "downstream_end": (style.LAST, "after downstream training"),
}
MOMENTS = ("initialisation", "upstream_end", "switch", "downstream_end")
_MOST_LAYERS = 5


def rows(run: RunDirectory) -> list[dict]:
    """Returns the plotted numbers, as `variants.rows` lays them out; quantities are LAYER/MOMENT.

    In the panel `units`, `x` is the place of a unit in per cent, the most active
    first; in `rare`, the number of a layer, counted from the input. `labels` are
    those of the downstream stage, `start` is empty for what was measured upstream.
    """
    found = read_variants(run)
    return _rows(found, cases(found))


def draw(run: RunDirectory) -> tuple[list[Path], list[str]]:
    """Draws what is finished, see `rl_keras.figures`."""
    found = read_variants(run)
    compared = cases(found)
    with style.context(), matplotlib.rc_context({"axes.titlesize": _TITLE_SIZE}):
        num_strips = max(1, *(len(case.shown) for case in compared))
        figure, axes = strips(len(compared), num_strips)
        for case, row in zip(compared, axes, strict=True):
            _draw_case(row, case)
        highest = max(ax.get_ylim()[1] for ax in axes[:, -1])
        for ax in axes[:, -1]:
            ax.set_ylim(-0.02, max(0.1, highest))
        _legend(axes[-1, 0], columns=4 if num_strips > 2 else 2)
        text = f"{small_print.of_variants(run, found, bands=False)} {_SMALL_PRINT}"
        style.finish(figure, [ax for ax in axes.flat if ax.get_visible()], text)
        paths = style.save(figure, run, NAME, _rows(found, compared))
    notes = variants.notes(run, found)
    if not all(case.arm for case in compared):
        notes.append("activations: the switch needs a start that is pretrained; add it to --starts")
    return paths, notes


def _rows(found, compared):
    curves: dict[str, list] = {name: [] for name in found}
    for case in compared:
        curves[case.variant] += [*case.units.values(), *case.rare.values()]
    return variants.rows(curves, found)


def _draw_case(row, case):
    *strip_axes, summary = row
    strip_axes[0].annotate(
        case.title,
        (0, 1),
        (0, 20),
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=9,
        fontweight="bold",
    )
    if not case.units:
        style.empty(strip_axes[0], "activity:\nnot measured")
        style.empty(summary, "activity: not measured")
    for ax in strip_axes[max(len(case.shown), 1) :]:
        ax.set_visible(False)
    for place, (ax, (number, layer)) in enumerate(zip(strip_axes, case.shown, strict=False)):
        ax.set_title(f"{number}: {layer}")
        _draw_units(ax, {m: c for (name, m), c in case.units.items() if name == layer})
        if place:
            ax.tick_params(labelleft=False)
        else:
            ax.set_ylabel(f"share of inputs active on (≥ {panels.LOWEST})")
    if case.units:
        strip_axes[0].set_xlabel("units of the layer, most active first (%)", loc="left")
        _draw_rare(summary, case)


def _legend(ax, columns):
    """All moments, whether or not each of them is in this panel."""
    for look, text in _LOOKS.values():
        line = {"color": look.color, "linestyle": look.line, "marker": look.marker}
        ax.plot([], [], label=text, **line)
    style.legend(ax, columns=columns)


def _draw_units(ax, curves):
    for moment, curve in curves.items():
        look, _ = _LOOKS[moment]
        style.band(ax, curve, look, minimum=panels.LOWEST, min_seeds=math.inf)
    ax.axhspan(panels.LOWEST, panels.RARE, color="0.9", linewidth=0, zorder=0)
    ax.set_yscale("log")
    ax.set(xlim=(0, 100), ylim=(0.9 * panels.LOWEST, 1.15), xticks=(0, 40, 80))


def _draw_rare(ax, case):
    ax.set_title("Rarely active units")
    count = len(case.layers)
    for place, (moment, (look, _)) in enumerate(_LOOKS.items()):
        points = [curve for (_, own), curve in case.rare.items() if own == moment]
        if points:
            draw_points(ax, points, look, shift=(place - 1.5) * 0.06)
    ax.set(xlim=(0.6, count + 0.4), xlabel="hidden layer, counted from the input")
    ax.set_xticks(range(1, count + 1, max(1, math.ceil(count / 14))))
    ax.set_ylabel(f"share of units active on < {panels.RARE:.0%}\nof inputs")


@dataclass(frozen=True)
class Case:
    """One variant and kind of downstream labels.

    Attributes:
        variant: its name; empty without variants.
        title: what it is, for the reader.
        arm: the downstream arm, a pre-trained one; empty if there is none.
        layers: paths of all hidden layers, in the order of the network.
        units: share of inputs on which each unit is active, by layer and moment,
            of the layers of `shown`; `x` is the place of a unit in per cent.
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
        places = np.linspace(0, len(self.layers) - 1, min(_MOST_LAYERS, len(self.layers)))
        return [(int(place) + 1, self.layers[int(place)]) for place in places.round()]


def cases(found: Mapping[str, Results]) -> list[Case]:
    """Returns the cases of a run, one for each variant and kind of downstream labels.

    Args:
        found: as `runs.read_variants` returns them.
    """
    return [
        _case(name, results, labels)
        for name, results in found.items()
        for labels in results.config.downstream.labels
    ]


def _case(name, results, labels):
    upstream, layers = results.config.upstream.labels[0], results.layers("activity")
    arms = [arm for arm in quantities.deepest_arms(results.config) if arm.startswith("pretrained")]
    arm = arms[0] if arms else ""
    title = small_print.title(name, "") + style.LABELS[upstream]
    title += f" → {style.LABELS[labels]}, {style.look_of(arm).label}" if arm else ", upstream"
    case = Case(name, title, arm, tuple(layers))
    before = results.keys("upstream", upstream)
    after = results.keys("downstream", labels, arm) if arm else []
    stages = (before, before, after, after)
    for moment, keys, place in zip(MOMENTS, stages, (0, -1, 0, -1), strict=True):
        for number, layer in enumerate(layers, 1):
            units = results.stack(keys, f"activity/{layer}", "fraction_active")
            rare = results.stack(keys, f"activity/{layer}", "rarely_active")
            if not units or not rare:
                continue
            key, quantity = replace(keys[0], labels=labels), f"{layer}/{moment}"
            case.rare[layer, moment] = _rare_units(key, quantity, rare, place, number)
            if (number, layer) in case.shown:
                case.units[layer, moment] = quantities.sorted_units(
                    "units", key, quantity, units, place
                )
    return case


def _rare_units(key, quantity, stack, place, number):
    seeds, steps, shares = stack
    level = mean_curve("rare", key, quantity, seeds, steps[place], shares[:, place])
    return replace(level, x=np.array([float(number)]))
