"""What figures over the variants of a run have in common: rows, notes, titles, small print."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from rl_keras.checks import MODEL_SETTINGS, OF_EVERY_MODEL
from rl_keras.figures.curves import Curve, to_rows
from rl_keras.figures.reading import Results, footer
from rl_keras.storage import RunDirectory
from rl_keras.variants import variant_names

_LONG = 6  # items of a list that are too many for the small print
_LONG_TEXT = 600  # characters that are


def rows(curves: Mapping[str, Sequence[Curve]], found: Mapping[str, Results]) -> list[dict]:
    """Returns the rows of `curves.to_rows`, the name of the variant in front.

    Args:
        curves: by variant, as `found`.
        found: as `reading.read_variants` returns them.
    """
    seeds = sorted({seed for results in found.values() for seed in results.config.run.seeds})
    return [{"variant": name, **row} for name, own in curves.items() for row in to_rows(own, seeds)]


def notes(run: RunDirectory, found: Mapping[str, Results]) -> list[str]:
    """Returns what is not in the figure: variants, and stages of those that are."""
    names = variant_names(run.read_config())
    lines = [f"variant {name}: nothing is finished to draw" for name in names if name not in found]
    for name, results in found.items():
        lines += [f"variant {name}: {note}" if name else note for note in results.notes]
    return lines


def not_measured(found: Mapping[str, Sequence], figure: str, flag: str) -> list[str]:
    """Returns notes on variants without any curve, and which flag would have had it measured.

    Example:
        >>> not_measured({"a": [], "b": [1]}, "memorisation", "ledger")
        ['variant a: memorisation: not measured; set --ledger']
    """
    note = f"{figure}: not measured; set --{flag}"
    return [f"variant {name}: {note}" if name else note for name, own in found.items() if not own]


def title(name: str, without: str, labels: str = "") -> str:
    """Returns what stands before the kind of labels in the title of a panel.

    Args:
        name: of the variant.
        without: for a run without variants, and for variants that are named like their labels.
        labels: kind of labels.
    """
    return without if name in ("", labels) else f"{name}: "


def small_print(run: RunDirectory, found: Mapping[str, Results], bands: bool = True) -> str:
    """Returns the small print of a figure, with the settings of the variants if there are any."""
    config = run.read_config()
    text = footer(*found.values(), experiment=config.run.experiment, bands=bands)
    words = " ".join(_shortened(word) for word in config.run.variants.split())
    if len(words) > _LONG_TEXT:
        words = f"the {len(variant_names(config))} of the flagfile"
    return f"{text} Variants: {words}." if words else text


def differing(found: Mapping[str, Results]) -> dict[str, list]:
    """Returns the settings of the model that differ between variants, each with its values."""
    models = [dataclasses.asdict(results.config.model) for results in found.values()]
    every = {name: [model[name] for model in models] for name in models[0]}
    return {name: values for name, values in every.items() if len(set(values)) > 1}


def positions(found: Mapping[str, Results]) -> tuple[str | None, dict[str, float]]:
    """Returns the setting by which the variants can be ordered, and the place of each on its axis.

    A list of one number is a number. Without such a setting the places are those in the list.
    """
    settings = differing(found)
    if len(settings) == 1:
        ((name, values),) = settings.items()
        values = [value[0] if np.shape(value) == (1,) else value for value in values]
        is_number = all(isinstance(value, int | float) and value > 0 for value in values)
        if is_number and len(set(values)) == len(values):
            places = sorted(zip(values, found, strict=True))
            return name, {variant: float(value) for value, variant in places}
    return None, {variant: float(place) for place, variant in enumerate(found)}


def by_network(found: Mapping[str, Results]) -> dict[str, list[tuple[float, str, Results]]]:
    """Returns the variants of each network: corruption of their labels, name and results.

    The corruption is the share of labels that are redrawn, 0 of true and 1 of random ones, in
    whose order the variants are.
    """
    names = [name for name in differing(found) if name != "model"]
    networks: dict[str, list] = {}
    for variant, results in found.items():
        model = results.config.model
        own = [name for name in names if name in (*MODEL_SETTINGS[model.model], *OF_EVERY_MODEL)]
        text = " ".join([model.model, *(f"{name} {getattr(model, name)}" for name in own)])
        stage = results.config.upstream
        share = {"true": 0.0, "partial": stage.corruption}.get(stage.labels[0], 1.0)
        networks.setdefault(text, []).append((share, variant, results))
    return {name: sorted(own, key=lambda one: one[0]) for name, own in networks.items()}


def _shortened(setting):
    """A setting without the middle of a long list."""
    items = setting.split(",")
    return setting if len(items) < _LONG else ",".join([*items[:2], "...", items[-1]])
