import math

import numpy as np
import pytest
from aligned import KS_LIMIT, aligned_filters, spaces_of
from scipy import stats

from rl_keras.errors import UsageError
from rl_keras.science.alignment import filter_covariance, misalignment, sampling_floor
from rl_keras.science.nulls import gaussian_null, misalignments, sampling_floor_sd


@pytest.mark.parametrize(
    ("num_filters", "dim", "spread"),
    [
        (256, 27, 0.1149),
        (64, 27, 0.8960),
        (4096, 27, 0.0063),
        (256, 75, 0.4606),
        (1120, 75, 0.0684),
        (96, 27, 0.4143),
        (512, 27, 0.0523),
    ],
)
def test_floor_sd_agrees_with_a_simulation_of_filters(num_filters, dim, spread):
    # 200 draws each, so a relative standard error of 5% and more for skewed draws.
    assert sampling_floor_sd(num_filters, dim) == pytest.approx(spread, rel=0.15)
    assert sampling_floor_sd(num_filters + 1, dim, True) == sampling_floor_sd(num_filters, dim)


@pytest.mark.parametrize(("num_filters", "dim"), [(100, 12), (30, 6), (40, 2), (40, 20)])
def test_floor_and_its_sd_are_those_of_wishart_draws(num_filters, dim):
    draws = gaussian_null(
        num_filters, np.diag(np.arange(dim, 0.0, -1)), 2500, np.random.default_rng(1)
    )
    error = draws.std() / math.sqrt(len(draws))
    assert abs(draws.mean() - sampling_floor(num_filters, dim)) < 4 * error
    kurtosis = stats.kurtosis(draws, fisher=False)
    relative_error = math.sqrt((kurtosis - 1) / 4 / len(draws))
    spread = sampling_floor_sd(num_filters, dim)
    assert draws.std() == pytest.approx(spread, rel=4 * relative_error)


def test_floor_sd_of_two_dimensions_has_a_closed_form():
    # m = 2 (X - 1) with one X = (1 - r^2)^(-1/2): E X^2 = (n - 2) / (n - 3).
    for num_filters in (4, 10, 300):
        squared = (num_filters - 2) / (num_filters - 3)
        mean = 1 + sampling_floor(num_filters, 2) / 2
        assert sampling_floor_sd(num_filters, 2) == pytest.approx(2 * math.sqrt(squared - mean**2))


@pytest.mark.parametrize(("num_filters", "dim"), [(50, 5), (60, 10), (90, 40), (200, 27)])
def test_floor_sd_is_that_of_plain_gamma_functions(num_filters, dim):
    n, d, g = num_filters, dim, math.gamma
    mean = g((n - d) / 2) * g(n / 2) / (g((n - d + 1) / 2) * g((n - 1) / 2))
    other = g((n - d + 1) / 2) * g(n / 2) / (g((n - d + 2) / 2) * g((n - 1) / 2))
    product = other**2 * (n - d) / (n - d - 1)
    variance = d * ((n - 2) / (n - d - 1) - mean**2) + d * (d - 1) * (product - mean**2)
    assert sampling_floor_sd(n, d) == pytest.approx(math.sqrt(variance), rel=1e-9)


@pytest.mark.parametrize("num_filters", [10**4, 10**6, 10**8])
def test_floor_sd_of_very_many_filters_is_that_of_squared_correlations(num_filters):
    # m is then the sum over pairs of r^2, independent, each of variance 2 / n^2.
    expected = math.sqrt(27 * 26) / num_filters
    assert sampling_floor_sd(num_filters, 27) == pytest.approx(
        expected, rel=100 / num_filters + 1e-5
    )


def test_floor_sd_is_infinite_for_one_filter_more_and_zero_for_one_dimension():
    assert sampling_floor_sd(28, 27) == math.inf
    assert sampling_floor_sd(29, 27) < math.inf
    assert sampling_floor_sd(5, 1) == 0
    with pytest.raises(UsageError, match=r"dimensions \(27\).*Received: 27 filters"):
        sampling_floor_sd(27, 27)


def test_gaussian_null_is_the_law_of_filters_in_blocks_too():
    generator, spaces = np.random.default_rng(0), spaces_of([3, 1, 2])
    for centered in (False, True):
        slow = [
            misalignment(
                spaces, filter_covariance(aligned_filters(9, spaces, generator, ""), centered)
            )
            for _ in range(400)
        ]
        draws = gaussian_null(9, spaces, 3000, generator, centered)
        distance = stats.ks_2samp(slow, draws).statistic
        assert distance < KS_LIMIT * math.sqrt(1 / 400 + 1 / 3000)


@pytest.mark.parametrize("sizes", [[1] * 6, [3, 1, 2], [6]])
def test_floor_of_many_filters_counts_pairs_and_the_spread_within_blocks(sizes):
    draws = gaussian_null(20000, spaces_of(sizes), 1000, np.random.default_rng(0))
    expected = (6 * 5 / 2 + 6 - len(sizes)) / 20000
    assert draws.mean() == pytest.approx(expected, rel=4 * draws.std() / expected / 1000**0.5)


def test_batched_misalignments_equal_the_single_one():
    generator = np.random.default_rng(0)
    for sizes in ([1, 1, 1, 1], [2, 2], [1, 3], [4]):
        spaces = spaces_of(sizes)
        covs = [
            filter_covariance(generator.standard_normal((9, 4)) * [1, 2, 5, 90]) for _ in range(6)
        ]
        rotated = np.array([spaces.vectors.T @ cov @ spaces.vectors for cov in covs])
        expected = [misalignment(spaces, cov) for cov in covs]
        np.testing.assert_allclose(misalignments(rotated, spaces.groups), expected, atol=1e-9)
    singular = np.array([np.diag([1.0, 0.0]), np.ones((2, 2)), np.eye(2)])
    scores = misalignments(singular, (slice(0, 1), slice(1, 2)))
    assert scores.tolist() == [math.inf, math.inf, 0.0]
