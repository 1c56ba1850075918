"""Filters of several runs as one set, and how far the runs agree.

The filters of one run share its training, so the runs are what is resampled, never the
filters. Where there are too few filters for an inverse their covariance can be drawn towards
a multiple of the identity (shrinkage). The identity is aligned with everything, so a shrunk
covariance scores a lower misalignment, real or not, and `sampling_floor` does not apply to it.
"""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from rl_keras.errors import UsageError
from rl_keras.science.alignment import filter_covariance, misalignment, sampling_floor
from rl_keras.science.eigenspaces import Eigenspaces, as_spaces
from rl_keras.science.nulls import chunks, misalignments
from rl_keras.science.transfer import TransferCurve, transfer_function


@dataclasses.dataclass(frozen=True)
class PooledFilters:
    """Measurements of the filters of several runs taken together; intervals are over runs.

    Args:
        covariance: float64 array `(d, d)`, symmetric, of all filters.
        num_filters: number of filters, over all runs.
        num_runs: number of runs.
        curve: `TransferCurve` of the pooled filters.
        curve_low: float64 array `(d,)`, lower ends of the intervals of `curve.values`.
        curve_high: float64 array `(d,)`, their upper ends.
        misalignment: misalignment `"m"` of the pooled filters.
        misalignment_low: lower end of its interval, NaN if there is none.
        misalignment_high: upper end.
        floor: `sampling_floor` of as many filters, NaN for a shrunk covariance,
            to which it does not apply.
        intensity: share of the shrinkage target in `covariance`; 0 is none.
    """

    covariance: np.ndarray
    num_filters: int
    num_runs: int
    curve: TransferCurve
    curve_low: np.ndarray
    curve_high: np.ndarray
    misalignment: float
    misalignment_low: float
    misalignment_high: float
    floor: float
    intensity: float


def pool_runs(
    runs: Sequence[ArrayLike],
    data_cov: ArrayLike | Eigenspaces,
    rng: np.random.Generator | None = None,
    *,
    interval: str = "bootstrap",
    resamples: int = 1000,
    confidence: float = 0.95,
    centered: bool = False,
    shrinkage: str | float | None = None,
) -> PooledFilters:
    """Measures the filters of all runs together, with intervals over runs.

    `"bootstrap"` draws runs with replacement and takes percentiles. A resample
    repeats filters, and so has about twice the floor of the filters themselves; the
    percentiles of the misalignment are therefore moved by the difference between
    the mean of the draws and the estimate. `"jackknife"` leaves out one run at a
    time and takes Student's t. In simulations of Gaussian filters its 95% intervals of
    f held 95% of the time; those of the bootstrap 70%, 81%, 89% and 92% for 3, 5, 10
    and 20 runs.

    An interval of the misalignment is NaN if a resample has no inverse: more runs help.

    Args:
        runs: list of arrays `(n_r, d)`, the filters of each run, one per row.
        data_cov: array `(d, d)`, symmetric, or its `Eigenspaces`.
        rng: `np.random.Generator` of the bootstrap; it advances.
        interval: `"bootstrap"` or `"jackknife"`.
        resamples: number of bootstrap draws.
        confidence: of the intervals, in `(0, 1)`.
        centered: as in `filter_covariance`; the mean is that of all runs.
        shrinkage: `None`; `"ledoit_wolf"`; or an intensity in `(0, 1]`. The covariance is
            drawn towards a multiple of the identity, which is aligned with everything,
            so it lowers the misalignment, real or not. It is chosen once, from all filters.

    Raises:
        UsageError: if there are fewer than two runs, too few filters without shrinkage,
            or a setting is unknown.

    Example:
        >>> runs = [[[1.0], [-1.0]], [[1.0], [1.0]]]
        >>> pooled = pool_runs(runs, [[4.0]], interval="jackknife")
        >>> pooled.curve.values.tolist(), pooled.curve_low.tolist(), pooled.misalignment
        ([1.0], [1.0], 0.0)

    Reference:
        Maennel et al., NeurIPS 2020, arXiv 2006.10455, Figures 3 and 4, pool 70 and 50
        runs. Efron and Tibshirani, An Introduction to the Bootstrap (1993), 11 and 13.
    """
    if interval not in ("bootstrap", "jackknife") or not 0 < confidence < 1:
        raise UsageError(
            'interval must be "bootstrap" or "jackknife", and confidence between 0 and 1. '
            f"Received: interval={interval!r}, confidence={confidence}"
        )
    runs = _checked_runs(runs, centered, shrinkage)
    spaces, rows = as_spaces(data_cov), np.concatenate(runs)
    covariance = filter_covariance(rows, centered, require_full_rank=False)
    intensity = shrinkage_intensity(rows - rows.mean(axis=0) if centered else rows, shrinkage)
    covariance = shrunk(covariance, intensity)
    curve, score = transfer_function(spaces, covariance), misalignment(spaces, covariance)

    coefficients = [run @ spaces.vectors for run in runs]
    weights = _weights(len(runs), rows.shape[1] ** 2, interval, resamples, rng)
    curves, scores = _resampled(coefficients, weights, spaces.groups, intensity, centered)
    curve_low, curve_high = _ends(interval, curves, curve.values, confidence)
    low = high = math.nan
    if np.isfinite(scores).all():
        moved = scores - scores.mean() + score
        low, high = _ends(interval, moved, score, confidence)
    return PooledFilters(
        covariance=covariance,
        num_filters=len(rows),
        num_runs=len(runs),
        curve=curve,
        curve_low=np.maximum(curve_low, 0),
        curve_high=curve_high,
        misalignment=score,
        misalignment_low=float(np.maximum(low, 0)),
        misalignment_high=float(high),
        floor=sampling_floor(len(rows), rows.shape[1], centered) if shrinkage is None else math.nan,
        intensity=intensity,
    )


