"""How alike are networks trained on random and on true labels, layer by layer?

A panel for centred kernel alignment (linear, unbiased), and one for each of two tolerances of
the maximum match of Wang et al., the share of units of both layers that lie in the span of the
other layer's units up to the tolerance. For each hidden layer these pairs are compared: two kinds
of labels with the same seed, and thus the same initial weights; two kinds with two seeds; one
kind with two seeds; and, as nulls, unrelated outputs. All networks see the same test examples;
of a convolution each example gives one random position.

Flagfile: flags/similarity_cpu.cfg, and any other with --keep_representations and
--figures=similarity.

Reference:
    Kornblith et al., ICML 2019, arXiv 1905.00414; Wang et al., NeurIPS 2018, arXiv
    1810.11750. The nulls are ours.
"""

import numpy as np

from rl_keras.figures import Drawing
from rl_keras.figures.plotting import small_print, style
from rl_keras.results.runs import Variants
from rl_keras.results.similarity import (
    NUM_DRAWS,
    Similarities,
    active_units,
    compare,
    layers_of,
    read_networks,
)

STAGE = "upstream"
ACROSS_VARIANTS = True
_PANELS = {
    "cka": ("Centred kernel alignment", "unbiased linear CKA"),
    "match_0.5": ("Maximum match, tolerance 0.5", "share of units matched"),
    "match_0.7": ("Maximum match, tolerance 0.7", "share of units matched"),
}
_LOOKS = (  # of the kinds of pairs in their order, except the nulls
    style.LAST,
    style.MIDDLE,
    style.ORANGE,
    style.GREEN,
    style.YELLOW,
    style.BLUE,
)
_MOST_NAMES = 5  # layers whose names fit side by side
_NULLS = {"null: shuffled": style.REFERENCE, "null: gaussian": style.FIRST}


def read(variants: Variants) -> tuple[dict, list[dict]]:
    """Returns the networks, as `read_networks` does, and the rows of the CSV.

    There is a row for each measure, layer and kind of pair. `mean`, `low` and `high` are mean
    and range over the pairs; of a null, mean and 95% of the draws. Measures are `cka` and
    `match_TOLERANCE`, and of each variant `active_units`, the share of units that are not
    silent on all examples.
    """
    networks = read_networks(variants)
    return networks, [_row(one) for one in (*active_units(networks), *compare(networks))]


def rows(numbers: tuple[dict, list[dict]]) -> list[dict]:
    """Returns what `read` has as rows."""
    return numbers[1]


def _row(one: Similarities) -> dict:
    ends = (0.025, 0.975) if one.pair.startswith("null") else (0, 1)
    low, high = np.quantile(one.values, ends)
    return {
        "variant": one.variants[0],
        "other_variant": one.variants[1],
        "measure": one.measure,
        "layer": one.layer,
        "pair": one.pair,
        "mean": float(one.values.mean()),
        "low": float(low),
        "high": float(high),
        "num": len(one.values),
    }


def draw(numbers: tuple[dict, list[dict]], variants: Variants) -> Drawing:
    networks, table = numbers
    layers = layers_of(networks)
    pairs = list(dict.fromkeys(row["pair"] for row in table if row["measure"] in _PANELS))
    space = style.legend_space(len(pairs), columns=3) + 0.2
    figure, axes = style.subplots(len(_PANELS), rows=[(2.2, space)])
    for ax, (measure, (title, name)) in zip(axes[0], _PANELS.items(), strict=True):
        ax.set_title(title)
        of_panel = [row for row in table if row["measure"] == measure]
        if of_panel:
            _draw_panel(ax, of_panel, layers, pairs)
            ax.set_ylabel(name)
        else:
            style.empty(ax, "no two networks" if networks else "no representations were kept")
    if pairs:
        style.legend(axes[0, 0], columns=3, others=[axes[0, 1]])
    bars = f"Bars: range over pairs; of nulls 95% of {NUM_DRAWS} draws."
    missing = small_print.not_measured({"": networks}, "similarity", "keep_representations")
    return Drawing(figure, [_sizes(networks, layers), bars], missing, has_bands=False)


def _draw_panel(ax, table, layers, pairs):
    known = [pair for pair in pairs if pair not in _NULLS]
    for number, pair in enumerate(pairs):
        look = _NULLS.get(pair) or _LOOKS[known.index(pair) % len(_LOOKS)]
        of_pair = [row for row in table if row["pair"] == pair]
        if not of_pair:
            continue
        x = np.array([layers.index(row["layer"]) for row in of_pair])
        x = x + 0.05 * (number - (len(pairs) - 1) / 2)
        ax.plot(x, [row["mean"] for row in of_pair], label=pair, **look.line_settings)
        ends = ([row[end] for row in of_pair] for end in ("low", "high"))
        ax.vlines(x, *ends, color=look.color, linewidth=1)
    ax.set_xticks(range(len(layers)), layers)
    if len(layers) > _MOST_NAMES:
        ax.tick_params(axis="x", labelrotation=30, labelsize=5.5)
    ax.set(xlim=(-0.4, len(layers) - 0.6), ylim=(min(0, ax.get_ylim()[0]), 1.03))


def _sizes(networks, layers):
    """How many examples and units there are."""
    if not layers:
        return ""
    arrays = next(iter(networks.values()))
    shapes = [arrays[f"representation/{layer}/sample"].shape for layer in layers]
    units = ", ".join(f"{layer} {shape[1]}" for layer, shape in zip(layers, shapes, strict=True))
    return f"{shapes[0][0]} test examples; units: {units}."
