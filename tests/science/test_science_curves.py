import numpy as np
import pytest

from rl_keras.errors import UsageError
from rl_keras.science.summaries import area_under_curve, first_step_reaching


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
