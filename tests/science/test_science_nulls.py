import itertools
import math

import numpy as np
import pytest
from aligned import KS_LIMIT, aligned_filters, spaces_of
from scipy import stats

from rl_keras.errors import UsageError
from rl_keras.science.alignment import (
    eigenspaces,
    filter_covariance,
    misalignment,
    random_basis,
    random_basis_misalignment,
    sampling_floor,
)
from rl_keras.science.nulls import (
    NullTest,
    TrajectoryTest,
    axis_misalignments,
    gaussian_null,
    misalignments,
    random_basis_distribution,
    run_flip_test,
    run_moments,
    sign_flip_null,
    sign_flip_test,
)


def test_sign_flips_draw_evenly_from_all_sign_patterns():
    rows = np.random.default_rng(0).standard_normal((5, 2)) * [1, 3]
    spaces = spaces_of([1, 1])
    coefficients = rows @ spaces.vectors
    every = []
    for signs in itertools.product([1, -1], repeat=10):
        flipped = coefficients * np.reshape(signs, (5, 2))
        every.append(misalignment(np.diag([2.0, 1.0]), filter_covariance(flipped)))
    draws = sign_flip_null(rows, spaces, 20000, np.random.default_rng(1))
    levels, counts = np.unique(np.round(every, 6), return_counts=True)
    assert np.isin(np.round(draws, 6), levels).all()
    shares = np.array([(np.round(draws, 6) == level).mean() for level in levels])
    np.testing.assert_allclose(shares, counts / 1024, atol=4 * math.sqrt(0.25 / 20000))


@pytest.mark.parametrize("centered", [False, True])
@pytest.mark.parametrize("by_run", [False, True])
def test_block_turns_equal_a_slow_loop_over_haar_matrices(by_run, centered):
    generator, spaces = np.random.default_rng(0), spaces_of([2, 1, 3])
    rows, runs = aligned_filters(12, spaces, generator), np.repeat(["a", "b", "c"], 4)
    coefficients, slow = rows @ spaces.vectors, []
    for draw in range(400):
        turned = np.empty_like(coefficients)
        for i in range(len(rows)):
            unit = "abc".index(runs[i]) if by_run else i
            for j, group in enumerate(spaces.groups):
                turn = random_basis(group.stop - group.start, seed=draw * 1000 + unit * 10 + j)
                turned[i, group] = turn @ coefficients[i, group]
        slow.append(misalignment(spaces, filter_covariance(turned @ spaces.vectors.T, centered)))
    draws = sign_flip_null(rows, spaces, 3000, generator, centered, runs if by_run else None)
    assert stats.ks_2samp(slow, draws).statistic < KS_LIMIT * math.sqrt(1 / 400 + 1 / 3000)


def test_null_of_many_filters_is_the_sum_of_fourth_moments():
    # To leading order E m = sum over pairs of E r_ij^2, with r_ij of independent signs.
    generator, spaces = np.random.default_rng(0), spaces_of([1] * 6)
    squares = (aligned_filters(5000, spaces, generator) @ spaces.vectors) ** 2
    squares /= squares.sum(axis=0)
    expected = sum(squares[:, i] @ squares[:, j] for i, j in itertools.combinations(range(6), 2))
    rows = np.sqrt(squares) @ spaces.vectors.T
    draws = sign_flip_null(rows, spaces, 300, generator)
    assert draws.mean() == pytest.approx(expected, rel=4 * draws.std() / expected / math.sqrt(300))


def test_null_does_not_depend_on_signs_scales_or_the_basis_within_an_eigenspace():
    generator, spaces = np.random.default_rng(0), spaces_of([1, 1, 1])
    rows = aligned_filters(10, spaces, generator)
    draws = sign_flip_null(rows, spaces, 50, np.random.default_rng(5))
    stretched = rows @ (spaces.vectors * [1e-3, 1.0, 50.0]) @ spaces.vectors.T
    again = sign_flip_null(stretched, spaces, 50, np.random.default_rng(5))
    np.testing.assert_allclose(again, draws, rtol=1e-7)
    rotation = random_basis(3, seed=8)
    cov = (spaces.vectors * spaces.values) @ spaces.vectors.T
    turned = sign_flip_null(
        rows @ rotation.T, rotation @ cov @ rotation.T, 50, np.random.default_rng(5)
    )
    np.testing.assert_allclose(turned, draws, rtol=1e-7)


def test_one_eigenspace_or_one_direction_needs_no_signs():
    rows = np.random.default_rng(0).standard_normal((30, 1))
    assert not sign_flip_null(rows, np.eye(1), 5, np.random.default_rng(0)).any()
    test = sign_flip_test(rows, np.eye(1), 5, np.random.default_rng(0))
    assert (test.p_value, test.excess) == (1.0, 0.0)
    assert math.isnan(test.z_score)


