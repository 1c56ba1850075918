import numpy as np
import pytest

from rl_keras.errors import UsageError
from rl_keras.science.alignment import eigenspaces, random_basis
from rl_keras.science.eigenspaces import in_eigenbasis, symmetric


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
