"""Filters of random labels look like noise: is their covariance still that of the data?

The filters of all seeds are pooled. Above: a sample of them, and the squared overlaps of
the eigenvectors of their covariance with those of the data. Below: the leading
eigenvectors of the filters, and under each the eigenvector of the data that is matched
with it. The images are in `arrays/`; every number that they are chosen by is in the CSV.

Any flagfile with --figures=filters.

Reference:
    Maennel et al., NeurIPS 2020, arXiv 2006.10455, Figure 3.
"""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.patches import Rectangle

from rl_keras.figures import Drawing
from rl_keras.figures.plotting import style
from rl_keras.results.pooled_filters import PooledLayer, read_layer
from rl_keras.results.runs import Results

STAGE = "upstream"
_SHOWN_FILTERS = (6, 8)  # rows and columns
_SHOWN_VECTORS = 10
_HEIGHT = 2.6  # of the upper panels, in inches
_GAP = 0.1  # between images, in widths of an image with its gap


def read(results: Results) -> tuple[PooledLayer | None, list[str]]:
    """Returns the pooled filters of the first layer, and notes on what is not in them."""
    return read_layer(results)


def rows(numbers: tuple[PooledLayer | None, list[str]]) -> list[dict]:
    """Returns totals, eigenvalues, matched pairs, and all overlaps; ranks begin with 1.

    Bounds of `misalignment` are its 95% jackknife interval over seeds; those of
    `matched_null` and `random_bases` one standard deviation over random bases; those of
    `flipped_runs` hold 95% of the draws of `science.nulls.sign_flip_test`, and `p_value` is its.
    """
    layer, _ = numbers
    if layer is None:
        return []
    dim, (values, _), null = len(layer.match.order), layer.data, layer.null
    ranks = range(1, dim + 1)
    table = [
        _row(layer, "totals", "num_seeds", len(layer.seeds)),
        _row(layer, "totals", "num_filters", len(layer.rows)),
        _row(layer, "totals", "matched_overlap", layer.match.overlaps.mean()),
        _row(layer, "totals", "matched_null", null.mean(), bounds=_around(null)),
        _row(layer, "totals", "overlap_null", 1 / dim),
    ]
    if layer.score:
        bounds = (layer.score.low, layer.score.high)
        table.append(_row(layer, "totals", "misalignment", layer.score.misalignment, bounds=bounds))
        table.append(_row(layer, "totals", "floor", layer.score.floor))
        random, flips = layer.score.random, layer.score.flips
        table.append(_row(layer, "totals", "random_bases", random.mean(), bounds=_around(random)))
        if flips:
            bounds = flips.quantiles((0.025, 0.975))
            table.append(_row(layer, "totals", "flipped_runs", flips.draws.mean(), bounds=bounds))
            table.append(_row(layer, "totals", "p_value", flips.p_value))
    for rank in ranks:
        value = layer.filters.values[rank - 1]
        table.append(_row(layer, "eigenvalues", "filters", value, rank))
        table.append(_row(layer, "eigenvalues", "data", values[rank - 1], None, rank))
    pairs = zip(ranks, layer.match.order + 1, layer.match.overlaps, strict=True)
    table += [_row(layer, "matched", "overlap", value, i, int(j)) for i, j, value in pairs]
    return table + [
        _row(layer, "overlaps", "overlap", layer.overlaps[i - 1, j - 1], i, j)
        for i in ranks
        for j in ranks
    ]


def _row(layer, panel, quantity, value, filter_rank=None, data_rank=None, bounds=(math.nan,) * 2):
    low, high = (None if math.isnan(bound) else float(bound) for bound in bounds)
    return {
        "panel": panel,
        "layer": layer.path,
        "quantity": quantity,
        "filter_rank": filter_rank,
        "data_rank": data_rank,
        "value": float(value),
        "low": low,
        "high": high,
    }


def _around(values):
    return values.mean() - values.std(), values.mean() + values.std()


def draw(numbers: tuple[PooledLayer | None, list[str]], results: Results) -> Drawing:
    layer, notes = numbers
    figure, axes = style.subplots(2, rows=[(_HEIGHT, 0.72), (0.87, 0.42), (0.87, 0.6)])
    panels = [*axes[0], *(_spanning(figure, row) for row in axes[1:])]
    if layer is None:
        for ax in panels:
            style.empty(ax, "no filters to show")
    else:
        _draw_layer(panels, layer)
    return Drawing(figure, notes=notes, has_bands=False)


def _spanning(figure, row):
    """Replaces the axes of a whole row by one pair."""
    first, last = row[0].get_position(), row[-1].get_position()
    for ax in row:
        ax.remove()
    return figure.add_axes((first.x0, first.y0, last.x1 - first.x0, first.height))


def _draw_layer(panels, layer):
    sample, matrix, above, below = panels
    _draw_overlaps(matrix, layer)
    num = len(layer.rows)
    shown = min(math.prod(_SHOWN_FILTERS), num)
    chosen = np.linspace(0, num - 1, shown).round().astype(int)
    sample.set_title(f"{shown} of {num} filters of {layer.path}")
    above.set_title("Leading eigenvectors of the filters, share of their variance")
    below.set_title("Matched eigenvectors of the data: rank, squared overlap")
    below.text(0, -0.3, _verdict(layer), transform=below.transAxes, va="top", fontsize=7.5)
    if layer.shape is None:
        for ax in (sample, above, below):
            style.empty(ax, "not an image")
        return
    draw_tiles(sample, layer.rows[chosen], layer.shape, _SHOWN_FILTERS[1])
    count = min(_SHOWN_VECTORS, len(layer.match.order))
    shares = layer.filters.values / layer.filters.values.sum()
    texts = [f"{share:.1%}" for share in shares[:count]]
    vectors = layer.filters.vectors[:, :count].T
    draw_tiles(above, vectors, layer.shape, _SHOWN_VECTORS, texts)
    pairs = zip(layer.match.order[:count], layer.match.overlaps, strict=False)
    texts = [f"{rank + 1}: {overlap:.2f}" for rank, overlap in pairs]
    draw_tiles(below, layer.match.vectors[:, :count].T, layer.shape, _SHOWN_VECTORS, texts)


