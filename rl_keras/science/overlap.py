"""How far two bases of eigenvectors, one of the filters and one of the data, are the same."""

import dataclasses
from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike

from rl_keras.errors import UsageError
from rl_keras.science.alignment import random_basis

_ORTHONORMAL_TOLERANCE = 1e-6  # of an entry of `V' V`


@dataclasses.dataclass(frozen=True)
class MatchedBasis:
    """A basis reordered and turned in sign to look like another.

    Args:
        vectors: float64 array `(d, d)`, column i is matched with column i of the other.
        order: integer array `(d,)`, which column of the original it is.
        overlaps: float64 array `(d,)`, squared inner products of matched columns, in `[0, 1]`.
    """

    vectors: np.ndarray
    order: np.ndarray
    overlaps: np.ndarray


def squared_overlaps(first: ArrayLike, second: ArrayLike) -> np.ndarray:
    """Returns the squared inner products `(a_i' b_j)^2` of two orthonormal bases.

    Every row and every column adds up to 1; a random basis has the mean 1 / d.

    Args:
        first: array `(d, d)` of any real dtype, unit vectors a_i as columns.
        second: array `(d, d)`, unit vectors b_j as columns.

    Returns:
        A float64 array `(d, d)`, row i for a_i.

    Raises:
        UsageError: if the sizes differ or the columns are not orthonormal.

    Example:
        >>> squared_overlaps(np.eye(2), [[0, 1], [-1, 0]]).tolist()
        [[0.0, 1.0], [1.0, 0.0]]

    Reference:
        Maennel et al., NeurIPS 2020, arXiv 2006.10455, Figure 3.
    """
    return (_basis(first, "first").T @ _basis(second, "second", np.shape(first)[0])) ** 2


def _basis(vectors, name, dim=None):
    vectors = np.asarray(vectors, dtype=np.float64)
    if vectors.ndim != 2 or not vectors.size or vectors.shape != (dim or len(vectors),) * 2:
        raise UsageError(
            f"{name} must be a basis (d, d), one vector per column, and both of one dimension. "
            f"Received: {name} of shape {vectors.shape}"
        )
    excess = np.abs(vectors.T @ vectors - np.eye(len(vectors))).max()
    if not excess < _ORTHONORMAL_TOLERANCE:
        raise UsageError(
            f"{name} must have orthonormal columns; take the vectors of `eigenspaces`. "
            f"Received: {name}' {name} differs from the identity by {excess:.1e}"
        )
    return vectors


def matched(first: ArrayLike, second: ArrayLike) -> MatchedBasis:
    """Reorders and sign-flips the second basis to match the first as well as it can.

    The sum of the squared overlaps of matched vectors is the largest possible. Being
    chosen, they exceed 1 / d even for unrelated bases: compare with `matched_null`.

    Args:
        first: as in `squared_overlaps`, and so are `second` and the errors.

    Example:
        >>> match = matched(np.eye(2), [[0, 1], [-1, 0]])
        >>> match.order.tolist(), match.overlaps.tolist(), (match.vectors == np.eye(2)).tolist()
        ([1, 0], [1.0, 1.0], [[True, True], [True, True]])

    Reference:
        Maennel et al., NeurIPS 2020, arXiv 2006.10455, Figure 3; the assignment
        problem after Crouse, IEEE Trans. Aerosp. Electron. Syst. 52 (2016).
    """
    overlaps = squared_overlaps(first, second)
    from scipy import optimize  # slow to import, and most figures do without

    rows, order = optimize.linear_sum_assignment(overlaps, maximize=True)
    vectors = np.asarray(second, dtype=np.float64)[:, order]
    products = (np.asarray(first, dtype=np.float64) * vectors).sum(axis=0)
    return MatchedBasis(vectors * np.where(products < 0, -1.0, 1.0), order, overlaps[rows, order])


def matched_null(dim: int, seeds: Iterable[int]) -> np.ndarray:
    """Mean matched overlaps of random bases, float64, one for each seed (see `random_basis`).

    Example:
        >>> matched_null(1, seeds=range(2)).round(9).tolist()
        [1.0, 1.0]
    """
    fixed = np.eye(dim)
    return np.array([matched(fixed, random_basis(dim, int(s))).overlaps.mean() for s in seeds])