def _checked_runs(runs, centered, shrinkage):
    runs = [np.asarray(rows, dtype=np.float64) for rows in runs]
    shapes = [rows.shape for rows in runs]
    if not runs or len({shape[1:] for shape in shapes}) != 1 or len(shapes[0]) != 2:
        raise UsageError(
            "runs must be matrices (num_filters, dim) of one dimension; take the same layer of "
            f"every run. Received: shapes {shapes}"
        )
    num, dim, needed = sum(map(len, runs)), shapes[0][1], shapes[0][1] + bool(centered) + 1
    if num < needed and shrinkage is None:
        raise UsageError(
            f"The pooled filters must be more than patch dimensions ({dim}"
            f"{' and one more for the mean' if centered else ''}), which at this width takes "
            f"{math.ceil(needed * len(runs) / max(num, 1))} seeds; raise --seeds. "
            f"Received: {num} filters of {len(runs)} seeds"
        )
    if len(runs) < 2:
        raise UsageError(
            "An interval over runs needs at least 2 of them; raise --seeds. Received: 1 run"
        )
    return runs


def shrinkage_intensity(rows: np.ndarray, shrinkage: str | float | None) -> float:
    """Returns the share of the identity that a choice of shrinkage means for these filters.

    `"ledoit_wolf"` estimates the share that brings the covariance nearest the true
    one: with S the covariance and m = tr(S) / d, the mean of `|w w' - S|^2 / n` over
    the filters w, divided by `|S - m I|^2`, and at most 1 (squared Frobenius norms).

    Args:
        rows: float64 array `(n, d)`, one filter per row, centred already if at all.
        shrinkage: `None`, which means 0; `"ledoit_wolf"`; or an intensity in `(0, 1]`.

    Raises:
        UsageError: if the choice is none of these.

    Example:
        >>> rows = np.array([[1.0, 1.0], [-1.0, -1.0], [2.0, 2.0], [-2.0, -2.0]])
        >>> shrinkage_intensity(rows, None), shrinkage_intensity(rows, 0.25)
        (0.0, 0.25)
        >>> round(shrinkage_intensity(rows, "ledoit_wolf"), 9)  # 4 * 1.5^2 / 4 / (2 * 2.5^2)
        0.18

    Reference:
        Ledoit and Wolf, J. Multivariate Anal. 88 (2004), Section 3.2.
    """
    if shrinkage is None:
        return 0.0
    if isinstance(shrinkage, str) and shrinkage == "ledoit_wolf":
        num, dim = rows.shape
        cov = rows.T @ rows / num
        distance = ((cov - np.trace(cov) / dim * np.eye(dim)) ** 2).sum()
        error = (((rows**2).sum(axis=1) ** 2).mean() - (cov**2).sum()) / num
        return float(min(error / distance, 1.0)) if distance > 0 else 1.0
    if isinstance(shrinkage, (str, bool)) or not 0 < shrinkage <= 1:
        raise UsageError(
            'shrinkage must be None, "ledoit_wolf" or an intensity above 0 and up to 1. '
            f"Received: shrinkage={shrinkage!r}"
        )
    return float(shrinkage)


