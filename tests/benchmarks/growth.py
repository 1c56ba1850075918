"""How costs grow: with examples, width, seeds, layers, dimensions, filters; with which exponent.

Each cost is measured at several sizes and fitted by a power of the size, a line on a log-log
plot; with an exponent of 1 the cost is proportional. With --figure=FILE the lines are drawn.

Run it as python -m tests.benchmarks.growth. Not a test: speed depends on the machine.
"""

import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from matplotlib.ticker import LogLocator

from rl_keras.callbacks.alignment import NULL_DRAWS
from rl_keras.callbacks.inputs import input_moments
from rl_keras.callbacks.layers import alignable_layers
from rl_keras.figures.plotting import style
from rl_keras.models import mlp, simple_cnn, vgg16
from rl_keras.science.alignment import filter_covariance, misalignment
from rl_keras.science.nulls import as_spaces, sign_flip_test
from tests.benchmarks import many_seeds
from tests.benchmarks.results import Result, command, take_turns
from tests.benchmarks.training import compiled

RNG = np.random.default_rng(0)


def measure(repeats: int) -> Iterator[Result]:
    for what, (sizes, make) in COSTS.items():
        seconds = costs(sizes, make, repeats)
        exponent, _ = power_law(sizes, seconds)
        ends = f"{seconds[0]:.2g} s at {sizes[0]}, {seconds[-1]:.2g} s at {sizes[-1]}"
        points = tuple(zip(map(float, sizes), seconds, strict=True))
        yield Result(f"{what}: {ends}", exponent, "exponent", points=points)


def power_law(sizes, seconds) -> tuple[float, float]:
    """Returns exponent and factor of the power of the size that fits best on a log-log plot.

    Example:
        >>> power_law([1, 2, 4], [3.0, 6.0, 12.0])
        (1.0, 3.0)
    """
    exponent, height = np.polyfit(np.log(sizes), np.log(seconds), 1)
    return float(exponent), float(np.exp(height))


def draw(results: Sequence[Result], path: Path) -> None:
    """Draws every cost with its fit, one panel each."""
    with style.context():
        figure, axes = style.subplots(3, rows=[(1.5, 0.7), (1.5, 0.4)], left=0.75, width=2.0)
        for ax, result in zip(axes.flat, results, strict=True):
            sizes, seconds = np.transpose(result.points)
            exponent, factor = power_law(sizes, seconds)
            point = {"color": style.LAST.color, "marker": "o", "linestyle": ""}
            ax.plot(sizes, seconds, label="measured", **point)
            line = {"color": style.GREY, "linestyle": (0, (5, 2))}
            ax.plot(sizes, factor * sizes**exponent, label=f"exponent {exponent:.2f}", **line)
            what, by = result.name.split(":")[0].split(", by ")
            ax.set(xscale="log", yscale="log", title=what, xlabel=by, ylabel="seconds")
            ax.set_xticks(sizes, [f"{size:g}" for size in sizes])
            ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            ax.yaxis.set_major_formatter("{x:g}")
            ax.minorticks_off()
            ax.legend(fontsize=6.5)
        style.finish(figure, "Medians over turns; lines: least squares of logarithms.")
        figure.savefig(path)


def costs(sizes: Sequence[float], make: Callable, repeats: int) -> list[float]:
    """Returns the median seconds of what `make` returns for each size."""
    seconds = take_turns({str(size): make(size) for size in sizes}, repeats)
    return [statistics.median(own) for own in seconds.values()]


def by_examples(num):
    """A training epoch of the small CNN with 64 filters."""
    images, labels = RNG.standard_normal((num, 32, 32, 3), np.float32), np.zeros(num, np.int32)
    model = compiled(simple_cnn(filters=64))
    return lambda: model.fit(images, labels, batch_size=128, verbose=0)


def by_width(width):
    """Ten training steps of an MLP with two layers of this width."""
    inputs, labels = RNG.standard_normal((1280, 30), np.float32), np.zeros(1280, np.int32)
    model = compiled(mlp(input_shape=(30,), widths=(width, width)))
    return lambda: model.fit(inputs, labels, batch_size=128, verbose=0)


def by_layers(num):
    """One pass over 256 images for the inputs of the first layers of a narrow VGG16."""
    model = vgg16(width=0.125)
    layers = dict(list(alignable_layers(model).items())[:num])
    images = RNG.standard_normal((256, 32, 32, 3), np.float32)
    return lambda: input_moments(model, layers, [images])


def by_seeds(num):
    """A whole run of the setting of `many_seeds`."""

    def run():
        with tempfile.TemporaryDirectory() as folder:
            many_seeds.run(folder, range(num))

    return run


def by_dimension(dim):
    spaces, rows = (
        as_spaces(np.diag(1.0 / np.arange(1, dim + 1))),
        RNG.standard_normal((2 * dim, dim)),
    )
    return lambda: misalignment(spaces, filter_covariance(rows))


def by_filters(num):
    spaces, rows = as_spaces(np.diag(1.0 / np.arange(1, 28))), RNG.standard_normal((num, 27))
    return lambda: sign_flip_test(rows, spaces, NULL_DRAWS, RNG)


COSTS: dict[str, tuple[Sequence[int], Callable]] = {
    "an epoch of the small CNN, by examples": ((1024, 2048, 4096, 8192), by_examples),
    "ten steps of an MLP, by width": ((512, 1024, 2048, 4096), by_width),
    "moments of inputs, by layers": ((1, 2, 4, 8, 13), by_layers),
    "a run of an MLP, by seeds": ((1, 2, 4), by_seeds),
    "misalignment, by dimension": ((75, 150, 300, 600, 1200), by_dimension),
    "its null band, by filters": ((64, 128, 256, 512, 1024), by_filters),
}


if __name__ == "__main__":
    command(measure, __doc__, repeats=2, draw=draw)
