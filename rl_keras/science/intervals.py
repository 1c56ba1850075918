"""Confidence intervals of means over runs."""

import dataclasses
import math

import numpy as np
from scipy import special

from rl_keras.errors import UsageError


@dataclasses.dataclass(frozen=True)
class Interval:
    """A mean over `num` runs and its confidence interval, in the unit of the values."""

    mean: float
    low: float
    high: float
    num: int


def mean_interval(values, confidence: float = 0.95) -> Interval:
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
