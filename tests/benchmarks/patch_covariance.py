"""Patch covariance in one pass, against `np.cov` of materialised patches.

Run it as python tests/benchmarks/patch_covariance.py. With the default size the
materialised patches take 2 GB, several times over.
"""

import argparse
import sys
import time
import tracemalloc
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np

from rl_keras.science.patches import PatchMoments


def streamed(images, size):
    return PatchMoments(size).update(images).covariance()


def materialised(images, size):
    windows = np.lib.stride_tricks.sliding_window_view(images, (size, size), axis=(1, 2))
    patches = windows.transpose(0, 1, 2, 4, 5, 3).reshape(-1, size * size * images.shape[3])
    return np.cov(patches.T, bias=True)


def measured(function, *arguments):
    """Returns the result, the seconds of a plain call, and the extra megabytes of a traced one."""
    begin = time.perf_counter()
    result = function(*arguments)
    seconds = time.perf_counter() - begin
    tracemalloc.start()
    function(*arguments)
    megabytes = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    return result, seconds, megabytes


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    shape = (arguments.images, 32, 32, 3)
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    for size in (3, 5):
        for _ in range(arguments.repeats):
            one, fast, small = measured(streamed, images, size)
            other, slow, large = measured(materialised, images, size)
            np.testing.assert_allclose(one, other, rtol=1e-8, atol=1e-6)
            print(
                f"{size}x{size}, {arguments.images} images: {fast:.2f} s and {small:.0f} MB, "
                f"materialised {slow:.2f} s and {large:.0f} MB, ratio {slow / fast:.1f}"
            )


if __name__ == "__main__":
    main()
