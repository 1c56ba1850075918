"""Means over runs with their intervals, and two numbers that sum up a learning curve."""

import dataclasses
import math

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from rl_keras.errors import UsageError


@dataclasses.dataclass(frozen=True)
class Interval:
    """A mean over `num` runs and its confidence interval, in the unit of the values."""

    mean: float
    low: float
    high: float
    num: int


def mean_interval(values: ArrayLike, confidence: float = 0.95) -> Interval:
    """Returns the mean of independent runs and its Student t interval.

    Args:
        values: array `(n,)` of any real dtype, one value per run.
        confidence: probability that the interval contains the true mean, in `(0, 1)`,
            if the values are Gaussian.

    Returns:
        An `Interval`; its ends are NaN for a single run, which shows no spread.

    Raises:
        UsageError: if there is no value, one is not finite, or the confidence is
            outside `(0, 1)`.

    Example:
        >>> mean_interval([3.0, 3.0, 3.0])
        Interval(mean=3.0, low=3.0, high=3.0, num=3)

    Reference:
        Student, "The probable error of a mean", Biometrika 6 (1908).
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or not values.size:
        raise UsageError(
            f"An interval needs one value per run, (n,). Received: shape={values.shape}"
        )
    if not np.isfinite(values).all():
        raise UsageError(
            "An interval needs finite values; leave out runs that diverged and say so. "
            f"Received: {int((~np.isfinite(values)).sum())} of {len(values)} not finite"
        )
    if not 0 < confidence < 1:
        raise UsageError(f"confidence must be between 0 and 1. Received: {confidence}")
    num, mean = len(values), float(values.mean())
    if num == 1:
        return Interval(mean, math.nan, math.nan, num)
    quantile = special.stdtrit(num - 1, (1 + confidence) / 2)
    half = float(quantile * values.std(ddof=1) / math.sqrt(num))
    return Interval(mean, mean - half, mean + half, num)


def first_step_reaching(steps: ArrayLike, values: ArrayLike, threshold: float) -> int | None:
    """Returns the first measured step whose value is at or above the threshold.

    Args:
        steps: integer array `(t,)`, increasing.
        values: array `(t,)`, such as training accuracies.
        threshold: in the unit of the values.

    Returns:
        The step, or `None` if the curve stays below. No interpolation.

    Raises:
        UsageError: if the curve is not two finite arrays with increasing steps.

    Example:
        >>> first_step_reaching([0, 10, 20], [0.1, 0.5, 0.9], threshold=0.5)
        10
    """
    steps, values = _checked_curve(steps, values, least=1)
    reached = np.flatnonzero(values >= threshold)
    return int(steps[reached[0]]) if reached.size else None


def area_under_curve(steps: ArrayLike, values: ArrayLike) -> float:
    """Returns the mean height of a curve between its first and last step.

    The curve is linear between measurements (trapezoidal rule), so uneven steps
    are weighted rightly, and the result is in the unit of the values: from 0 to
    1 for an accuracy.

    Args:
        steps: integer array `(t,)`, increasing, at least two.
        values: array `(t,)`.

    Raises:
        UsageError: if the curve is not two finite arrays with at least two increasing steps.

    Example:
        >>> area_under_curve([0, 10, 20], [0.0, 1.0, 1.0])
        0.75
    """
    steps, values = _checked_curve(steps, values, least=2)
    return float(np.trapezoid(values, steps) / (steps[-1] - steps[0]))


def _checked_curve(steps, values, least):
    steps, values = np.asarray(steps), np.asarray(values, dtype=np.float64)
    if steps.ndim != 1 or steps.shape != values.shape or len(steps) < least:
        raise UsageError(
            f"A curve needs one value per step and at least {least} of them. "
            f"Received: steps {steps.shape}, values {values.shape}"
        )
    if not np.isfinite(values).all():
        raise UsageError("The values of a curve must be finite. Received: NaN or infinity")
    if not (np.diff(steps) > 0).all():
        raise UsageError(
            "The steps of a curve must increase; sort them and drop repeats. "
            f"Received: {steps.tolist()}"
        )
    return steps, values
