"""Patch covariance in one pass, against `np.cov` of materialised patches and a bare product.

The bare product is the matrix product `X'X` of as many float64 patches, without collecting
them. No method can be faster that computes with each patch, as if patches did not overlap.

Run it as python -m tests.benchmarks.patch_covariance. Not a test: speed depends on the
machine. Ratios are at 10,000 images, whose materialised patches take 2 and 5 GB; those of
50,000 would not fit into most memories, so only ours is timed there.
"""

import tracemalloc
from collections.abc import Iterator

import numpy as np

from rl_keras.science.patches import PatchMoments
from tests.benchmarks.results import Result, command, compared, take_turns

FEW, MANY = 10_000, 50_000
_BLOCK = 20_000  # patches of the bare product that are in memory at a time


def measure(repeats: int) -> Iterator[Result]:
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (MANY, 32, 32, 3), dtype=np.uint8)
    for size in (3, 5):
        few = images[:FEW]
        some = images[:500]
        np.testing.assert_allclose(streamed(some, size), materialised(some, size), atol=1e-5)
        variants = {
            "np.cov of materialised patches": lambda size=size, few=few: materialised(few, size),
            "one pass": lambda size=size, few=few: streamed(few, size),
            "bare matrix product": lambda size=size: bare_product(FEW, size),
        }
        seconds = take_turns(variants, repeats, warm_up=0)
        base = "np.cov of materialised patches"
        targets = {"one pass": ">= 20"}
        yield from compared(seconds, base, FEW, "images/s", targets, f"{size}x{size}, {FEW}: ")
        (whole,) = take_turns({"": lambda size=size: streamed(images, size)}, 1, 0).values()
        yield Result(f"{size}x{size}, {MANY}: one pass", whole[0], "s")
        megabytes = extra_memory(streamed, images, size)
        yield Result(f"{size}x{size}, {MANY}: memory", megabytes, "MB", target="<= 300")


def streamed(images, size):
    return PatchMoments(size).update(images).covariance()


def materialised(images, size):
    windows = np.lib.stride_tricks.sliding_window_view(images, (size, size), axis=(1, 2))
    patches = windows.transpose(0, 1, 2, 4, 5, 3).reshape(-1, size * size * images.shape[3])
    return np.cov(patches.T, bias=True)


def bare_product(num_images, size):
    num = num_images * (33 - size) ** 2
    block = np.ones((_BLOCK, 3 * size**2))
    for _ in range(num // _BLOCK):
        block.T @ block


def extra_memory(function, *arguments) -> float:
    """Returns the most megabytes that a call holds beyond what was there before."""
    tracemalloc.start()
    function(*arguments)
    megabytes = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    return megabytes


if __name__ == "__main__":
    command(measure, __doc__, repeats=2)
