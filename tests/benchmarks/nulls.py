"""Milliseconds of a misalignment and of its null, by the dimension of the patches.

As a callback computes them while a network trains: the eigenvectors of the data are known, the
filters are new. There are twice as many filters as dimensions, and at least 256.

Run it as python -m tests.benchmarks.nulls. Not a test: speed depends on the machine.
"""

import statistics
from collections.abc import Iterator

import numpy as np

from rl_keras.callbacks.alignment import NULL_DRAWS, draws_for
from rl_keras.science.alignment import filter_covariance, misalignment
from rl_keras.science.nulls import as_spaces, sign_flip_test
from tests.benchmarks.results import Result, command, take_turns

DIMENSIONS = (27, 75, 576, 4608)
_ROUNDS = {27: 50, 75: 20}  # calls in a turn, where one is too short to time


def measure(repeats: int) -> Iterator[Result]:
    for dim in DIMENSIONS:
        rng = np.random.default_rng(0)
        spaces = as_spaces(np.diag(1.0 / np.arange(1, dim + 1)))
        rows = rng.standard_normal((max(256, 2 * dim), dim))
        rounds = _ROUNDS.get(dim, 1)

        def score(rows=rows, spaces=spaces, rounds=rounds):
            for _ in range(rounds):
                misalignment(spaces, filter_covariance(rows))

        yield _result(f"misalignment, d = {dim}", score, rounds, repeats if dim < 1000 else 1)
        draws = draws_for(NULL_DRAWS, dim)
        if draws:

            def null(rows=rows, spaces=spaces, rounds=rounds, rng=rng, draws=draws):
                for _ in range(rounds):
                    sign_flip_test(rows, spaces, draws, rng)

            yield _result(f"null of {draws} draws, d = {dim}", null, rounds, repeats)


def _result(name, function, rounds, repeats):
    (seconds,) = take_turns({"": function}, repeats, warm_up=0 if repeats == 1 else 1).values()
    return Result(name, 1000 * statistics.median(seconds) / rounds, "ms")


if __name__ == "__main__":
    command(measure, __doc__, repeats=5)
