import math

import numpy as np
import pytest
from scipy import optimize

from rl_keras.errors import UsageError
from rl_keras.science.alignment import (
    eigenspaces,
    filter_covariance,
    misalignment,
    random_basis,
    random_basis_misalignment,
    sampling_floor,
)

_DISTINCT = np.array([0.5, 1.0, 4.0, 9.0, 30.0])
_REPEATED = np.array([2.0, 2.0, 5.0, 5.0, 11.0])


def _with_values(values, basis):
    return (basis * values) @ basis.T


def _lopsided(dim, seed):
    """A positive definite matrix that has no symmetry to hide a wrong axis."""
    rows = np.random.default_rng(seed).standard_normal((3 * dim, dim)) * np.arange(1, dim + 1)
    return rows.T @ rows / len(rows)


def _slow_misalignment(vectors, groups, filter_cov):
    inverse = np.linalg.inv(filter_cov)
    total = 0.0
    for group in groups:
        trace, inverse_trace = 0.0, 0.0
        for i in group:
            trace += vectors[:, i] @ filter_cov @ vectors[:, i]
            inverse_trace += vectors[:, i] @ inverse @ vectors[:, i]
        total += math.sqrt(trace * inverse_trace) - len(group)
    return total


@pytest.mark.parametrize("data_values", [_DISTINCT, _REPEATED, np.ones(5)])
def test_aligned_pair_scores_zero(data_values):
    basis = random_basis(5, seed=0)
    # One filter variance per eigenspace, in an order of their own.
    names, index = np.unique(data_values, return_inverse=True)
    filter_values = np.array([3.0, 0.2, 8.0, 1.0, 0.7])[: len(names)][index]
    m = misalignment(_with_values(data_values, basis), _with_values(filter_values, basis))
    assert 0 <= m < 1e-12


def test_distinct_filter_variances_inside_a_repeated_eigenspace_are_misaligned():
    # tr(P B) tr(P B^-1) = (1 + 4) (1 + 1 / 4) in the repeated space, nothing elsewhere.
    m = misalignment(np.diag([7.0, 7.0, 1.0]), np.diag([1.0, 4.0, 9.0]))
    assert m == pytest.approx(math.sqrt(5 * 1.25) - 2)


@pytest.mark.parametrize("seed", range(5))
def test_equals_the_slow_loop(seed):
    filter_cov = _lopsided(5, seed)
    for values, groups in [
        (_DISTINCT, [[0], [1], [2], [3], [4]]),
        (_REPEATED, [[0, 1], [2, 3], [4]]),
    ]:
        basis = random_basis(5, seed + 10)
        expected = _slow_misalignment(basis, groups, filter_cov)
        assert expected > 0.1
        assert misalignment(_with_values(values, basis), filter_cov) == pytest.approx(expected)


@pytest.mark.parametrize(("values", "repeats"), [(_DISTINCT, [1] * 5), (_REPEATED, [2, 2, 1])])
def test_equals_a_numerical_search_over_aligned_matrices(values, repeats):
    basis, filter_cov = random_basis(5, seed=3), _lopsided(5, seed=4)
    inverse = np.linalg.inv(filter_cov)

    def distance(log_values):
        aligned = _with_values(np.exp(np.repeat(log_values, repeats)), basis)
        return np.trace(np.linalg.solve(aligned, filter_cov) + aligned @ inverse) / 2 - 5

    least = optimize.minimize(distance, np.zeros(len(repeats)), tol=1e-12).fun
    m = misalignment(_with_values(values, basis), filter_cov)
    assert m == pytest.approx(least, rel=1e-7)


def test_is_never_negative_and_zero_only_when_aligned():
    for seed in range(20):
        data_cov, filter_cov = _lopsided(4, seed), _lopsided(4, seed + 100)
        assert misalignment(data_cov, filter_cov) > 1e-3
        assert 0 <= misalignment(data_cov, data_cov) < 1e-10


