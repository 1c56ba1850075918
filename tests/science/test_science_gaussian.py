import numpy as np
import pytest

from rl_keras.errors import UsageError
from rl_keras.science.gaussian import FilterGaussian

_MIXING = np.array([[2.0, 0.0, 0.0], [1.0, 1.0, 0.0], [-1.0, 3.0, 0.5]])


def _rows(num, seed=0):
    return np.random.default_rng(seed).standard_normal((num, 3)) @ _MIXING.T


def test_fit_keeps_the_second_moment_about_zero():
    rows = _rows(10) + 5
    gaussian = FilterGaussian.fit(rows)
    np.testing.assert_allclose(gaussian.covariance, rows.T @ rows / 10)
    assert gaussian.num_filters == 10


def test_pool_equals_fitting_all_filters_at_once():
    parts = [_rows(5, 0), 3 * _rows(20, 1), _rows(9, 2)]
    pooled = FilterGaussian.pool(FilterGaussian.fit(rows) for rows in parts)
    whole = FilterGaussian.fit(np.concatenate(parts))
    np.testing.assert_allclose(pooled.covariance, whole.covariance, rtol=1e-12)
    assert pooled.num_filters == whole.num_filters == 34


@pytest.mark.parametrize("scale", [1.0, 1e-3])
def test_covariance_of_a_sample_converges(scale):
    covariance = scale * _MIXING @ _MIXING.T
    generator = np.random.default_rng(0)
    for num in (100, 10000, 1000000):
        rows = FilterGaussian(covariance, 10).sample(num, generator)
        error = np.abs(rows.T @ rows / num - covariance) / scale
        # An entry has variance (c_ij^2 + c_ii c_jj) / n, and c_ii is at most 10.25.
        assert error.max() < 4 * np.sqrt(2) * 10.25 / np.sqrt(num)
        assert np.abs(rows.mean(axis=0)).max() < 4 * np.sqrt(10.25 * scale / num)


def test_sample_of_a_singular_covariance_stays_in_its_space():
    generator = np.random.default_rng(0)
    plane = np.linalg.qr(generator.standard_normal((20, 2)))[0]
    # Zero eigenvalues that rounding has left on the wrong side of zero.
    covariance = plane @ np.diag([1.0, 9.0]) @ plane.T - 1e-14 * np.eye(20)
    rows = FilterGaussian(covariance, 2).sample(50, generator)
    np.testing.assert_allclose(rows, rows @ plane @ plane.T, atol=1e-6)
    assert (rows @ plane).std(axis=0).min() > 0.5


def test_sample_is_the_symmetric_root_applied_to_the_generator():
    rows = FilterGaussian(np.diag([4.0, 9.0]), 5).sample(6, np.random.default_rng(3))
    noise = np.random.default_rng(3).standard_normal((6, 2))
    np.testing.assert_allclose(rows, noise * [2.0, 3.0])


def test_generator_advances_between_samples():
    generator, gaussian = np.random.default_rng(0), FilterGaussian(np.eye(2), 5)
    assert np.abs(gaussian.sample(4, generator) - gaussian.sample(4, generator)).min() > 0


def test_too_few_filters_are_refused():
    with pytest.raises(UsageError, match=r"dimensions \(3\). Pool more .*Received: 3 filters"):
        FilterGaussian.fit(_rows(3))


def test_seed_instead_of_generator_is_refused():
    with pytest.raises(UsageError, match=r"default_rng\(seed\)\. Received: int"):
        FilterGaussian(np.eye(2), 5).sample(3, 0)


def test_pooling_nothing_or_different_layers_is_refused():
    with pytest.raises(UsageError, match=r"one dimension. Received: 0 with dimensions \[\]"):
        FilterGaussian.pool([])
    layers = [FilterGaussian(np.eye(2), 5), FilterGaussian(np.eye(3), 5)]
    with pytest.raises(UsageError, match=r"Received: 2 with dimensions \[2, 3\]"):
        FilterGaussian.pool(layers)
