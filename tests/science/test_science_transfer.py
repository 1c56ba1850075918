import numpy as np
import pytest

from rl_keras.errors import UsageError
from rl_keras.science.alignment import eigenspaces, filter_covariance, random_basis
from rl_keras.science.transfer import transfer_function


def _planted(sigma):
    return 0.3 + sigma * np.exp(-sigma)


def _with_values(values, seed=0):
    basis = random_basis(len(values), seed)
    return (basis * values) @ basis.T


def test_recovers_a_planted_function():
    sigma = np.geomspace(4, 0.1, 8)
    curve = transfer_function(_with_values(sigma**2), _with_values(_planted(sigma) ** 2))
    np.testing.assert_allclose(curve.eigenvalues, sigma**2)
    np.testing.assert_allclose(curve.sigma, sigma)
    np.testing.assert_allclose(curve.values, _planted(sigma))


def test_recovers_a_planted_function_from_sampled_filters():
    sigma = np.geomspace(4, 0.1, 8)
    rows = np.random.default_rng(1).standard_normal((20000, 8)) * _planted(sigma)
    filter_cov = filter_covariance(rows @ random_basis(8, seed=0).T)
    curve = transfer_function(eigenspaces(_with_values(sigma**2)), filter_cov)
    # A standard deviation from n Gaussians has relative error 1 / sqrt(2 n).
    np.testing.assert_allclose(curve.values, _planted(sigma), rtol=4 / np.sqrt(2 * 20000))


def test_unaligned_filters_give_the_variance_along_each_direction():
    curve = transfer_function(np.diag([4.0, 1.0]), [[9.0, 2.0], [2.0, 16.0]])
    np.testing.assert_allclose(curve.values, [3.0, 4.0])


def test_repeated_eigenspace_gets_its_root_mean_in_every_basis():
    filter_cov = np.diag([1.0, 7.0, 4.0])
    turn = np.eye(3)
    turn[:2, :2] = [[0.6, -0.8], [0.8, 0.6]]
    for turned in (filter_cov, turn @ filter_cov @ turn.T):
        curve = transfer_function(np.diag([5.0, 5.0, 2.0]), turned)
        np.testing.assert_allclose(curve.values, [2.0, 2.0, 2.0])


def test_singular_matrices_are_allowed():
    curve = transfer_function(_with_values([4.0, 0.0, 0.0]), _with_values([9.0, 0.0, 0.0]))
    np.testing.assert_allclose(curve.sigma, [2.0, 0.0, 0.0], atol=1e-7)
    np.testing.assert_allclose(curve.values, [3.0, 0.0, 0.0], atol=1e-7)


def test_different_dimensions_are_refused():
    with pytest.raises(UsageError, match="same dimension, 2;.*Received: 3 for filters"):
        transfer_function(np.eye(2), np.eye(3))
