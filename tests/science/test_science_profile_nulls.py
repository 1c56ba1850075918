import itertools
import math

import numpy as np
import pytest
from scipy import stats

from rl_keras.errors import UsageError
from rl_keras.science.alignment import filter_covariance, random_basis
from rl_keras.science.profiles import (
    energy_profile,
    fit_linear_profile,
    grid_correlations,
    hump_test,
    humps,
    linear_profile,
    rotation_test,
)
from rl_keras.science.transfer import TransferCurve

_KS_LIMIT = 1.95  # of sqrt(n) times the distance; exceeded by chance once in a thousand
_SIGMA = np.logspace(0.7, -1.9, 27)  # of patches of photographs, roughly


def _curve(values, sigma=_SIGMA):
    return TransferCurve(sigma**2, sigma, np.asarray(values, dtype=np.float64))


def _filters(profile, generator, num=256, seed=0):
    """Filters of a profile in a random basis, and the covariance of data with that basis."""
    basis = random_basis(len(profile), seed)
    rows = generator.standard_normal((num, len(profile))) * profile
    return rows @ basis.T, (basis * _SIGMA[: len(profile)] ** 2) @ basis.T


# Humps.


def test_humps_rise_to_the_largest_value_and_fall_after_it():
    values = np.random.default_rng(0).random(8)
    for hump in humps(values, 200, np.random.default_rng(1)):
        np.testing.assert_array_equal(np.sort(hump), np.sort(values))
        peak = hump.argmax()
        assert (np.diff(hump[: peak + 1]) > 0).all()
        assert (np.diff(hump[peak:]) < 0).all()


def test_peaks_are_uniform_and_so_are_humps_of_one_peak():
    drawn = humps([1, 2, 3, 4, 5], 20000, np.random.default_rng(0)).astype(int)
    peaks = np.bincount(drawn.argmax(axis=1), minlength=5) / 20000
    np.testing.assert_allclose(peaks, np.full(5, 0.2), atol=4 * math.sqrt(0.16 / 20000))
    kinds, counts = np.unique(drawn, axis=0, return_counts=True)
    expected = {
        (*left, 5, *sorted({1, 2, 3, 4} - set(left), reverse=True)): 1 / 5 / math.comb(4, size)
        for size in range(5)
        for left in itertools.combinations([1, 2, 3, 4], size)
    }
    assert {tuple(kind) for kind in kinds.tolist()} == set(expected)
    for kind, count in zip(kinds.tolist(), counts, strict=True):
        share = expected[tuple(kind)]
        assert count / 20000 == pytest.approx(share, abs=4.5 * math.sqrt(share / 20000))


def test_p_values_of_random_humps_are_uniform():
    generator, values = np.random.default_rng(3), np.random.default_rng(0).exponential(size=12)
    sigma = _SIGMA[:12]
    p_values = [
        hump_test(_curve(hump, sigma), 99, generator).p_value
        for hump in humps(values, 200, generator)
    ]
    assert stats.kstest(p_values, "uniform").statistic < _KS_LIMIT / math.sqrt(200) + 0.01


def test_a_linear_network_is_told_from_other_humps():
    generator = np.random.default_rng(0)
    for scale in (0.3, 3.0, 30.0, 300.0):
        rows, cov = _filters(linear_profile(_SIGMA, scale), generator)
        curve = energy_profile(rows, cov)
        assert hump_test(curve, 199, generator).p_value <= 0.03
        assert rotation_test(rows, cov, 199, generator).p_value <= 0.01


@pytest.mark.parametrize(
    "wrong",
    [np.arange(27, 0, -1.0), np.arange(1.0, 28)],
    ids=["linear in the rank", "its reverse"],
)
def test_a_high_correlation_alone_is_no_fit(wrong):
    generator = np.random.default_rng(0)
    rows, cov = _filters(wrong, generator, num=4000)
    curve = energy_profile(rows, cov)
    assert fit_linear_profile(curve).correlation > 0.8
    assert hump_test(curve, 199, generator).p_value > 0.2
    # A smooth profile of any kind is no profile on random axes.
    assert rotation_test(rows, cov, 199, generator).p_value <= 0.01


def test_the_published_correlation_is_what_any_hump_of_these_heights_gets():
    test = hump_test(_curve(linear_profile(_SIGMA, 3.0)), 999, np.random.default_rng(0))
    assert test.quantiles([0.5])[0] > 0.9
    assert test.observed > 0.999


# Rotations.


def test_p_values_of_filters_that_do_not_know_the_data_are_uniform():
    generator, p_values = np.random.default_rng(0), []
    cov = np.diag(_SIGMA[:8] ** 2)
    for seed in range(200):
        rows, _ = _filters(np.arange(1.0, 9), generator, num=20, seed=seed)
        p_values.append(rotation_test(rows, cov, 99, generator).p_value)
    assert stats.kstest(p_values, "uniform").statistic < _KS_LIMIT / math.sqrt(200) + 0.01


def test_rotations_equal_a_slow_loop_over_random_bases_also_in_blocks():
    generator = np.random.default_rng(0)
    rows, initial = generator.standard_normal((2, 9, 4)) * [1, 2, 5, 9]
    for variances in ([4.0, 3.0, 2.0, 1.0], [4.0, 4.0, 2.0, 1.0]):
        sigma, slow = np.sqrt(variances), []
        cov = filter_covariance(rows - initial)
        for seed in range(400):
            axes = random_basis(4, seed)
            squares = np.array([axis @ cov @ axis for axis in axes.T])
            if variances[0] == variances[1]:
                squares[:2] = squares[:2].mean()
            slow.append(grid_correlations(np.sqrt(squares)[None], sigma)[0])
        test = rotation_test(rows, np.diag(variances), 3000, generator, initial)
        distance = stats.ks_2samp(slow, test.draws).statistic
        assert distance < _KS_LIMIT * math.sqrt(1 / 400 + 1 / 3000)
        curve = energy_profile(rows, np.diag(variances), initial)
        assert test.observed == pytest.approx(grid_correlations(curve.values[None], sigma)[0])


def test_a_change_that_is_alike_in_all_directions_is_so_on_all_axes():
    initial = np.random.default_rng(0).standard_normal((4, 4)) * [1, 2, 5, 9]
    rows, cov = initial + random_basis(4, seed=0), np.diag([4.0, 3.0, 2.0, 1.0])
    test = rotation_test(rows, cov, 9, np.random.default_rng(0), initial)
    assert (test.observed, test.draws.tolist()) == (0.0, [0.0] * 9)
    assert rotation_test(rows, cov, 9, np.random.default_rng(0)).draws.all()


def test_no_draws_and_no_generator_are_refused():
    curve = _curve([1.0, 2.0, 3.0], _SIGMA[:3])
    with pytest.raises(UsageError, match="draws must be a positive integer. Received: draws=0"):
        hump_test(curve, 0, np.random.default_rng(0))
    with pytest.raises(UsageError, match="rng must be a np.random.Generator"):
        rotation_test(np.eye(3), np.diag([3.0, 2.0, 1.0]), 5, 0)
