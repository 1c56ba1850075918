import math

import numpy as np
import pytest

from rl_keras.errors import UsageError
from rl_keras.science.summaries import area_under_curve, first_step_reaching, mean_interval

# Intervals.


@pytest.mark.parametrize(
    ("num", "confidence", "quantile"),
    [(2, 0.95, 12.706), (6, 0.95, 2.571), (11, 0.95, 2.228), (11, 0.99, 3.169), (31, 0.90, 1.697)],
)
def test_half_width_uses_the_tabled_t_quantile(num, confidence, quantile):
    values = np.random.default_rng(num).normal(5, 2, num)
    interval = mean_interval(values, confidence)
    half = quantile * np.std(values, ddof=1) / math.sqrt(num)
    assert interval.num == num
    assert interval.mean == pytest.approx(values.mean())
    assert interval.high - interval.mean == pytest.approx(half, rel=3e-4)
    assert interval.mean - interval.low == pytest.approx(half, rel=3e-4)


def test_textbook_sample():
    # n = 5, mean 3, s = sqrt(2.5), t = 2.776: 3 +- 1.963.
    interval = mean_interval([1, 2, 3, 4, 5])
    assert (interval.mean, interval.num) == (3.0, 5)
    assert interval.low == pytest.approx(1.037, abs=5e-4)
    assert interval.high == pytest.approx(4.963, abs=5e-4)


def test_interval_contains_the_mean_as_often_as_it_says():
    draws = np.random.default_rng(0).normal(7, 3, (2000, 5))
    intervals = [mean_interval(values, 0.8) for values in draws]
    share = np.mean([interval.low < 7 < interval.high for interval in intervals])
    assert abs(share - 0.8) < 4 * math.sqrt(0.8 * 0.2 / 2000)


def test_single_value_has_a_mean_and_no_interval():
    interval = mean_interval([4.0])
    assert (interval.mean, interval.num) == (4.0, 1)
    assert math.isnan(interval.low)
    assert math.isnan(interval.high)


@pytest.mark.parametrize(
    ("values", "confidence", "message"),
    [
        ([], 0.95, r"one value per run, \(n,\). Received: shape=\(0,\)"),
        ([[1.0, 2.0]], 0.95, r"Received: shape=\(1, 2\)"),
        ([1.0, math.nan, 2.0], 0.95, "needs finite values.*Received: 1 of 3 not finite"),
        ([1.0, 2.0], 95, "confidence must be between 0 and 1. Received: 95"),
    ],
)
def test_bad_input_is_refused(values, confidence, message):
    with pytest.raises(UsageError, match=message):
        mean_interval(values, confidence)


# Learning curves.


def test_first_step_reaching_is_measured_not_interpolated():
    steps, accuracy = [0, 10, 20, 30], [0.1, 0.4, 0.8, 0.6]
    assert first_step_reaching(steps, accuracy, 0.5) == 20
    assert first_step_reaching(steps, accuracy, 0.8) == 20  # at the threshold counts
    assert first_step_reaching(steps, accuracy, 0.0) == 0
    assert first_step_reaching(steps, accuracy, 0.9) is None


def test_first_step_reaching_ignores_a_later_fall():
    assert first_step_reaching([5, 6, 7], [0.1, 0.9, 0.1], 0.5) == 6


def test_area_of_a_line_is_its_middle():
    assert area_under_curve([100, 300], [0.2, 0.6]) == pytest.approx(0.4)


def test_area_does_not_depend_on_where_a_line_is_measured():
    steps = np.array([0, 1, 7, 40, 100])
    assert area_under_curve(steps, steps / 100) == pytest.approx(0.5)


def test_area_of_a_constant_is_the_constant():
    assert area_under_curve([3, 4, 90], [0.7, 0.7, 0.7]) == pytest.approx(0.7)


@pytest.mark.parametrize(
    ("steps", "values", "message"),
    [
        ([0, 1], [0.1], r"one value per step.*Received: steps \(2,\), values \(1,\)"),
        ([[0, 1]], [[0.1, 0.2]], r"one value per step.*steps \(1, 2\)"),
        ([], [], "at least"),
        ([0, 2, 2], [0.1, 0.2, 0.3], r"steps of a curve must increase.*\[0, 2, 2\]"),
        ([0, 1], [0.1, np.nan], "must be finite. Received: NaN"),
    ],
)
def test_bad_curves_are_refused(steps, values, message):
    with pytest.raises(UsageError, match=message):
        first_step_reaching(steps, values, 0.5)
    with pytest.raises(UsageError, match=message):
        area_under_curve(steps, values)


def test_one_step_has_no_area_but_can_reach_a_threshold():
    assert first_step_reaching([4], [0.5], 0.5) == 4
    with pytest.raises(UsageError, match="at least 2 of them"):
        area_under_curve([4], [0.5])
