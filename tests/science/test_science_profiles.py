import itertools
import math

import numpy as np
import pytest
from aligned import KS_LIMIT
from scipy import stats

from rl_keras.errors import UsageError
from rl_keras.science.alignment import filter_covariance, random_basis
from rl_keras.science.profiles import (
    compare_profiles,
    energy_profile,
    fit_linear_profile,
    grid_correlations,
    hump_test,
    humps,
    linear_profile,
    rotation_test,
)
from rl_keras.science.transfer import TransferCurve, transfer_function

# Patch eigenvalues of CIFAR-10, 3x3x3 patches of standardised images.
CIFAR10 = [20.8, 1.76, 1.43, 1.13, 0.386, 0.275, 0.234, 0.196, 0.0703, 0.0672, 0.0657, 0.0536]
CIFAR10 += [0.0203, 0.0174, 0.0147, 0.0101, 8.43e-3, 6.98e-3, 3.16e-3, 2.6e-3, 2.19e-3, 1.93e-3]
CIFAR10 += [1.74e-3, 7.1e-4, 6.3e-4, 4.4e-4, 1.85e-4]
SIGMA = np.sqrt(CIFAR10)


def _curve(sigma, values):
    sigma = np.asarray(sigma, dtype=np.float64)
    return TransferCurve(sigma**2, sigma, np.asarray(values, dtype=np.float64))


# The profile of filters.


def test_profile_equals_a_slow_loop_over_filters_and_axes():
    generator = np.random.default_rng(0)
    basis, rows = random_basis(4, seed=0), generator.standard_normal((7, 4))
    initial = generator.standard_normal((7, 4))
    cov = (basis * [4.0, 3.0, 2.0, 1.0]) @ basis.T
    for subtracted in (None, initial):
        filters = rows if subtracted is None else rows - initial
        curve = energy_profile(rows, cov, subtracted)
        for i in range(4):
            total = sum(float(w @ basis[:, i]) ** 2 for w in filters)
            assert curve.values[i] == pytest.approx(math.sqrt(total / 7))
        np.testing.assert_allclose(curve.sigma, np.sqrt([4, 3, 2, 1]))


def test_profile_is_the_transfer_function_and_needs_no_more_filters_than_axes():
    rows, cov = np.random.default_rng(0).standard_normal((9, 3)), np.diag([3.0, 2.0, 2.0])
    expected = transfer_function(cov, filter_covariance(rows)).values
    np.testing.assert_allclose(energy_profile(rows, cov).values, expected)
    np.testing.assert_allclose(energy_profile([[0.0, 2.0, 0.0]], cov).values, [0, 2**0.5, 2**0.5])


def test_profile_of_what_does_not_match_is_refused():
    with pytest.raises(UsageError, match=r"the same filters.*Received: shapes \(2, 3\) and \(3,\)"):
        energy_profile(np.ones((2, 3)), np.eye(3), np.ones(3))
    with pytest.raises(UsageError, match="same dimension, 2.*Received: 3 for filters"):
        energy_profile(np.ones((2, 3)), np.eye(2))


# The curve of a linear network.


def test_curve_is_the_limit_of_gradient_descent_in_many_small_steps():
    sigma = np.array([3.0, 1.0, 0.3, 0.05])
    for steps, rate in ((10, 1e-3), (1000, 1e-3), (10**5, 1e-4)):
        exact = np.abs(1 - (1 - rate * sigma**2) ** steps) / sigma
        error = rate * sigma.max() ** 2  # relative, by the series of log(1 - x)
        np.testing.assert_allclose(linear_profile(sigma, rate * steps), exact, rtol=error)


def test_curve_is_that_of_a_linear_network_trained_on_random_labels():
    # Many linear networks, each a filter trained by itself from zero on its own labels.
    generator, (num, dim) = np.random.default_rng(0), (60, 5)
    data = generator.standard_normal((num, dim)) * [3.0, 1.5, 0.7, 0.3, 0.1]
    second_moment = data.T @ data / num
    products = data.T @ generator.standard_normal((num, 4000)) / num
    filters, rate, steps = np.zeros((dim, 4000)), 0.002, 700
    for _ in range(steps):
        filters -= rate * (second_moment @ filters - products)
    curve = energy_profile(filters.T, second_moment)
    expected = linear_profile(curve.sigma, rate * steps)
    ratio = curve.values / expected
    np.testing.assert_allclose(ratio / ratio.mean(), np.ones(5), atol=4 / math.sqrt(8000))
    fit = fit_linear_profile(curve)
    assert fit.scale == pytest.approx(rate * steps, rel=0.15)
    assert fit.correlation > 0.999


