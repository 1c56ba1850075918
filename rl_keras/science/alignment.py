"""Misalignment: how far the filter covariance is from sharing the eigenspaces of the data.

Finitely many filters score above zero even if their true covariance is aligned. So do
filters that were never trained, since the identity is aligned with everything. A
misalignment therefore means something only in comparison with `sampling_floor` and
`random_basis_misalignment`.
"""

import math

import numpy as np
from numpy.typing import ArrayLike

from rl_keras.errors import UsageError
from rl_keras.science.eigenspaces import Eigenspaces, eigenspaces, in_eigenbasis

__all__ = [
    "Eigenspaces",
    "eigenspaces",
    "filter_covariance",
    "misalignment",
    "random_basis",
    "random_basis_misalignment",
    "sampling_floor",
]

RANK_TOLERANCE = 1e-12  # least eigenvalue of correlations that can be inverted


def misalignment(
    data_cov: ArrayLike | Eigenspaces, filter_cov: ArrayLike, normalization: str = "m"
) -> float:
    """Distance of the filter covariance B from those aligned with the data covariance A.

    With P_i the projector on the i-th eigenspace of A and d_i its dimension,

        m = sum_i [ sqrt(tr(P_i B) tr(P_i B^-1)) - d_i ]

    is the minimum of `tr(S^-1 B + S B^-1) / 2 - d` over the aligned S, those of the
    form `sum_i t_i P_i`: the symmetrised Kullback-Leibler divergence between N(0, B)
    and N(0, S). It is zero if and only if B is aligned with A, and unchanged if B is
    scaled, or stretched along eigenspaces of A.

    Args:
        data_cov: array `(d, d)`, symmetric, or its `Eigenspaces`. The paper's A.
        filter_cov: array `(d, d)`, symmetric, positive definite. The paper's B.
        normalization: `"m"` is the sum above; `"sqrt_2m"` the distance whose square
            is `tr(S^-1 B + S B^-1) - 2 d`; `"sqrt_m"` the one with half that square.

    Returns:
        A number, zero or more.

    Raises:
        UsageError: if the sizes differ, B has no inverse, or the normalization is unknown.

    Example:
        >>> misalignment([[2, 0], [0, 1]], [[4, 0], [0, 8]])
        0.0
        >>> round(misalignment([[2, 0], [0, 1]], [[5, 3], [3, 5]]), 9)  # 2 * (5 / 4 - 1)
        0.5

    Reference:
        Maennel et al., NeurIPS 2020, arXiv 2006.10455, Appendix A.6.
    """
    if normalization not in ("m", "sqrt_2m", "sqrt_m"):
        raise UsageError(
            'normalization must be "m", "sqrt_2m" or "sqrt_m". '
            f"Received: normalization={normalization!r}"
        )
    spaces, rotated = in_eigenbasis(data_cov, filter_cov)
    dim = len(rotated)
    variances = rotated.diagonal()
    least = 0.0
    if variances.min() > dim * np.finfo(np.float64).eps * variances.max():
        # Correlations, so that the test of rank does not depend on scales either.
        scale = np.sqrt(variances)
        correlations = rotated / np.outer(scale, scale)
        least = np.linalg.eigvalsh(correlations)[0]
    if least <= RANK_TOLERANCE:
        raise UsageError(
            "The filter covariance must be positive definite, which takes more filters than "
            f"dimensions ({dim}); pool more runs with --seeds. Received: a singular or indefinite "
            f"matrix (least eigenvalue of its correlations {least:.1e})"
        )
    precisions = np.linalg.inv(correlations).diagonal() / variances
    products = [variances[group].sum() * precisions[group].sum() for group in spaces.groups]
    m = max(sum(math.sqrt(product) for product in products) - dim, 0.0)
    return {"m": m, "sqrt_2m": math.sqrt(2 * m), "sqrt_m": math.sqrt(m)}[normalization]


