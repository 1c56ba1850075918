"""The units of every layer at four moments around the switch of tasks."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from rl_keras.figures import across, measured, style
from rl_keras.figures.curves import Curve, mean_curve
from rl_keras.figures.reading import Results

MOMENTS = ("initialisation", "upstream_end", "switch", "downstream_end")
_MOST_LAYERS = 5


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
        found: as `reading.read_variants` returns them.
    """
    return [
        _case(name, results, labels)
        for name, results in found.items()
        for labels in results.config.downstream.labels
    ]


def _case(name, results, labels):
    upstream, layers = results.config.upstream.labels[0], results.layers("activity")
    arms = [arm for arm in measured.deepest_arms(results.config) if arm.startswith("pretrained")]
    arm = arms[0] if arms else ""
    title = across.title(name, "") + style.LABELS[upstream]
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
                case.units[layer, moment] = _sorted_units(key, quantity, units, place)
    return case


def _sorted_units(key, quantity, stack, place):
    """Units are sorted within each seed."""
    seeds, steps, values = stack
    shares = np.sort(values[:, place], axis=1)[:, ::-1]
    percent = 100 * (np.arange(shares.shape[1]) + 0.5) / shares.shape[1]
    return mean_curve("units", key, quantity, seeds, steps[place], shares, x=percent)


def _rare_units(key, quantity, stack, place, number):
    seeds, steps, shares = stack
    level = mean_curve("rare", key, quantity, seeds, steps[place], shares[:, place])
    return replace(level, x=np.array([float(number)]))