def test_momentum_multiplies_the_scale():
    sigma, rate, momentum, steps = np.array([2.0, 1.0, 0.3]), 1e-4, 0.9, 20000
    filters, velocity = np.zeros(3), np.zeros(3)
    for _ in range(steps):
        velocity = momentum * velocity - rate * (sigma**2 * filters - sigma)
        filters = filters + velocity
    expected = linear_profile(sigma, rate * steps / (1 - momentum))
    np.testing.assert_allclose(filters, expected, rtol=0.01)


def test_curve_goes_from_proportional_over_a_hump_to_whitening():
    np.testing.assert_allclose(linear_profile(SIGMA, 1e-9) / 1e-9, SIGMA, rtol=1e-7)
    np.testing.assert_allclose(linear_profile(SIGMA, 1e9), 1 / SIGMA)
    assert not linear_profile(SIGMA, 0.0).any()
    sigma = np.linspace(0.5, 2, 15001)
    peak = sigma[linear_profile(sigma, 1.0).argmax()] ** 2
    assert peak == pytest.approx(1.2564, abs=4e-4)
    assert math.exp(1.2564312) == pytest.approx(1 + 2 * 1.2564312)
    # Stretching the axes and the scale only changes the unit.
    np.testing.assert_allclose(linear_profile(3 * SIGMA, 0.5), linear_profile(SIGMA, 4.5) / 3)


@pytest.mark.parametrize(
    ("sigma", "scale", "message"),
    [
        ([1.0, 0.0], 1.0, r"leave out axes.*Received: shape=\(2,\), least 0.0"),
        ([], 1.0, r"Received: shape=\(0,\)"),
        ([[1.0]], 1.0, r"Received: shape=\(1, 1\)"),
        ([1.0], -1.0, "scale must be zero or more. Received: scale=-1.0"),
        ([1.0], math.nan, "Received: scale=nan"),
    ],
)
def test_no_curve_without_variance_or_with_a_negative_scale(sigma, scale, message):
    with pytest.raises(UsageError, match=message):
        linear_profile(sigma, scale)


# Fits.


@pytest.mark.parametrize("scale", [1e-3, 0.02, 0.7, 30.0, 5000.0])
def test_fit_finds_a_planted_scale_and_amplitude(scale):
    planted = 0.03 * linear_profile(SIGMA, scale)
    fit = fit_linear_profile(_curve(SIGMA, planted))
    assert fit.scale == pytest.approx(scale, rel=1e-4)
    np.testing.assert_allclose(fit.values, planted, rtol=1e-6)
    assert (round(fit.cosine, 9), round(fit.correlation, 9), fit.at_edge) == (1, 1, False)


def test_fit_is_the_best_of_a_fine_grid_in_squared_error():
    generator = np.random.default_rng(0)
    for _ in range(5):
        values = generator.random(27)
        fit = fit_linear_profile(_curve(SIGMA, values))
        errors = []
        for scale in np.logspace(-5, 7, 3000):
            shape = linear_profile(SIGMA, scale)
            amplitude = np.linalg.lstsq(shape[:, None], values, rcond=None)[0]
            errors.append(((values - amplitude * shape) ** 2).sum())
        error = ((values - fit.values) ** 2).sum()
        assert error <= min(errors) + 1e-9
        assert error == pytest.approx((1 - fit.cosine**2) * (values**2).sum())
        assert fit.correlation == pytest.approx(np.corrcoef(fit.values, values)[0, 1])


def test_fit_says_when_only_a_limit_fits():
    proportional = fit_linear_profile(_curve(SIGMA, 2 * SIGMA))
    assert (proportional.scale, proportional.at_edge) == (0.0, True)
    np.testing.assert_allclose(proportional.values, 2 * SIGMA)
    inverse = fit_linear_profile(_curve(SIGMA, 3 / SIGMA))
    assert (inverse.scale, inverse.at_edge) == (math.inf, True)
    np.testing.assert_allclose(inverse.values, 3 / SIGMA)


def test_fit_does_not_depend_on_the_order_of_axes_or_the_unit():
    values, order = np.random.default_rng(1).random(27), np.random.default_rng(2).permutation(27)
    fit = fit_linear_profile(_curve(SIGMA, values))
    again = fit_linear_profile(_curve(10 * SIGMA[order], 7 * values[order]))
    assert again.scale == pytest.approx(fit.scale / 100, rel=1e-6)
    np.testing.assert_allclose(again.values, 7 * fit.values[order], rtol=1e-6)


def test_rivals_explain_what_they_are_and_the_network_at_least_as_much_as_its_limits():
    shapes = {"proportional": SIGMA, "constant": np.ones(27), "inverse": 1 / SIGMA}
    for name, shape in shapes.items():
        fits = compare_profiles(_curve(SIGMA, 5 * shape))
        assert fits[name].cosine == pytest.approx(1)
        np.testing.assert_allclose(fits[name].values, 5 * shape)
        assert math.isnan(fits[name].correlation) == (name == "constant")
    for seed in range(5):
        fits = compare_profiles(_curve(SIGMA, np.random.default_rng(seed).random(27)))
        assert math.isnan(fits["constant"].correlation)
        for name in ("proportional", "inverse"):
            assert fits["linear_network"].cosine >= fits[name].cosine - 1e-4


