"""Eigenspaces of a covariance: eigenvectors are determined only up to equal eigenvalues."""

import dataclasses
import itertools

import numpy as np
from numpy.typing import ArrayLike

from rl_keras.errors import UsageError

_ROUNDING = 1e-10  # of the largest eigenvalue


@dataclasses.dataclass(frozen=True)
class Eigenspaces:
    """Eigenvectors of a covariance, grouped by equal eigenvalue.

    Args:
        values: float64 array `(d,)`, the eigenvalues in descending order.
        vectors: float64 array `(d, d)`, the unit eigenvectors as columns; the entry
            of largest magnitude of each is positive.
        groups: slices of the columns, in order; each spans one eigenspace.
    """

    values: np.ndarray
    vectors: np.ndarray
    groups: tuple[slice, ...]


def eigenspaces(cov: ArrayLike, rtol: float = 1e-8) -> Eigenspaces:
    """Returns the eigenspaces of a covariance matrix, the largest eigenvalue first.

    Args:
        cov: array `(d, d)`, symmetric, positive semi-definite.
        rtol: eigenvalues closer than this, relative to the largest of their group,
            are equal. Those that are zero up to rounding form one group.

    Raises:
        UsageError: if the matrix is not square, symmetric and finite.

    Example:
        >>> eigenspaces([[2, 0, 0], [0, 5, 0], [0, 0, 2]]).groups
        (slice(0, 1, None), slice(1, 3, None))
    """
    values, vectors = np.linalg.eigh(symmetric(cov, "cov"))
    values, vectors = values[::-1], vectors[:, ::-1]
    largest = vectors[np.abs(vectors).argmax(axis=0), np.arange(len(values))]
    rounding = len(values) * np.finfo(np.float64).eps * np.abs(values).max()
    starts = [0]
    for i, value in enumerate(values):
        # Compared with the first of the group: a gentle slope is not one eigenspace.
        first = values[starts[-1]]
        if first - value > max(rtol * first, rounding):
            starts.append(i)
    ends = [*starts[1:], len(values)]
    groups = tuple(slice(start, end) for start, end in zip(starts, ends, strict=True))
    return Eigenspaces(values, vectors * np.sign(largest), groups)


def as_spaces(spaces: ArrayLike | Eigenspaces) -> Eigenspaces:
    """Returns `Eigenspaces` as they are, or those of a covariance `(d, d)`.

    Example:
        >>> as_spaces([[4.0]]).values.tolist()
        [4.0]
    """
    return spaces if isinstance(spaces, Eigenspaces) else eigenspaces(spaces)


def sampled_eigenspaces(cov: ArrayLike, num_samples: int, num_sds: float = 3.0) -> Eigenspaces:
    """Returns the eigenspaces that a sample covariance can tell apart.

    Neighbours closer than `tolerance_from_sample_size` share a group, and so on along
    the chain: unlike in `eigenspaces`, a gentle slope is one group, because none of
    its steps is certain.

    Args:
        cov: array `(d, d)`, symmetric, positive semi-definite, of a sample.
        num_samples: as in `tolerance_from_sample_size`, and so are `num_sds` and the errors.

    Example:
        >>> sampled_eigenspaces([[9, 0, 0], [0, 4.1, 0], [0, 0, 4]], 1000).groups
        (slice(0, 1, None), slice(1, 3, None))
    """
    spaces = eigenspaces(cov)
    certain = -np.diff(spaces.values) > tolerance_from_sample_size(
        spaces.values, num_samples, num_sds
    )
    starts = [group.start for group in spaces.groups[1:] if certain[group.start - 1]]
    bounds = [0, *starts, len(spaces.values)]
    groups = tuple(slice(start, end) for start, end in itertools.pairwise(bounds))
    return dataclasses.replace(spaces, groups=groups)