def test_invariances():
    basis, rotation = random_basis(5, seed=0), random_basis(5, seed=1)
    data_cov, filter_cov = _with_values(_DISTINCT, basis), _lopsided(5, seed=2)
    m = misalignment(data_cov, filter_cov)
    stretch = _with_values([0.01, 1.0, 7.0, 300.0, 2.0], basis)
    unchanged = {
        "scaled data": (1e-5 * data_cov, filter_cov),
        "scaled filters": (data_cov, 1e7 * filter_cov),
        "rotated": (rotation @ data_cov @ rotation.T, rotation @ filter_cov @ rotation.T),
        "stretched": (data_cov, stretch @ filter_cov @ stretch),
        "inverted": (data_cov, np.linalg.inv(filter_cov)),
    }
    for name, pair in unchanged.items():
        assert misalignment(*pair) == pytest.approx(m, rel=1e-8), name
    assert misalignment(data_cov, rotation @ filter_cov @ rotation.T) != pytest.approx(m, rel=0.01)


def test_normalizations_and_eigenspaces_as_input():
    data_cov, filter_cov = _lopsided(4, 0), _lopsided(4, 1)
    m = misalignment(data_cov, filter_cov)
    assert misalignment(data_cov, filter_cov, "sqrt_2m") == pytest.approx(math.sqrt(2 * m))
    assert misalignment(data_cov, filter_cov, "sqrt_m") == pytest.approx(math.sqrt(m))
    assert misalignment(eigenspaces(data_cov), filter_cov) == m


def test_unknown_normalization_is_refused():
    with pytest.raises(UsageError, match='"sqrt_2m" or "sqrt_m". Received: normalization=\'l2\''):
        misalignment(np.eye(2), np.eye(2), "l2")


@pytest.mark.parametrize(
    "filter_cov",
    [
        np.diag([1.0, 2.0, 0.0]),
        np.diag([1.0, 2.0, -1.0]),
        np.zeros((3, 3)),
        np.outer([1.0, 2.0, 3.0], [1.0, 2.0, 3.0]),
        np.array([[1.0, 3.0, 0.0], [3.0, 1.0, 0.0], [0.0, 0.0, 1.0]]),
    ],
)
def test_filter_covariance_without_inverse_is_refused(filter_cov):
    data_cov = _with_values([1.0, 2.0, 4.0], random_basis(3, seed=5))
    with pytest.raises(UsageError, match=r"more filters than dimensions \(3\); .* --seeds.*Rec"):
        misalignment(data_cov, filter_cov)


@pytest.mark.parametrize("seed", range(10))
def test_variance_that_is_rounding_only_is_refused(seed):
    basis = random_basis(6, seed)
    data_cov = _with_values(np.arange(1.0, 7.0), basis)
    filter_cov = _with_values([1.0, 2.0, 3.0, 4.0, 5.0, 0.0], basis)
    with pytest.raises(UsageError, match="must be positive definite"):
        misalignment(data_cov, filter_cov)


def test_too_few_filters_have_no_misalignment():
    rows = np.random.default_rng(0).standard_normal((64, 75))
    with pytest.raises(UsageError, match=r"more filters than dimensions \(75\)"):
        misalignment(_lopsided(75, 1), filter_covariance(rows, require_full_rank=False))


def test_filter_covariance_centered_and_not():
    rows = np.random.default_rng(0).standard_normal((12, 3)) + np.arange(1, 4)
    np.testing.assert_allclose(filter_covariance(rows), sum(np.outer(r, r) for r in rows) / 12)
    np.testing.assert_allclose(filter_covariance(rows, centered=True), np.cov(rows.T, bias=True))


def test_filter_covariance_needs_more_filters_than_dimensions():
    rows = np.random.default_rng(0).standard_normal((16, 75))
    with pytest.raises(UsageError, match=r"dimensions \(75\). Pool .* --seeds. Received: 16 fil"):
        filter_covariance(rows)
    with pytest.raises(UsageError, match=r"\(3\).*Received: 3 filters"):
        filter_covariance(np.eye(3))
    with pytest.raises(UsageError, match=r"\(3 and one more for the mean\).*Received: 4 filters"):
        filter_covariance(np.eye(4)[:, :3], centered=True)
    assert filter_covariance(rows, require_full_rank=False).shape == (75, 75)


@pytest.mark.parametrize("rows", [np.zeros(3), np.zeros((0, 3)), np.full((4, 2), np.nan)])
def test_filters_must_be_a_finite_matrix(rows):
    with pytest.raises(UsageError, match=r"finite matrix \(num_filters, dim\).*Received: shape="):
        filter_covariance(rows)