@pytest.mark.parametrize("sizes", [[1, 1, 1, 1], [2, 1, 1]])
def test_p_values_of_aligned_heavy_tailed_filters_are_uniform(sizes):
    generator, spaces = np.random.default_rng(3), spaces_of(sizes)
    tests = [
        sign_flip_test(aligned_filters(24, spaces, generator), spaces, 99, generator)
        for _ in range(200)
    ]
    distance = stats.kstest([test.p_value for test in tests], "uniform").statistic
    assert distance < KS_LIMIT / math.sqrt(200) + 0.01  # p-values are multiples of 1 / 100
    excess = np.array([test.excess for test in tests])
    assert abs(excess.mean()) < 4 * excess.std() / math.sqrt(200)


def test_a_gaussian_floor_would_reject_the_same_aligned_filters():
    generator, spaces = np.random.default_rng(3), spaces_of([1] * 4)
    gaussian = gaussian_null(100, spaces, 999, generator)
    rejected = 0
    for _ in range(100):
        cov = filter_covariance(aligned_filters(100, spaces, generator))
        rejected += NullTest(misalignment(spaces, cov), gaussian).p_value <= 0.05
    assert rejected > 50


def test_filters_in_a_rotated_basis_are_found_out():
    generator, spaces = np.random.default_rng(3), spaces_of([1] * 4)
    rotation = random_basis(4, seed=6)
    for _ in range(20):
        rows = aligned_filters(60, spaces, generator) @ rotation
        test = sign_flip_test(rows, spaces, 99, generator)
        assert test.p_value == 0.01
        assert test.z_score > 5


def test_turning_whole_runs_stays_valid_where_filters_of_a_run_depend_on_each_other():
    # Each run is misaligned by itself, in random directions: aligned over runs only.
    generator, spaces = np.random.default_rng(1), spaces_of([1] * 4)
    mixing, runs = random_basis(4, seed=3) * [1, 2, 3, 4], np.repeat(np.arange(12), 20)
    alone, together = [], []
    for _ in range(100):
        signs = generator.choice([-1.0, 1.0], (12, 1, 4))
        rows = (generator.standard_normal((12, 20, 4)) @ mixing.T * signs).reshape(-1, 4)
        rows = rows @ spaces.vectors.T
        alone.append(sign_flip_test(rows, spaces, 99, generator).p_value)
        together.append(sign_flip_test(rows, spaces, 99, generator, runs=runs).p_value)
    assert np.mean(np.array(alone) <= 0.05) > 0.3
    assert stats.kstest(together, "uniform").statistic < KS_LIMIT / math.sqrt(100) + 0.01


def test_size_of_the_paper_first_layer():
    # 256 filters of 27 entries, one in ten five times larger: not at 1.5 though aligned.
    generator, spaces = np.random.default_rng(0), spaces_of([1] * 27)
    rows = aligned_filters(256, spaces, generator)
    aligned = sign_flip_test(rows, spaces, 400, generator)
    assert 7 < aligned.draws.mean() < 11
    assert 0.3 < aligned.draws.std() < 0.6
    assert abs(aligned.z_score) < 3.5
    rotated = sign_flip_test(rows @ random_basis(27, seed=1), spaces, 400, generator)
    assert rotated.observed > 100
    assert aligned.draws.mean() < rotated.draws.mean() < 13
    assert rotated.p_value == 1 / 401


# What is made of the draws.


def test_null_test_counts_ties_and_itself():
    test = NullTest(2.0, [1.0, 2.0, 3.0, 4.0])
    assert test.p_value == 4 / 5
    assert NullTest(2.0 + 1e-12, test.draws).p_value == 4 / 5  # rounding does not break a tie
    assert NullTest(9.0, test.draws).p_value == 1 / 5
    assert test.excess == -0.5
    assert test.z_score == pytest.approx(-0.5 / np.std([1, 2, 3, 4], ddof=1))
    np.testing.assert_allclose(test.quantiles([0, 0.5, 1]), [1, 2.5, 4])
    assert NullTest(2.0, [1.0, math.inf]).p_value == 2 / 3


def test_excess_is_the_misalignment_less_the_mean_of_the_null():
    generator, spaces = np.random.default_rng(0), spaces_of([1, 1, 1])
    rows = aligned_filters(20, spaces, generator)
    observed = misalignment(spaces, filter_covariance(rows))
    draws = sign_flip_null(rows, spaces, 40, np.random.default_rng(7))
    test = sign_flip_test(rows, spaces, 40, np.random.default_rng(7))
    assert test.excess == pytest.approx(observed - draws.mean())


