"""The transfer function: how much the filters grew along each principal axis of the data."""

import dataclasses

import numpy as np
from numpy.typing import ArrayLike

from rl_keras.science.eigenspaces import Eigenspaces, in_eigenbasis


@dataclasses.dataclass(frozen=True)
class TransferCurve:
    """The transfer function at the eigenvalues of the data, the largest first.

    Args:
        eigenvalues: float64 array `(d,)`, variances of the data, sigma_i^2.
        sigma: float64 array `(d,)`, their roots: standard deviations of the data.
        values: float64 array `(d,)`, f(sigma_i): standard deviations of the filters.
    """

    eigenvalues: np.ndarray
    sigma: np.ndarray
    values: np.ndarray


def transfer_function(data_cov: ArrayLike | Eigenspaces, filter_cov: ArrayLike) -> TransferCurve:
    """Returns f: sigma_i -> sqrt(v_i' Sigma_w v_i) over the eigenvectors v_i of the data.

    Eigenvectors of a repeated eigenvalue are arbitrary, so there the value is the
    root of the mean over the eigenspace, which does not depend on their choice.

    Args:
        data_cov: array `(d, d)`, symmetric, positive semi-definite, or its
            `Eigenspaces`. The paper's Sigma_x.
        filter_cov: array `(d, d)`, symmetric, positive semi-definite; it may be
            singular. The paper's Sigma_w.

    Raises:
        UsageError: if a matrix is not symmetric and finite, or the sizes differ.

    Example:
        >>> curve = transfer_function([[9, 0], [0, 4]], [[1, 0], [0, 25]])
        >>> curve.sigma.tolist(), curve.values.tolist()
        ([3.0, 2.0], [1.0, 5.0])

    Reference:
        Maennel et al., NeurIPS 2020, arXiv 2006.10455, Definition 3, equation 3.
    """
    spaces, rotated = in_eigenbasis(data_cov, filter_cov)
    variances = rotated.diagonal().copy()
    for group in spaces.groups:
        variances[group] = variances[group].mean()
    # Rounding leaves eigenvalues that are zero slightly on either side of it.
    eigenvalues = np.maximum(spaces.values, 0)
    return TransferCurve(eigenvalues, np.sqrt(eigenvalues), np.sqrt(np.maximum(variances, 0)))
