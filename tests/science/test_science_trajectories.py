import itertools
import math

import numpy as np
import pytest
from scipy import stats

from rl_keras.errors import UsageError
from rl_keras.science.alignment import filter_covariance, misalignment, random_basis
from rl_keras.science.nulls import (
    NullTest,
    TrajectoryTest,
    axis_misalignments,
    run_flip_test,
    run_moments,
    sign_flip_null,
    sign_flip_test,
)

_KS_LIMIT = 1.95  # of sqrt(n) times the distance; exceeded by chance once in a thousand


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
        assert distance < _KS_LIMIT * math.sqrt(2 / 3000)


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
    limit = _KS_LIMIT / math.sqrt(300) + 0.01  # p-values are multiples of 1 / 100
    for step in range(3):
        found = [test.p_values[step] for test in tests]
        assert stats.kstest(found, "uniform").statistic < limit
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
def test_bad_input_is_refused(change, message):
    settings = {"moments": np.ones((2, 1, 1, 1)), "draws": 5, "rng": np.random.default_rng(0)}
    with pytest.raises(UsageError, match=message):
        run_flip_test(**settings | change)
