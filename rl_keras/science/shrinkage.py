"""Covariances drawn towards a multiple of the identity, which have an inverse from few filters.

The identity is aligned with everything, so a shrunk covariance scores a lower
misalignment, real or not, and `sampling_floor` does not apply to it.
"""

import numpy as np

from rl_keras.errors import UsageError


def shrunk(covs, intensity: float) -> np.ndarray:
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


def shrinkage_intensity(rows, shrinkage) -> float:
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