def test_excess_has_little_bias_for_misaligned_gaussian_filters():
    generator, spaces = np.random.default_rng(0), eigenspaces(np.diag([4.0, 3.0, 2.0, 1.0]))
    root = np.linalg.cholesky(np.eye(4) + 0.5 * np.ones((4, 4)))
    truth = misalignment(spaces, root @ root.T)
    scores = [
        sign_flip_test(generator.standard_normal((40, 4)) @ root.T, spaces, 50, generator).excess
        for _ in range(300)
    ]
    error = np.std(scores) / math.sqrt(300)
    assert -3 * error < np.mean(scores) - truth < truth * 4 / 72 + 3 * error
    assert truth > sampling_floor(40, 4) > 6 * error


def test_random_basis_distribution_is_that_of_the_seeds():
    cov = np.diag([1.0, 4.0, 25.0])
    scores = random_basis_distribution(cov, [3, 8], "sqrt_m")
    expected = [random_basis_misalignment(cov, seed, "sqrt_m") for seed in (3, 8)]
    assert scores.tolist() == expected


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"draws": 0}, "draws must be a positive integer. Received: draws=0"),
        ({"rng": 3}, r"such as np.random.default_rng\(seed\). Received: int"),
        ({"rows": np.eye(3)}, r"dimensions \(3\). Pool more .*Received: 3 filters"),
        ({"spaces": np.eye(2)}, "same dimension, 2;.*Received: 3 for filters"),
        ({"runs": [0, 1]}, r"each of the 9 filters.*Received: shape=\(2,\), 2 runs"),
        ({"runs": [0] * 9}, r"at least two runs; pool more.*Received: shape=\(9,\), 1 runs"),
    ],
)
def test_bad_input_of_the_null_is_refused(change, message):
    generator = np.random.default_rng(0)
    settings = {"rows": generator.standard_normal((9, 3)), "spaces": np.diag([3.0, 2.0, 1.0])}
    settings |= {"draws": 5, "rng": generator} | change
    with pytest.raises(UsageError, match=message):
        sign_flip_null(**settings)


def test_missing_draws_are_refused():
    with pytest.raises(UsageError, match=r"without NaN;.*Received: observed=1.0, draws \(0,\)"):
        NullTest(1.0, [])
    with pytest.raises(UsageError, match=r"Received: observed=nan, draws \(1,\)"):
        NullTest(math.nan, [1.0])


# Aligned Gaussian filters, and many misalignments at once.


@pytest.mark.parametrize(("num_filters", "dim"), [(100, 12), (30, 6), (40, 2), (40, 20)])
def test_floor_is_the_mean_of_wishart_draws(num_filters, dim):
    draws = gaussian_null(
        num_filters, np.diag(np.arange(dim, 0.0, -1)), 2500, np.random.default_rng(1)
    )
    error = draws.std() / math.sqrt(len(draws))
    assert abs(draws.mean() - sampling_floor(num_filters, dim)) < 4 * error


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


# Whole runs flipped, at all their steps.


def made_up_runs(generator, runs=12, steps=3, num=20, dim=4, turn=None):
    """Filters `(runs, steps, num, dim)` that share a random direction with those of their run.

    Each run is misaligned by itself. Its flips along the axes are equally likely, so that all
    runs together are aligned, unless a rotation turns them all alike.
    """
    shared = generator.standard_normal((runs, 1, 1, dim)) * np.arange(1, dim + 1)
    growth = np.linspace(0, 2, steps)[:, None, None]
    strength = generator.standard_normal((runs, 1, num, 1))
    filters = generator.standard_normal((runs, 1, num, dim)) + growth * strength * shared
    return filters if turn is None else filters @ turn


def test_scores_are_those_of_the_pooled_filters():
    filters = made_up_runs(np.random.default_rng(0))
    test = run_flip_test(run_moments(filters), 9, np.random.default_rng(1))
    axes = np.diag([4.0, 3.0, 2.0, 1.0])[::-1, ::-1]
    expected = [
        misalignment(axes, filter_covariance(filters[:, step].reshape(-1, 4))) for step in range(3)
    ]
    np.testing.assert_allclose(test.observed, expected)
    assert test.draws.shape == (9, 3)


def test_draws_are_those_of_the_sign_flip_null_of_whole_runs():
    filters = made_up_runs(np.random.default_rng(0), runs=5)
    test = run_flip_test(run_moments(filters), 3000, np.random.default_rng(1))
    for step in range(3):
        rows, runs = filters[:, step].reshape(-1, 4), np.repeat(np.arange(5), 20)
        spaces = np.diag([4.0, 3.0, 2.0, 1.0])
        draws = sign_flip_null(rows, spaces, 3000, np.random.default_rng(2), runs=runs)
        distance = stats.ks_2samp(draws, test.draws[:, step]).statistic
        assert distance < KS_LIMIT * math.sqrt(2 / 3000)