def filter_covariance(
    rows: ArrayLike, centered: bool = False, require_full_rank: bool = True
) -> np.ndarray:
    """Covariance of a set of filters, the paper's Sigma_w.

    Args:
        rows: array of any real dtype `(n, d)`, one filter per row.
        centered: `True` subtracts the mean filter first, whose expectation is zero
            by Proposition 1. The sum is divided by `n` either way.
        require_full_rank: refuse too few filters for an inverse, which `misalignment`
            needs and the transfer function does not.

    Returns:
        A symmetric float64 array `(d, d)`.

    Raises:
        UsageError: if `rows` is not a finite matrix or has too few filters.

    Example:
        >>> filter_covariance([[1, 0], [-1, 0], [0, 3]]).tolist()
        [[0.6666666666666666, 0.0], [0.0, 3.0]]

    Reference:
        Maennel et al., NeurIPS 2020, arXiv 2006.10455, Proposition 1.
    """
    rows = np.asarray(rows, dtype=np.float64)
    if rows.ndim != 2 or not rows.size or not np.isfinite(rows).all():
        raise UsageError(
            "Filters must be a finite matrix (num_filters, dim); use `kernel_to_rows`. "
            f"Received: shape={rows.shape}, finite={bool(np.isfinite(rows).all())}"
        )
    if require_full_rank:
        _check_enough_filters(len(rows), rows.shape[1], centered)
    if centered:
        rows = rows - rows.mean(axis=0)
    return rows.T @ rows / len(rows)


def sampling_floor(num_filters: int, dim: int, centered: bool = False) -> float:
    """Expected misalignment `"m"` of Gaussian filters whose true covariance is aligned.

    Exact for a data covariance with distinct eigenvalues, and then the same for
    every aligned covariance. Filters with heavier tails score higher.

    For many filters it is about `d (d - 1) / (2 (n - d))`.

    Args:
        num_filters: number of filters n.
        dim: number of patch dimensions d.
        centered: as in `filter_covariance`; the mean costs one filter.

    Raises:
        UsageError: if there are not more filters (less one if centered) than dimensions.

    Example:
        >>> round(sampling_floor(num_filters=256, dim=27), 4)
        1.4947
        >>> sampling_floor(num_filters=256, dim=1)  # one direction is always aligned
        0.0

    Reference:
        A term of m is `1 / sqrt(1 - R^2) - 1` with R the multiple correlation of one
        coefficient with the others, and `1 - R^2` is Beta((n-d+1)/2, (d-1)/2)
        distributed (Muirhead, Aspects of Multivariate Statistical Theory, 1982).
    """
    _check_enough_filters(num_filters, dim, centered)
    n = num_filters - bool(centered)
    log_ratio = math.lgamma((n - dim) / 2) - math.lgamma((n - dim + 1) / 2)
    log_ratio += math.lgamma(n / 2) - math.lgamma((n - 1) / 2)
    return dim * math.expm1(log_ratio)


def random_basis(dim: int, seed: int) -> np.ndarray:
    """Draws an orthonormal basis uniformly (Haar measure); float64 `(dim, dim)`, columns.

    Example:
        >>> abs(random_basis(1, seed=0)).tolist()
        [[1.0]]

    Reference:
        Mezzadri, Notices of the AMS 54 (2007): QR made unique by a positive diagonal.
    """
    gaussian = np.random.default_rng(seed).standard_normal((dim, dim))
    basis, upper = np.linalg.qr(gaussian)
    return basis * np.sign(upper.diagonal())


def random_basis_misalignment(filter_cov: ArrayLike, seed: int, normalization: str = "m") -> float:
    """Misalignment of the filters with a random basis, the contrast to the data's basis.

    Args:
        filter_cov: array `(d, d)`, symmetric, positive definite.
        seed: integer seed of the basis, see `random_basis`.
        normalization: as in `misalignment`, and so are the errors.

    Example:
        >>> round(random_basis_misalignment([[1, 0], [0, 1]], seed=0), 9)
        0.0

    Reference:
        Maennel et al., NeurIPS 2020, arXiv 2006.10455, Figure 2.
    """
    dim = np.shape(filter_cov)[0]
    groups = tuple(slice(i, i + 1) for i in range(dim))
    spaces = Eigenspaces(np.arange(dim, 0.0, -1.0), random_basis(dim, seed), groups)
    return misalignment(spaces, filter_cov, normalization)


def _check_enough_filters(num_filters, dim, centered):
    if num_filters - bool(centered) <= dim:
        raise UsageError(
            f"The filter covariance needs more filters than patch dimensions ({dim}"
            f"{' and one more for the mean' if centered else ''}). Pool more runs with --seeds. "
            f"Received: {num_filters} filters"
        )