def shrunk(covs: np.ndarray, intensity: float) -> np.ndarray:
    """Returns `(1 - intensity) S + intensity tr(S) / d I`; its trace is that of S.

    Args:
        covs: float64 array `(d, d)` or `(num, d, d)`, symmetric.
        intensity: share of the identity, from 0 to 1.

    Example:
        >>> shrunk(np.diag([3.0, 1.0]), 0.5).tolist()
        [[2.5, 0.0], [0.0, 1.5]]
    """
    dim = covs.shape[-1]
    scale = np.trace(covs, axis1=-2, axis2=-1)[..., None, None] / dim
    return (1 - intensity) * covs + intensity * scale * np.eye(dim)


def _weights(num_runs, entries, interval, resamples, rng):
    """Yields how often each run is taken, arrays `(num, num_runs)`."""
    if interval == "jackknife":
        yield 1.0 - np.eye(num_runs)
    else:
        for num in chunks(resamples, entries, rng):
            yield rng.multinomial(num_runs, np.full(num_runs, 1 / num_runs), num).astype(np.float64)


def _resampled(coefficients, all_weights, groups, intensity, centered):
    """Transfer functions and misalignments of the runs with each of the weights."""
    curves, scores = [], []
    for weights in all_weights:
        rotated = shrunk(_covariances(coefficients, weights, centered), intensity)
        curves.append(_transfer_values(rotated, groups))
        scores.append(misalignments(rotated, groups))
    return np.concatenate(curves), np.concatenate(scores)


def _covariances(runs, weights, centered):
    """Covariances of weighted runs, `(num, d, d)`, as if filters were repeated."""
    num = weights @ [float(len(rows)) for rows in runs]
    products = np.array([rows.T @ rows for rows in runs])
    covs = np.tensordot(weights, products, 1) / num[:, None, None]
    if centered:
        means = weights @ np.array([rows.sum(axis=0) for rows in runs]) / num[:, None]
        covs -= means[:, :, None] * means[:, None, :]
    return covs


def _transfer_values(rotated, groups):
    """`transfer_function` of many covariances in the eigenbasis of the data, `(num, d)`."""
    variances = np.diagonal(rotated, axis1=1, axis2=2)
    sizes = [group.stop - group.start for group in groups]
    means = np.add.reduceat(variances, [group.start for group in groups], axis=1) / sizes
    return np.sqrt(np.maximum(np.repeat(means, sizes, axis=1), 0))


def _ends(interval, draws, estimate, confidence):
    """Ends of an interval from bootstrap draws, or from values with one run left out each."""
    if interval == "bootstrap":
        return np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    num = len(draws)
    error = np.sqrt((num - 1) * draws.var(axis=0))
    half = special.stdtrit(num - 1, (1 + confidence) / 2) * error
    return estimate - half, estimate + half
