"""The law of the misalignment of aligned Gaussian filters, beyond its mean `sampling_floor`."""

import math

import numpy as np

from rl_keras.errors import UsageError
from rl_keras.science.alignment import sampling_floor
from rl_keras.science.eigenspaces import Eigenspaces, eigenspaces

_CHUNK_ENTRIES = 2**20  # of an array over draws, 8 MiB of float64
_RANK_TOLERANCE = 1e-12  # as in `alignment.misalignment`


def sampling_floor_sd(num_filters: int, dim: int, centered: bool = False) -> float:
    """Standard deviation of the misalignment `"m"` of aligned Gaussian filters.

    Exact, under the conditions of `sampling_floor`, which is the mean. For many
    filters it is about `sqrt(d (d - 1)) / n`.

    Args:
        num_filters: number of filters n, more than `dim`; at `n = d + 1` it is infinite.
        dim: number of patch dimensions d.
        centered: as in `filter_covariance`; the mean costs one filter.

    Raises:
        UsageError: as `sampling_floor`.

    Example:
        >>> round(sampling_floor_sd(num_filters=256, dim=27), 4)
        0.1193
        >>> sampling_floor_sd(num_filters=256, dim=1)  # one direction is always aligned
        0.0

    Reference:
        With p = n - d + 2 and X_i = 1 / sqrt(1 - R_i^2), `X_1 X_2 = Y_1 Y_2 / (1 - r^2)`,
        all three independent: Y_i^-2 is Beta(p/2, (d-2)/2) and r the correlation of two
        Gaussian vectors in p dimensions, `E[1 / (1 - r^2)] = (p - 2) / (p - 3)`.
    """
    sampling_floor(num_filters, dim, centered)  # refuses too few filters
    n = num_filters - bool(centered)
    if dim == 1 or n == dim + 1:
        return 0.0 if dim == 1 else math.inf
    squared_mean = math.expm1(2 * _log_ratio((n - 1) / 2, (n - dim) / 2))  # E[X_1]^2 - 1
    variance = (dim - 1) / (n - dim - 1) - squared_mean
    log_product = 2 * _log_ratio((n - 1) / 2, (n - dim + 1) / 2) + math.log1p(1 / (n - dim - 1))
    covariance = math.expm1(log_product) - squared_mean
    return math.sqrt(dim * variance + dim * (dim - 1) * covariance)


def gaussian_null(num_filters, spaces, draws, rng, centered: bool = False) -> np.ndarray:
    """Draws misalignments `"m"` of aligned Gaussian filters, also for repeated eigenvalues.

    Their mean is then above `sampling_floor`, because unequal sample variances within
    an eigenspace count as misalignment. With r eigenspaces and many filters it is
    about `(d (d - 1) / 2 + d - r) / n`.

    Args:
        num_filters: number of filters n, more than dimensions.
        spaces: `Eigenspaces` of the data covariance, or array `(d, d)`, the covariance.
        draws: how many.
        rng: `np.random.Generator`; it advances.
        centered: as in `filter_covariance`; the mean costs one filter.

    Returns:
        A float64 array `(draws,)`.

    Raises:
        UsageError: if there are too few filters, no draws, or no generator.

    Example:
        >>> gaussian_null(9, [[1.0]], 2, np.random.default_rng(0)).tolist()
        [0.0, 0.0]

    Reference:
        Bartlett's decomposition of a Wishart matrix (Muirhead 1982, Theorem 3.2.14).
    """
    spaces = as_spaces(spaces)
    dim = len(spaces.values)
    sampling_floor(num_filters, dim, centered)  # refuses too few filters
    scores = []
    for num in chunks(draws, dim * dim, rng):
        factor = np.tril(rng.standard_normal((num, dim, dim)), -1)
        freedom = num_filters - bool(centered) - np.arange(dim)
        factor[:, np.arange(dim), np.arange(dim)] = np.sqrt(rng.chisquare(freedom, (num, dim)))
        scores.append(misalignments(factor @ factor.transpose(0, 2, 1), spaces.groups))
    return np.concatenate(scores)


def misalignments(rotated, groups) -> np.ndarray:
    """Misalignments `"m"` of many filter covariances given in the eigenbasis of the data.

    Args:
        rotated: float64 array `(num, d, d)`, symmetric, `V' B V` as of `in_eigenbasis`.
        groups: as in `Eigenspaces`.

    Returns:
        A float64 array `(num,)`, `alignment.misalignment` of each; infinite where a
        matrix has no inverse.

    Example:
        >>> misalignments(np.array([[[5.0, 3.0], [3.0, 5.0]]]), [slice(0, 1), slice(1, 2)])
        array([0.5])
    """
    variances = np.diagonal(rotated, axis1=1, axis2=2)
    scale = np.sqrt(np.where(variances > 0, variances, 1.0))
    values, vectors = np.linalg.eigh(rotated / (scale[:, :, None] * scale[:, None, :]))
    invertible = values[:, 0] > _RANK_TOLERANCE
    values = np.where(invertible[:, None], values, 1.0)
    precisions = (vectors**2 / values[:, None, :]).sum(axis=2) / scale**2
    starts = [group.start for group in groups]
    products = np.add.reduceat(variances, starts, axis=1)
    products = products * np.add.reduceat(precisions, starts, axis=1)
    scores = np.sqrt(np.maximum(products, 0)).sum(axis=1) - rotated.shape[1]
    return np.where(invertible, np.maximum(scores, 0), np.inf)


def as_spaces(spaces) -> Eigenspaces:
    """Returns `Eigenspaces` as they are, or those of a covariance `(d, d)`.

    Example:
        >>> as_spaces([[4.0]]).values.tolist()
        [4.0]
    """
    return spaces if isinstance(spaces, Eigenspaces) else eigenspaces(spaces)


def chunks(draws, entries, rng):
    """Yields numbers of draws that add up to `draws`, few enough for arrays of `entries` each.

    Raises:
        UsageError: if `draws` is no positive integer or `rng` no `np.random.Generator`.

    Example:
        >>> list(chunks(5, 2**19, np.random.default_rng(0)))
        [2, 2, 1]
    """
    if not isinstance(draws, (int, np.integer)) or draws < 1:
        raise UsageError(f"draws must be a positive integer. Received: draws={draws!r}")
    check_generator(rng)
    step = max(1, _CHUNK_ENTRIES // entries)
    return (min(step, draws - start) for start in range(0, draws, step))


def check_generator(rng):
    """Refuses what is no generator, such as a seed."""
    if not isinstance(rng, np.random.Generator):
        raise UsageError(
            "rng must be a np.random.Generator, such as np.random.default_rng(seed). "
            f"Received: {type(rng).__name__}"
        )


def _log_ratio(x, y):
    """`log` of `Gamma(x + 1/2) / Gamma(x)` over the same at y < x, exact also if both are large."""
    if y < 20:
        return math.lgamma(x + 0.5) - math.lgamma(x) - math.lgamma(y + 0.5) + math.lgamma(y)
    return math.log1p((x - y) / y) / 2 + _half_step_tail(x) - _half_step_tail(y)


def _half_step_tail(x):
    """`log(Gamma(x + 1/2) / Gamma(x)) - log(x) / 2` by its asymptotic series, for x >= 20."""
    return -(1 / 8 - (1 / 192 - (1 / 640 - 17 / 14336 / x**2) / x**2) / x**2) / x
