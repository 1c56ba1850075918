"""How alike are networks trained on random and on true labels, layer by layer?

Centred kernel alignment (linear, unbiased), and the maximum match of Wang et al., the share of
units of both layers that lie in the span of the other's up to a tolerance, at two of them. For
each hidden layer: two kinds of labels from the same seed, which share their first weights,
and from two seeds; one kind from two seeds; and what unrelated outputs score. Both look at
the same test examples, of a convolution at one random position of each.

Flagfile: flags/similarity_cpu.cfg, and any other with --keep_representations and
--figures=similarity.

Reference:
    Kornblith et al., ICML 2019, arXiv 1905.00414; Wang et al., NeurIPS 2018, arXiv
    1810.11750. The nulls are ours.
"""

from pathlib import Path

import numpy as np

from rl_keras.figures.plotting import small_print, style
from rl_keras.results import variants
from rl_keras.results.runs import read_variants
from rl_keras.results.similarity import (
    NUM_DRAWS,
    Similarities,
    active_units,
    compare,
    layers_of,
    read_networks,
)
from rl_keras.storage.run_folder import RunDirectory

NAME = "similarity"
_PANELS = {
    "cka": ("Centred kernel alignment", "unbiased linear CKA"),
    "match_0.5": ("Maximum match, tolerance 0.5", "share of units matched"),
    "match_0.7": ("Maximum match, tolerance 0.7", "share of units matched"),
}
_LOOKS = (  # of pairs, in their order; nulls have their own
    style.LAST,
    style.MIDDLE,
    style.STARTS["covariance"],
    style.STARTS["layerwise"],
    style.STARTS["pretrained_unscaled"],
    style.STARTS["pretrained"],
)
_MOST_NAMES = 5  # layers whose names fit side by side
_NULLS = {"null: shuffled": style.REFERENCE, "null: gaussian": style.FIRST}


def rows(run: RunDirectory) -> list[dict]:
    """Returns a row for each measure, layer and kind of pair.

    `mean`, `low` and `high` are mean and range over the pairs; of a null, mean and 95% of
    the draws. Measures are `cka` and `match_TOLERANCE`, and of each variant `active_units`,
    the share of units that are not silent on all examples.
    """
    return _rows(read_networks(read_variants(run, stage="upstream")))


def draw(run: RunDirectory) -> tuple[list[Path], list[str]]:
    """Draws what is finished, see `rl_keras.figures`."""
    found = read_variants(run, stage="upstream")
    networks = read_networks(found)
    table = _rows(networks)
    compared = [row["pair"] for row in table if row["measure"] in _PANELS]
    layers, pairs = layers_of(networks), list(dict.fromkeys(compared))
    with style.context():
        space = style.legend_space(len(pairs), columns=3) + 0.2
        figure, axes = style.subplots(len(_PANELS), rows=[(2.2, space)])
        for ax, (measure, (title, name)) in zip(axes[0], _PANELS.items(), strict=True):
            ax.set_title(title)
            own = [row for row in table if row["measure"] == measure]
            if own:
                _draw_panel(ax, own, layers, pairs)
                ax.set_ylabel(name)
            else:
                style.empty(ax, "no two networks" if networks else "no representations were kept")
        if pairs:
            style.legend(axes[0, 0], columns=3, others=[axes[0, 1]])
        about = f"Bars: range over pairs; of nulls 95% of {NUM_DRAWS} draws."
        text = (
            f"{small_print.of_variants(run, found, bands=False)} {_sizes(networks, layers)} {about}"
        )
        style.finish(figure, axes.flat, text)
        paths = style.save(figure, run, NAME, table)
    missing = [] if networks else small_print.not_measured({"": []}, NAME, "keep_representations")
    return paths, [*variants.notes(run, found), *missing]


def _rows(networks) -> list[dict]:
    return [_row(one) for found in (active_units, compare) for one in found(networks)]


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


def _draw_panel(ax, table, layers, pairs):
    known = [pair for pair in pairs if pair not in _NULLS]
    for number, pair in enumerate(pairs):
        look = _NULLS.get(pair) or _LOOKS[known.index(pair) % len(_LOOKS)]
        own = [row for row in table if row["pair"] == pair]
        if not own:
            continue
        x = np.array([layers.index(row["layer"]) for row in own])
        x = x + 0.05 * (number - (len(pairs) - 1) / 2)
        line = {"color": look.color, "linestyle": look.line, "marker": look.marker}
        ax.plot(x, [row["mean"] for row in own], label=pair, **line)
        ends = ([row[end] for row in own] for end in ("low", "high"))
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
