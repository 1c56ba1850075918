import math

import numpy as np
import pytest

from rl_keras.errors import UsageError
from rl_keras.science.alignment import random_basis
from rl_keras.science.eigenspaces import (
    above_rounding,
    covariance_of,
    eigenspaces,
    in_eigenbasis,
    sampled_eigenspaces,
    symmetric,
    tolerance_from_sample_size,
)


def _with_values(values, seed=0):
    basis = random_basis(len(values), seed)
    return (basis * values) @ basis.T


def _sizes(spaces):
    return [group.stop - group.start for group in spaces.groups]


def test_decomposition_is_descending_and_complete():
    cov = _with_values([1.0, 7.0, 3.0, 0.5])
    spaces = eigenspaces(cov)
    np.testing.assert_allclose(spaces.values, [7, 3, 1, 0.5])
    np.testing.assert_allclose((spaces.vectors * spaces.values) @ spaces.vectors.T, cov, atol=1e-12)
    assert _sizes(spaces) == [1, 1, 1, 1]


def test_largest_entry_of_every_vector_is_positive():
    for seed in range(5):
        vectors = eigenspaces(_with_values(np.arange(1.0, 7.0), seed)).vectors
        assert (vectors.max(axis=0) == np.abs(vectors).max(axis=0)).all()


@pytest.mark.parametrize(
    ("values", "sizes"),
    [
        ([2.0, 5.0, 2.0, 2.0, 5.0], [2, 3]),
        ([4.0, 4.0, 4.0], [3]),
        ([1.0, 1e-9, 1e-9, 1e-5], [1, 1, 2]),  # equal, though small beside the largest
        ([3.0, 0.0, 0.0, 1.0], [1, 1, 2]),
        ([0.0, 0.0], [2]),
        ([1.0, 1.0 + 1e-6], [1, 1]),
        ([1.0, 1.0 + 1e-10], [2]),
    ],
)
def test_equal_eigenvalues_form_one_group(values, sizes):
    spaces = eigenspaces(_with_values(values))
    assert _sizes(spaces) == sizes
    assert spaces.groups[0].start == 0
    assert spaces.groups[-1].stop == len(values)


def test_a_gentle_slope_is_not_one_group():
    values = 1 + 0.06 * np.arange(4)
    assert _sizes(eigenspaces(np.diag(values), rtol=0.1)) == [2, 2]


def test_eigenbasis_may_be_given_as_matrix_or_eigenspaces():
    data_cov, filter_cov = _with_values([1.0, 2.0, 4.0]), _with_values([3.0, 5.0, 9.0], seed=1)
    spaces, rotated = in_eigenbasis(data_cov, filter_cov)
    again = in_eigenbasis(spaces, filter_cov)[1]
    np.testing.assert_array_equal(rotated, again)
    first = spaces.vectors[:, 0]
    assert rotated[0, 0] == pytest.approx(first @ filter_cov @ first)


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.zeros((2, 3)), r"cov must be a square matrix.*Received: shape=\(2, 3\)"),
        (np.zeros(4), r"cov must be a square matrix.*Received: shape=\(4,\)"),
        (np.zeros((0, 0)), r"cov must be a square matrix.*Received: shape=\(0, 0\)"),
        ([[1, 2], [2.001, 1]], r"cov must be symmetric.*Received: a difference of 1.0e-03"),
        ([[1, np.nan], [np.nan, 1]], r"cov must be finite.*Received: NaN or infinity"),
    ],
)
def test_what_is_no_covariance_is_refused(matrix, message):
    with pytest.raises(UsageError, match=message):
        eigenspaces(matrix)


def test_rounding_asymmetry_is_removed():
    matrix = symmetric([[1.0, 2.0 + 1e-12], [2.0, 1.0]], "cov")
    assert matrix[0, 1] == matrix[1, 0]


def test_different_dimensions_are_refused():
    with pytest.raises(UsageError, match="same dimension, 3;.*Received: 2 for filters"):
        in_eigenbasis(np.eye(3), np.eye(2))


def test_covariance_is_that_of_its_eigenvalues_and_eigenvectors():
    cov = _with_values([7.0, 3.0, 1.0, 0.5])
    spaces = eigenspaces(cov)
    np.testing.assert_allclose(covariance_of(spaces.values, spaces.vectors), cov, atol=1e-12)


def test_rounding_is_told_by_the_largest_eigenvalue():
    for unit in (1e-20, 1.0, 1e20):
        kept = above_rounding(unit * np.array([5.0, 1e-9, 1e-11, 0.0, -1e-16]))
        assert kept.tolist() == [True, True, False, False, False]


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
    generator, num_right = np.random.default_rng(dim), 0
    for _ in range(20):
        groups = _spiked_groups(dim, spikes, ratio, num_samples, generator)
        num_right += groups == (slice(0, spikes), slice(spikes, dim))
    assert num_right >= 19


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