def test_grid_correlations_are_those_of_the_fit_up_to_the_grid():
    profiles = np.random.default_rng(0).random((6, 27))
    profiles[5] = 1.0
    scores = grid_correlations(profiles, SIGMA)
    for i in range(5):
        assert scores[i] == pytest.approx(
            fit_linear_profile(_curve(SIGMA, profiles[i])).correlation, abs=0.02
        )
    assert scores[5] == 0


@pytest.mark.parametrize(
    ("sigma", "values", "message"),
    [
        ([2.0, 1.0], [1.0, 1.0], r"at least three axes. Received: sigma \(2,\), values \(2,\)"),
        ([3.0, 2.0, 1.0], [1.0, 1.0], r"Received: sigma \(3,\), values \(2,\)"),
        ([3.0, 2.0, 1.0], [0.0, 0.0, 0.0], "never changed have none. Received: from 0.0 to 0.0"),
        ([3.0, 2.0, 1.0], [1.0, -1.0, 0.0], "not negative.*Received: from -1.0 to 1.0"),
        ([3.0, 2.0, 1.0], [1.0, math.nan, 0.0], "must be finite"),
        ([3.0, 2.0, 0.0], [1.0, 1.0, 0.0], "leave out axes"),
    ],
)
def test_what_is_no_profile_is_not_fitted(sigma, values, message):
    with pytest.raises(UsageError, match=message):
        compare_profiles(_curve(sigma, values))


# Tests against humps of the same heights and against random axes.


SMOOTH_SIGMA = np.logspace(0.7, -1.9, 27)  # of patches of photographs, roughly


def _filters(profile, generator, num=256, seed=0):
    """Filters of a profile in a random basis, and the covariance of data with that basis."""
    basis = random_basis(len(profile), seed)
    rows = generator.standard_normal((num, len(profile))) * profile
    return rows @ basis.T, (basis * SMOOTH_SIGMA[: len(profile)] ** 2) @ basis.T


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
    sigma = SMOOTH_SIGMA[:12]
    p_values = [
        hump_test(_curve(sigma, hump), 99, generator).p_value
        for hump in humps(values, 200, generator)
    ]
    assert stats.kstest(p_values, "uniform").statistic < KS_LIMIT / math.sqrt(200) + 0.01


def test_a_linear_network_is_told_from_other_humps():
    generator = np.random.default_rng(0)
    for scale in (0.3, 3.0, 30.0, 300.0):
        rows, cov = _filters(linear_profile(SMOOTH_SIGMA, scale), generator)
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
    test = hump_test(
        _curve(SMOOTH_SIGMA, linear_profile(SMOOTH_SIGMA, 3.0)), 999, np.random.default_rng(0)
    )
    assert test.quantiles([0.5])[0] > 0.9
    assert test.observed > 0.999


# Rotations.


def test_p_values_of_filters_that_do_not_know_the_data_are_uniform():
    generator, p_values = np.random.default_rng(0), []
    cov = np.diag(SMOOTH_SIGMA[:8] ** 2)
    for seed in range(200):
        rows, _ = _filters(np.arange(1.0, 9), generator, num=20, seed=seed)
        p_values.append(rotation_test(rows, cov, 99, generator).p_value)
    assert stats.kstest(p_values, "uniform").statistic < KS_LIMIT / math.sqrt(200) + 0.01


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
        assert distance < KS_LIMIT * math.sqrt(1 / 400 + 1 / 3000)
        curve = energy_profile(rows, np.diag(variances), initial)
        assert test.observed == pytest.approx(grid_correlations(curve.values[None], sigma)[0])


def test_a_change_that_is_alike_in_all_directions_is_so_on_all_axes():
    initial = np.random.default_rng(0).standard_normal((4, 4)) * [1, 2, 5, 9]
    rows, cov = initial + random_basis(4, seed=0), np.diag([4.0, 3.0, 2.0, 1.0])
    test = rotation_test(rows, cov, 9, np.random.default_rng(0), initial)
    assert (test.observed, test.draws.tolist()) == (0.0, [0.0] * 9)
    assert rotation_test(rows, cov, 9, np.random.default_rng(0)).draws.all()


def test_no_draws_and_no_generator_are_refused():
    curve = _curve(SMOOTH_SIGMA[:3], [1.0, 2.0, 3.0])
    with pytest.raises(UsageError, match="draws must be a positive integer. Received: draws=0"):
        hump_test(curve, 0, np.random.default_rng(0))
    with pytest.raises(UsageError, match="rng must be a np.random.Generator"):
        rotation_test(np.eye(3), np.diag([3.0, 2.0, 1.0]), 5, 0)