def test_a_draw_flips_a_run_alike_at_all_steps():
    moments = run_moments(made_up_runs(np.random.default_rng(0), runs=2, dim=2))
    test = run_flip_test(moments, 200, np.random.default_rng(1))
    every = []
    for first, second in itertools.product([1.0, -1.0], repeat=2):
        signs = np.ones((2, 1, 2, 2))
        signs[0, 0, [0, 1], [1, 0]], signs[1, 0, [0, 1], [1, 0]] = first, second
        every.append(axis_misalignments((moments * signs).sum(axis=0)))
    distances = np.abs(test.draws[:, None] - np.array(every)).max(axis=2)
    assert distances.min(axis=1).max() < 1e-9
    assert (distances < 1e-9).any(axis=0).all()


def test_p_values_are_those_of_a_null_test_at_each_step():
    test = run_flip_test(
        run_moments(made_up_runs(np.random.default_rng(3))), 99, np.random.default_rng(1)
    )
    single = [
        NullTest(score, draws).p_value
        for score, draws in zip(test.observed, test.draws.T, strict=True)
    ]
    np.testing.assert_allclose(test.p_values, single)
    np.testing.assert_allclose(test.quantiles([0.5])[0], np.median(test.draws, axis=0))


def test_overall_p_value_worked_out_by_hand():
    # Standard deviations above the mean of all four, at the step where they are most: observed
    # 5.5 / sqrt(10.25) = 1.72, then 0, 0 and 2 / sqrt(2).
    draws = np.array([[2.0, 4.0], [2.0, 4.0], [1.0, 6.0]])
    test = TrajectoryTest(np.array([9.0, 2.0]), draws)
    assert test.p_values.tolist() == [0.25, 1.0]
    assert test.overall_p_value == 0.25
    weaker = TrajectoryTest(np.array([5.0, 2.0]), draws)  # 2.5 / sqrt(2.25) = 1.67
    weakest = TrajectoryTest(np.array([2.0, 5.0]), draws)  # 0.25 / 1.09 of 5, and 1.25 / 1.09 of 6
    assert (weaker.overall_p_value, weakest.overall_p_value) == (0.25, 1.0)
    flat = TrajectoryTest(np.array([2.0 + 1e-12, 0.0]), np.array([[2.0, 0.0], [2.0, 0.0]]))
    assert (flat.p_values.tolist(), flat.overall_p_value) == ([1.0, 1.0], 1.0)


def test_p_values_of_runs_that_share_a_direction_are_uniform():
    generator = np.random.default_rng(0)
    tests = [run_flip_test(run_moments(made_up_runs(generator)), 99, generator) for _ in range(300)]
    limit = KS_LIMIT / math.sqrt(300) + 0.01  # p-values are multiples of 1 / 100
    for step in range(3):
        at_step = [test.p_values[step] for test in tests]
        assert stats.kstest(at_step, "uniform").statistic < limit
    overall = np.array([test.overall_p_value for test in tests])
    assert np.mean(overall <= 0.05) < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 300)
    # The smallest of three would reject more than twice as often.
    assert np.mean([test.p_values.min() <= 0.05 for test in tests]) > 0.07


def test_flipping_every_filter_by_itself_would_reject_the_same_runs():
    generator, rejected = np.random.default_rng(0), 0
    for _ in range(40):
        rows = made_up_runs(generator)[:, -1].reshape(-1, 4)
        rejected += sign_flip_test(rows, np.diag([4.0, 3, 2, 1]), 99, generator).p_value <= 0.05
    assert rejected > 20


def test_a_basis_that_is_not_that_of_the_runs_is_found_out():
    generator, turn = np.random.default_rng(0), random_basis(4, seed=6)
    for _ in range(20):
        filters = made_up_runs(generator, runs=30, turn=turn)
        test = run_flip_test(run_moments(filters), 99, generator)
        assert test.p_values[-1] == test.overall_p_value == 0.01


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"moments": np.ones((1, 2, 3, 3))}, r"at least two runs.*Received: shape=\(1, 2, 3, 3\)"),
        (
            {"moments": np.ones((2, 3, 3))},
            r"\(runs, steps, dim, dim\).*Received: shape=\(2, 3, 3\)",
        ),
        ({"draws": 0}, "draws must be a positive integer. Received: draws=0"),
        ({"rng": 3}, "Received: int"),
    ],
)
def test_bad_moments_are_refused(change, message):
    settings = {"moments": np.ones((2, 1, 1, 1)), "draws": 5, "rng": np.random.default_rng(0)}
    with pytest.raises(UsageError, match=message):
        run_flip_test(**settings | change)
