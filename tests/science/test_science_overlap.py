import itertools
import math

import numpy as np
import pytest

from rl_keras.errors import UsageError
from rl_keras.science.alignment import random_basis
from rl_keras.science.overlap import (
    matched,
    matched_null,
    squared_overlaps,
)


def _turned_by(angle):
    return np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])


def test_overlaps_of_a_turned_plane_are_cosines():
    cos, sin = math.cos(0.3) ** 2, math.sin(0.3) ** 2
    overlaps = squared_overlaps(np.eye(2), _turned_by(0.3))
    np.testing.assert_allclose(overlaps, [[cos, sin], [sin, cos]])


def test_overlaps_equal_a_slow_loop_and_their_rows_and_columns_add_up_to_one():
    first, second = random_basis(7, seed=0), random_basis(7, seed=1)
    overlaps = squared_overlaps(first, second)
    for i, j in np.ndindex(7, 7):
        assert overlaps[i, j] == pytest.approx((first[:, i] @ second[:, j]) ** 2)
    np.testing.assert_allclose(overlaps.sum(axis=0), np.ones(7))
    np.testing.assert_allclose(overlaps.sum(axis=1), np.ones(7))
    np.testing.assert_allclose(squared_overlaps(second, first), overlaps.T)
    rotation = random_basis(7, seed=2)
    np.testing.assert_allclose(squared_overlaps(rotation @ first, rotation @ second), overlaps)


def test_random_bases_overlap_by_one_over_the_dimension():
    draws = np.array([squared_overlaps(np.eye(5), random_basis(5, s)) for s in range(2000)])
    # An entry is Beta(1/2, (d - 1)/2) distributed.
    error = math.sqrt(2 * 4 / (25 * 7) / 2000)
    np.testing.assert_allclose(draws.mean(axis=0), np.full((5, 5), 1 / 5), atol=4.5 * error)


def test_matching_undoes_a_permutation_and_signs():
    first, order = random_basis(6, seed=0), np.array([3, 0, 5, 1, 4, 2])
    shuffled = first[:, order] * [1, -1, -1, 1, -1, 1]
    match = matched(first, shuffled)
    np.testing.assert_allclose(match.vectors, first)
    np.testing.assert_array_equal(order[match.order], np.arange(6))
    np.testing.assert_allclose(match.overlaps, np.ones(6))


def test_matching_is_the_best_of_all_permutations():
    for seed in range(5):
        first, second = random_basis(5, seed), random_basis(5, seed + 50)
        overlaps, match = squared_overlaps(first, second), matched(first, second)
        best = max(
            overlaps[np.arange(5), list(order)].sum() for order in itertools.permutations(range(5))
        )
        assert match.overlaps.sum() == pytest.approx(best)
        assert sorted(match.order) == [0, 1, 2, 3, 4]
        np.testing.assert_allclose(overlaps[np.arange(5), match.order], match.overlaps)
        products = (first * match.vectors).sum(axis=0)
        np.testing.assert_allclose(products, np.sqrt(match.overlaps))  # none is negative


def test_matching_alone_lifts_the_overlap_of_random_bases():
    null = matched_null(10, seeds=range(100))
    assert null.shape == (100,)
    assert null.min() > 2 / 10
    expected = matched(np.eye(10), random_basis(10, seed=3)).overlaps.mean()
    assert null[3] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (np.eye(3), np.eye(2), r"both of one dimension. Received: second of shape \(2, 2\)"),
        (np.ones((2, 3)), np.eye(2), r"first must be a basis.*Received: first of shape \(2, 3\)"),
        (np.eye(2), 2 * np.eye(2), "second must have orthonormal columns.*by 3.0e"),
        (np.full((2, 2), np.nan), np.eye(2), "first must have orthonormal columns"),
    ],
)
def test_what_is_no_pair_of_bases_is_refused(first, second, message):
    with pytest.raises(UsageError, match=message):
        squared_overlaps(first, second)