def _draw_overlaps(ax, layer):
    """The matrix in grey, darker for more; a root scale also shows overlaps near the null."""
    dim = len(layer.overlaps)
    ax.set_title("Squared overlaps of eigenvectors")
    edges = (0.5, dim + 0.5, dim + 0.5, 0.5)
    look = {"cmap": "Greys", "norm": PowerNorm(0.5, 0, 1), "interpolation": "nearest"}
    image = ax.imshow(layer.overlaps, extent=edges, **look)
    ax.set_anchor("NW")
    ax.grid(False)
    ax.set(xlabel="eigenvector of the data (rank)", ylabel="eigenvector of the filters (rank)")
    box, width = ax.get_position(), ax.figure.get_size_inches()[0]
    square = (box.x0 + (_HEIGHT + 0.12) / width, box.y0, 0.1 / width, box.height)
    bar = ax.figure.colorbar(image, cax=ax.figure.add_axes(square, label=style.COLOUR_BAR))
    ticks = {0.0: "0", 0.1: "0.1", 0.25: "0.25", 0.5: "0.5", 1.0: "1"}
    ticks = {value: text for value, text in ticks.items() if abs(value**0.5 - dim**-0.5) > 0.07}
    ticks[1 / dim] = "1/d"
    bar.set_ticks(list(ticks), labels=list(ticks.values()))
    bar.ax.axhline(1 / dim, color="black", linewidth=0.8)
    bar.ax.grid(False)


def _verdict(layer):
    """The two totals, each beside what it would be by chance."""
    dim, match, null = len(layer.match.order), layer.match.overlaps.mean(), layer.null
    text = (
        f"Mean overlap of all {dim} matched pairs: {match:.3f}; of random bases, matched the same "
        f"way: {null.mean():.3f} ± {null.std():.3f}; of any pair by chance: 1/d = {1 / dim:.3f}."
    )
    score = layer.score
    if score is None:
        return f"{text}\nMisalignment: undefined, {len(layer.rows)} filters in {dim} dimensions."
    interval = ""
    if math.isfinite(score.low):
        interval = f" [{score.low:.2f}, {score.high:.2f}] (95%, jackknife over seeds)"
    text = (
        f"{text}\nMisalignment of the pooled filters: {score.misalignment:.2f}{interval} nats; "
        f"with random bases {score.random.mean():.2f} ± {score.random.std():.2f};\n"
        f"floor of {len(layer.rows)} Gaussian filters, aligned or untrained: {score.floor:.2f}"
    )
    if score.flips:
        mean, p_value = score.flips.draws.mean(), score.flips.p_value
        text += f"; with the runs flipped along the data's axes {mean:.2f}, p = {p_value:.2g}"
    return f"{text}."


def draw_tiles(
    ax: Axes,
    rows: np.ndarray,
    shape: tuple[int, int, int],
    columns: int,
    captions: Sequence[str] = (),
) -> None:
    """Draws one image for each row, in lines of `columns`.

    Args:
        ax: the panel; it loses its frame.
        rows: `(n, height * width * channels)`, in the order of `kernel_to_rows`.
        shape: `(height, width, channels)`; 1 or 3 channels.
        columns: images in a line.
        captions: text under each image.
    """
    height, width, _ = shape
    tall = height / width
    ax.set_axis_off()
    for number, tile in enumerate(tile_images(rows, shape)):
        line, column = divmod(number, columns)
        left, top = column, line * (tall + _GAP)
        extent = (left, left + 1 - _GAP, top + (1 - _GAP) * tall, top)
        ax.imshow(tile, extent=extent, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        frame = {"fill": False, "edgecolor": style.GREY, "linewidth": 0.5}
        ax.add_patch(Rectangle((left, top), 1 - _GAP, (1 - _GAP) * tall, **frame))
        if captions:
            below = ((left + (1 - _GAP) / 2), top + (1 - _GAP) * tall)
            ax.annotate(
                captions[number],
                below,
                (0, -2),
                textcoords="offset points",
                ha="center",
                va="top",
                fontsize=7,
            )
    lines = -(-len(rows) // columns)
    ax.set(xlim=(-0.01, columns), ylim=(lines * (tall + _GAP), -0.01), aspect="equal", anchor="NW")


def tile_images(rows: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """Returns images in `[0, 1]`, each scaled on its own so that 0 is mid-grey.

    Args:
        rows: as in `draw_tiles`.
        shape: as in `draw_tiles`.

    Returns:
        `(n, height, width, 3)`, or `(n, height, width)` for one channel.

    Example:
        >>> tile_images(np.array([[2.0, 0.0, -1.0, -2.0]]), (2, 2, 1)).tolist()
        [[[1.0, 0.5], [0.25, 0.0]]]
    """
    rows = np.asarray(rows, dtype=np.float64)
    peak = np.abs(rows).max(axis=1, keepdims=True)
    images = (0.5 + 0.5 * rows / np.where(peak > 0, peak, 1.0)).reshape(-1, *shape)
    return images[..., 0] if shape[-1] == 1 else images
