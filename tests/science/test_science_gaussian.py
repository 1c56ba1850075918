import numpy as np
import pytest

from rl_keras.errors import UsageError
from rl_keras.science.alignment import misalignment, random_basis
from rl_keras.science.gaussian import (
    FilterGaussian,
    LayerProfile,
    covariance_from_profile,
    gaussian_from_profile,
)
from rl_keras.science.transfer import transfer_function

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


# Deeper layers: the profile in place of the covariance.


_VALUES = np.array([9.0, 5.0, 2.0, 0.5])
_STRENGTHS = np.array([0.3, 2.0, 1.0, 0.7])


def _with_values(values, seed):
    basis = random_basis(len(values), seed)
    return (basis * values) @ basis.T


def _profile(values=_VALUES, strengths=_STRENGTHS):
    return LayerProfile(values, strengths, num_filters=50)


def test_profile_is_the_transfer_function_by_rank():
    rows = np.random.default_rng(0).standard_normal((3, 4)) * [1, 2, 3, 4]  # fewer than d
    data_cov = _with_values(_VALUES, seed=1)
    profile = LayerProfile.fit(data_cov, rows)
    values, vectors = np.linalg.eigh(data_cov)
    for i in range(4):
        strength = np.sqrt(np.mean([(row @ vectors[:, 3 - i]) ** 2 for row in rows]))
        assert profile.values[i] == pytest.approx(strength)
    np.testing.assert_allclose(profile.eigenvalues, values[::-1])
    assert profile.num_filters == 3


@pytest.mark.parametrize("data_values", [_VALUES, np.array([9.0, 5.0, 5.0, 0.5])])
def test_same_data_gives_an_aligned_covariance_back(data_values):
    strengths = _STRENGTHS[[0, 1, 1, 3]] if len(set(data_values)) < 4 else _STRENGTHS
    basis = random_basis(4, seed=2)
    data_cov, filter_cov = (basis * data_values) @ basis.T, (basis * strengths**2) @ basis.T
    curve = transfer_function(data_cov, filter_cov)
    profile = LayerProfile(curve.eigenvalues, curve.values, num_filters=10)
    again = covariance_from_profile(profile, data_cov)
    np.testing.assert_allclose(again, filter_cov, atol=1e-12)


def test_ranks_are_matched_whatever_the_scale_and_basis_of_the_new_data():
    new_values = np.array([700.0, 1.0, 0.9, 1e-3])
    new_cov = _with_values(new_values, seed=5)
    cov = covariance_from_profile(_profile(), new_cov)
    curve = transfer_function(new_cov, cov)
    np.testing.assert_allclose(curve.values, _STRENGTHS)
    assert misalignment(new_cov, cov) < 1e-9
    np.testing.assert_allclose(covariance_from_profile(_profile(), 1e4 * new_cov), cov)
    rotation = random_basis(4, seed=6)
    rotated = covariance_from_profile(_profile(), rotation @ new_cov @ rotation.T)
    np.testing.assert_allclose(rotated, rotation @ cov @ rotation.T, atol=1e-12)
    np.testing.assert_array_equal(cov, cov.T)


def test_repeated_eigenvalues_of_the_new_data_share_their_variance():
    new_cov = np.diag([4.0, 4.0, 3.0, 1.0])
    cov = covariance_from_profile(_profile(), new_cov)
    shared = (0.3**2 + 2.0**2) / 2
    np.testing.assert_allclose(cov, np.diag([shared, shared, 1.0, 0.49]))
    assert misalignment(new_cov, cov) < 1e-9


def test_filters_are_drawn_from_the_new_covariance():
    new_cov = _with_values(_VALUES, seed=3)
    gaussian = gaussian_from_profile(_profile(), new_cov)
    assert gaussian.num_filters == 50
    rows = gaussian.sample(40000, np.random.default_rng(0))
    np.testing.assert_allclose(
        LayerProfile.fit(new_cov, rows).values, _STRENGTHS, rtol=4 / np.sqrt(2 * 40000)
    )


def test_other_dimensions_are_refused():
    with pytest.raises(UsageError, match="one value for each axis.*profile of 4 and data of 3"):
        covariance_from_profile(_profile(), np.eye(3))
