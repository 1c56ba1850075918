"""Filters and eigenvectors as small images."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from rl_keras.figures.plotting.style import GREY

_GAP = 0.1  # between tiles, in widths of a tile with its gap


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
        frame = {"fill": False, "edgecolor": GREY, "linewidth": 0.5}
        ax.add_patch(Rectangle((left, top), 1 - _GAP, (1 - _GAP) * tall, **frame))
        if captions:
            place = ((left + (1 - _GAP) / 2), top + (1 - _GAP) * tall)
            ax.annotate(
                captions[number],
                place,
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