def tolerance_from_sample_size(
    values: ArrayLike, num_samples: int, num_sds: float = 3.0
) -> np.ndarray:
    """Least difference between neighbouring sample eigenvalues that is not sampling error.

    A sample eigenvalue l of Gaussian data has the standard deviation `l sqrt(2 / n)`.
    The tolerance is `num_sds` of them, combined for two neighbours. Two sample
    eigenvalues of one true eigenvalue repel each other and differ by more with
    probability `exp(-num_sds^2 / 2)`: 14% for 2, 1% for 3.

    Args:
        values: array `(d,)`, eigenvalues of a sample covariance in descending order.
        num_samples: number n of independent samples. The patches of an image depend
            on each other, so count images; heavy tails make n smaller still.
        num_sds: how many combined standard deviations.

    Returns:
        A float64 array `(d - 1,)`, in the unit of the values.

    Raises:
        UsageError: if the values ascend or are not finite, or a number is not positive.

    Example:
        >>> tolerance_from_sample_size([4.0, 3.0], num_samples=200, num_sds=2.0).tolist()
        [1.0]

    Reference:
        Anderson, Ann. Math. Statist. 34 (1963), Theorem 1; North et al., Mon. Weather
        Rev. 110 (1982), whose rule of thumb merges neighbours within sampling error.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or not np.isfinite(values).all() or (np.diff(values) > 0).any():
        raise UsageError(
            "values must be finite and in descending order, (d,), as `eigenspaces` returns them. "
            f"Received: shape={values.shape}"
        )
    if not (num_samples > 0 and num_sds > 0):
        raise UsageError(
            "num_samples and num_sds must be positive; pass the number of independent samples. "
            f"Received: num_samples={num_samples}, num_sds={num_sds}"
        )
    return num_sds * np.sqrt(2 / num_samples) * np.hypot(values[:-1], values[1:])


def above_rounding(eigenvalues: ArrayLike) -> np.ndarray:
    """Says which eigenvalues are not zero up to rounding, bool `(d,)`.

    Args:
        eigenvalues: array `(d,)`; those of at most 1e-10 of the largest are rounding.

    Example:
        >>> above_rounding([4.0, 1.0, 1e-12]).tolist()
        [True, True, False]
    """
    eigenvalues = np.asarray(eigenvalues, dtype=np.float64)
    return eigenvalues > _ROUNDING * eigenvalues.max()


def covariance_of(values: ArrayLike, vectors: ArrayLike) -> np.ndarray:
    """Returns the covariance with these eigenvalues and eigenvectors, `V diag(values) V'`.

    Args:
        values: array `(d,)`.
        vectors: array `(d, d)`, orthonormal columns V.

    Example:
        >>> covariance_of([4.0, 1.0], np.eye(2)).tolist()
        [[4.0, 0.0], [0.0, 1.0]]
    """
    vectors = np.asarray(vectors, dtype=np.float64)
    return (vectors * values) @ vectors.T


def in_eigenbasis(
    data_cov: ArrayLike | Eigenspaces, filter_cov: ArrayLike
) -> tuple[Eigenspaces, np.ndarray]:
    """Returns the eigenspaces of the data and the filter covariance in their basis.

    Args:
        data_cov: array `(d, d)`, symmetric, or its `Eigenspaces`.
        filter_cov: array `(d, d)`, symmetric.

    Returns:
        `(spaces, rotated)`, where `rotated` is `V' B V`, float64 `(d, d)`.

    Raises:
        UsageError: if a matrix is not symmetric and finite, or the sizes differ.

    Example:
        >>> in_eigenbasis([[1, 0], [0, 2]], [[3, 0], [0, 4]])[1].tolist()
        [[4.0, 0.0], [0.0, 3.0]]
    """
    spaces = as_spaces(data_cov)
    filter_cov = symmetric(filter_cov, "filter_cov")
    if len(filter_cov) != len(spaces.values):
        raise UsageError(
            f"Data and filter covariance must have the same dimension, {len(spaces.values)}; take "
            f"patches with the kernel size of the filters. Received: {len(filter_cov)} for filters"
        )
    return spaces, spaces.vectors.T @ filter_cov @ spaces.vectors


def symmetric(matrix: ArrayLike, name: str) -> np.ndarray:
    """Returns a symmetric matrix as float64, or refuses one that is not symmetric.

    Args:
        matrix: array `(d, d)`.
        name: what to call it in an error message.

    Raises:
        UsageError: if it is not square, finite and, up to rounding, symmetric.

    Example:
        >>> symmetric([[1, 2], [2, 1]], "cov").tolist()
        [[1.0, 2.0], [2.0, 1.0]]
    """
    matrix = np.asarray(matrix, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.size:
        raise UsageError(f"{name} must be a square matrix (d, d). Received: shape={matrix.shape}")
    if not np.isfinite(matrix).all():
        raise UsageError(f"{name} must be finite; has training diverged? Received: NaN or infinity")
    excess = np.abs(matrix - matrix.T).max()
    if excess > 1e-8 * np.abs(matrix).max():
        raise UsageError(
            f"{name} must be symmetric; pass a covariance. Received: a difference of {excess:.1e} "
            "between the matrix and its transpose"
        )
    return (matrix + matrix.T) / 2
