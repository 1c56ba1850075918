"""What figures over the variants of a run have in common: rows, notes, titles, small print."""

from collections.abc import Mapping, Sequence

from rl_keras.figures.curves import Curve, to_rows
from rl_keras.figures.reading import Results, footer
from rl_keras.storage import RunDirectory
from rl_keras.variants import variant_names

_LONG = 6  # items of a list that are too many for the small print


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
    words = [_shortened(word) for word in config.run.variants.split()]
    return f"{text} Variants: {' '.join(words)}." if words else text


def _shortened(setting):
    """A setting without the middle of a long list."""
    items = setting.split(",")
    return setting if len(items) < _LONG else ",".join([*items[:2], "...", items[-1]])
