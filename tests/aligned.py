"""Aligned filters with known eigenspaces, for the tests of nulls and floors."""

import numpy as np

from rl_keras.science.alignment import Eigenspaces, random_basis

KS_LIMIT = 1.95  # of sqrt(n) times the distance; exceeded by chance once in a thousand


def spaces_of(sizes, seed=0):
    """Eigenspaces of the given dimensions in a random basis."""
    dim, ends = sum(sizes), np.cumsum(sizes)
    groups = tuple(slice(int(e - s), int(e)) for s, e in zip(sizes, ends, strict=True))
    return Eigenspaces(
        np.repeat(np.arange(len(sizes), 0.0, -1), sizes), random_basis(dim, seed), groups
    )


def aligned_filters(num, spaces, generator, tails="mixture"):
    """Aligned filters, one standard deviation per eigenspace, by default with heavy tails."""
    dim = len(spaces.values)
    rows = generator.standard_normal((num, dim)) * spaces.values**2
    if tails == "mixture":
        rows *= np.where(generator.random(num) < 0.1, 5.0, 1.0)[:, None]
    return rows @ spaces.vectors.T