@pytest.mark.parametrize(
    ("num_filters", "dim", "floor"),
    [
        (256, 27, 1.4947),
        (64, 27, 8.3300),
        (4096, 27, 0.0861),
        (256, 75, 14.0566),
        (1120, 75, 2.6113),
        (96, 27, 4.7126),
        (512, 27, 0.7150),
        (4480, 75, 0.6270),
        (12800, 27, 0.0275),
    ],
)
def test_sampling_floor_table(num_filters, dim, floor):
    assert sampling_floor(num_filters, dim) == pytest.approx(floor, abs=1e-3 if dim > 74 else 6e-5)
    assert sampling_floor(num_filters + 1, dim, centered=True) == sampling_floor(num_filters, dim)


@pytest.mark.parametrize("centered", [False, True])
@pytest.mark.parametrize(
    ("num_filters", "dim"), [(256, 27), (64, 27), (512, 27), (96, 50), (40, 6)]
)
def test_sampling_floor_is_the_mean_of_aligned_filters(num_filters, dim, centered):
    generator = np.random.default_rng(num_filters + dim)
    basis = random_basis(dim, seed=0)
    spaces = eigenspaces(_with_values(np.arange(1.0, dim + 1), basis))
    # Aligned but far from isotropic: the floor does not depend on the eigenvalues.
    root = basis * np.geomspace(1, 20, dim)
    draws = []
    for _ in range(150):
        rows = generator.standard_normal((num_filters, dim)) @ root.T
        draws.append(misalignment(spaces, filter_covariance(rows, centered)))
    error = np.std(draws, ddof=1) / math.sqrt(len(draws))
    floor = sampling_floor(num_filters, dim, centered)
    assert abs(np.mean(draws) - floor) < 3 * error
    assert error < 0.1 * floor


def test_sampling_floor_needs_more_filters_than_dimensions():
    with pytest.raises(UsageError, match=r"dimensions \(75\).*Received: 64 filters"):
        sampling_floor(64, 75)
    with pytest.raises(UsageError, match=r"\(27 and one more for the mean\).*Received: 28 filters"):
        sampling_floor(28, 27, centered=True)


def test_random_basis_is_orthonormal_and_seeded():
    basis = random_basis(9, seed=4)
    np.testing.assert_allclose(basis.T @ basis, np.eye(9), atol=1e-12)
    np.testing.assert_array_equal(basis, random_basis(9, seed=4))
    assert np.abs(basis - random_basis(9, seed=5)).max() > 0.1


def test_random_basis_has_no_preferred_direction_or_sign():
    bases = np.array([random_basis(3, seed) for seed in range(1000)])
    # Entries of a Haar basis have mean 0 and variance 1 / d; plain QR fixes signs instead.
    assert np.abs(bases.mean(axis=0)).max() < 4 * math.sqrt(1 / 3 / 1000)
    np.testing.assert_allclose((bases**2).mean(axis=0), np.full((3, 3), 1 / 3), atol=0.05)


def test_random_basis_misalignment_is_that_of_the_basis():
    filter_cov = _lopsided(6, seed=0)
    groups = [[i] for i in range(6)]
    expected = _slow_misalignment(random_basis(6, seed=7), groups, filter_cov)
    assert random_basis_misalignment(filter_cov, seed=7) == pytest.approx(expected)
    root = random_basis_misalignment(filter_cov, seed=7, normalization="sqrt_m")
    assert root == pytest.approx(math.sqrt(expected))
    assert random_basis_misalignment(filter_cov, seed=8) != pytest.approx(expected, rel=1e-3)


def test_data_basis_stays_at_the_floor_while_a_random_basis_rises():
    basis = random_basis(10, seed=0)
    data_cov = _with_values(np.geomspace(1, 100, 10), basis)
    rows = np.random.default_rng(1).standard_normal((500, 10)) @ (basis * np.geomspace(5, 1, 10)).T
    filter_cov = filter_covariance(rows)
    assert misalignment(data_cov, filter_cov) < 2 * sampling_floor(500, 10)
    assert random_basis_misalignment(filter_cov, seed=2) > 10 * sampling_floor(500, 10)
