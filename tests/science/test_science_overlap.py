import itertools
import math

import numpy as np
import pytest

from rl_keras.errors import UsageError
from rl_keras.science.alignment import random_basis
from rl_keras.science.eigenspaces import (
    Eigenspaces,
    eigenspaces,
    sampled_eigenspaces,
    tolerance_from_sample_size,
)
from rl_keras.science.overlap import (
    block_overlaps,
    matched,
    matched_null,
    null_block_overlaps,
    squared_overlaps,
)


def _spaces(sizes, vectors):
    ends = np.cumsum(sizes)
    groups = tuple(slice(int(e - s), int(e)) for s, e in zip(sizes, ends, strict=True))
    return Eigenspaces(np.repeat(np.arange(len(sizes), 0.0, -1), sizes), vectors, groups)


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


def test_block_overlaps_equal_traces_of_projectors_and_ignore_the_basis_within_a_block():
    first = _spaces([2, 1, 3], random_basis(6, seed=0))
    second = _spaces([4, 2], random_basis(6, seed=1))
    overlaps = block_overlaps(first, second)
    for (i, p), (j, q) in itertools.product(enumerate(first.groups), enumerate(second.groups)):
        projector = first.vectors[:, p] @ first.vectors[:, p].T
        other = second.vectors[:, q] @ second.vectors[:, q].T
        least = min(np.trace(projector), np.trace(other))
        assert overlaps[i, j] == pytest.approx(np.trace(projector @ other) / least)
    vectors = first.vectors.copy()
    vectors[:, 3:] = vectors[:, 3:] @ random_basis(3, seed=5)
    np.testing.assert_allclose(block_overlaps(_spaces([2, 1, 3], vectors), second), overlaps)


def test_several_data_eigenspaces_inside_one_of_the_filters_overlap_fully():
    vectors = random_basis(5, seed=0)
    plane = vectors.copy()
    plane[:, :3] = plane[:, :3] @ random_basis(3, seed=1)
    overlaps = block_overlaps(_spaces([1, 2, 2], vectors), _spaces([3, 2], plane))
    np.testing.assert_allclose(overlaps, [[1, 0], [1, 0], [0, 1]], atol=1e-12)


def test_null_of_block_overlaps_is_the_mean_over_random_bases():
    first = _spaces([2, 1, 3], np.eye(6))
    second = [_spaces([4, 2], random_basis(6, seed)) for seed in range(1000)]
    draws = np.array([block_overlaps(first, spaces) for spaces in second])
    null = null_block_overlaps(first, second[0])
    np.testing.assert_allclose(null, np.array([[4, 2], [4, 2], [4, 3]]) / 6)
    np.testing.assert_allclose(draws.mean(axis=0), null, atol=0.03)
    lines = _spaces([1] * 4, np.eye(4))
    np.testing.assert_allclose(null_block_overlaps(lines, lines), np.full((4, 4), 1 / 4))


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


# Eigenspaces that a sample can tell apart.


def _spiked_groups(dim, spikes, ratio, num_samples, generator, num_sds=3.0):
    """Groups found in a sample of covariance diag(ratio, ..., ratio, 1, ..., 1)."""
    rows = generator.standard_normal((num_samples, dim))
    rows[:, :spikes] *= math.sqrt(ratio)
    return sampled_eigenspaces(rows.T @ rows / num_samples, num_samples, num_sds).groups


@pytest.mark.parametrize(
    ("dim", "spikes", "ratio", "num_samples"),
    [(60, 6, 4.0, 2000), (27, 8, 5.0, 20000), (30, 12, 9.0, 500), (10, 2, 9.0, 2000)],
)
def test_two_eigenvalues_are_found_in_a_spiked_sample(dim, spikes, ratio, num_samples):
    generator, found = np.random.default_rng(dim), 0
    for _ in range(20):
        groups = _spiked_groups(dim, spikes, ratio, num_samples, generator)
        found += groups == (slice(0, spikes), slice(spikes, dim))
    assert found >= 19


def test_exact_grouping_and_a_tolerance_against_the_first_both_split_a_spiked_sample():
    rows = np.random.default_rng(0).standard_normal((2000, 60)) * ([2.0] * 6 + [1.0] * 54)
    cov = rows.T @ rows / 2000
    assert len(eigenspaces(cov).groups) == 60
    assert len(eigenspaces(cov, rtol=6 / math.sqrt(2000)).groups) > 2
    assert len(sampled_eigenspaces(cov, 2000).groups) == 2


def test_too_small_a_sample_tells_nothing_apart():
    generator = np.random.default_rng(0)
    assert _spiked_groups(20, 10, 1.5, 50, generator) == (slice(0, 20),)


@pytest.mark.parametrize("num_sds", [1.0, 2.0])
def test_one_true_eigenvalue_is_split_as_often_as_stated(num_sds):
    rows = np.random.default_rng(0).standard_normal((3000, 400, 2))
    split = 0
    for values in np.linalg.eigvalsh(rows.transpose(0, 2, 1) @ rows / 400)[:, ::-1]:
        split += values[0] - values[1] > tolerance_from_sample_size(values, 400, num_sds)[0]
    expected = math.exp(-(num_sds**2) / 2)
    assert split / 3000 == pytest.approx(expected, abs=0.01 + 4 * math.sqrt(expected / 3000))


def test_tolerance_is_that_of_the_formula():
    tolerance = tolerance_from_sample_size([8.0, 6.0, 0.0], num_samples=50, num_sds=2.0)
    np.testing.assert_allclose(tolerance, [2 * 0.2 * 10, 2 * 0.2 * 6])
    assert tolerance_from_sample_size([5.0], 10).shape == (0,)


def test_grouping_keeps_the_eigenvectors_and_joins_exact_ties():
    basis = random_basis(4, seed=0)
    cov = (basis * [9.0, 4.0, 4.0, 1.0]) @ basis.T
    exact, sampled = eigenspaces(cov), sampled_eigenspaces(cov, 10**30)
    assert sampled.groups == exact.groups == (slice(0, 1), slice(1, 3), slice(3, 4))
    np.testing.assert_array_equal(sampled.vectors, exact.vectors)
    slope = sampled_eigenspaces(np.diag([4.0, 3.9, 3.8, 3.7]), 1000)
    assert slope.groups == (slice(0, 4),)  # no step is certain


@pytest.mark.parametrize(
    ("values", "num_samples", "num_sds", "message"),
    [
        ([1.0, 2.0], 10, 3.0, r"descending order, \(d,\).*Received: shape=\(2,\)"),
        ([math.nan, 2.0], 10, 3.0, "must be finite"),
        ([2.0, 1.0], 0, 3.0, "must be positive;.*Received: num_samples=0, num_sds=3.0"),
        ([2.0, 1.0], 10, -1.0, "Received: num_samples=10, num_sds=-1.0"),
    ],
)
def test_bad_input_of_the_tolerance_is_refused(values, num_samples, num_sds, message):
    with pytest.raises(UsageError, match=message):
        tolerance_from_sample_size(values, num_samples, num_sds)
