"""Which units of a layer are active, and on how many inputs."""

import dataclasses

import numpy as np
from numpy.typing import ArrayLike

from rl_keras.errors import UsageError

RARE = 0.01  # a unit active on a smaller share of the inputs is rarely active


@dataclasses.dataclass(frozen=True)
class LayerActivity:
    """Activity of the `u` units (channels) of one layer after its ReLU.

    An input is an example, or, for a convolution, an (example, position) pair.

    Args:
        fraction_active: float64 array `(u,)`, share of inputs with a positive output.
        mean_activation: float64 array `(u,)`, mean output over all inputs.
        dead_units: number of units active on no input.
        rarely_active: share of units active on under 1% of the inputs, dead ones included.
        effective_rank: `effective_rank` of the profile.
    """

    fraction_active: np.ndarray
    mean_activation: np.ndarray
    dead_units: int
    rarely_active: float
    effective_rank: float


def layer_activity(
    fraction_active: ArrayLike, mean_activation: ArrayLike, profile: ArrayLike
) -> LayerActivity:
    """Summarises the activity of a layer from what was measured of each unit.

    Args:
        fraction_active: array `(u,)` in `[0, 1]`, share of inputs with a positive
            output. For a convolution an input is an (example, position) pair.
        mean_activation: array `(u,)`, mean output over all inputs.
        profile: array `(n, u)`, outputs for `n` of the inputs.

    Raises:
        UsageError: if the numbers of units differ, a value is not finite, or a share
            is outside `[0, 1]`.

    Example:
        >>> activity = layer_activity([0.0, 0.5], [0.0, 1.0], [[0.0, 2.0], [0.0, 0.0]])
        >>> activity.dead_units, activity.rarely_active, activity.effective_rank
        (1, 0.5, 1.0)

    Reference:
        Maennel et al., NeurIPS 2020, arXiv 2006.10455, on the specialisation of neurons.
    """
    fraction_active = np.asarray(fraction_active, dtype=np.float64)
    mean_activation = np.asarray(mean_activation, dtype=np.float64)
    shapes = (fraction_active.shape, mean_activation.shape, np.shape(profile)[1:])
    if fraction_active.ndim != 1 or not fraction_active.size or len(set(shapes)) != 1:
        raise UsageError(
            "fraction_active (u,), mean_activation (u,) and profile (n, u) must be of the same "
            f"units. Received: shapes {shapes[0]}, {shapes[1]} and {np.shape(profile)}"
        )
    if not np.isfinite(mean_activation).all():
        raise UsageError("mean_activation must be finite. Received: NaN or infinity")
    if not ((fraction_active >= 0) & (fraction_active <= 1)).all():
        raise UsageError(
            "fraction_active must be in [0, 1]; divide by the number of inputs. "
            f"Received: from {fraction_active.min()} to {fraction_active.max()}"
        )
    return LayerActivity(
        fraction_active=fraction_active,
        mean_activation=mean_activation,
        dead_units=int((fraction_active == 0).sum()),
        rarely_active=float((fraction_active < RARE).mean()),
        effective_rank=effective_rank(profile),
    )


def effective_rank(matrix: ArrayLike) -> float:
    """Number of dimensions a matrix really uses: the exponential of a spectral entropy.

    With p_k the singular values divided by their sum, `exp(-sum_k p_k log p_k)`: the
    rank if all nonzero singular values are equal, and less the more they differ.

    Args:
        matrix: array `(n, units)` of any real dtype.

    Returns:
        A number from 1 to `min(n, units)`; 0 for a matrix of zeros.

    Raises:
        UsageError: if it is not a finite matrix.

    Example:
        >>> round(effective_rank([[1, 0, 0], [0, 1, 0], [0, 0, 0]]), 9)
        2.0

    Reference:
        Roy and Vetterli, "The effective rank", EUSIPCO 2007, Definition 1.
    """
    matrix = np.asarray(matrix, dtype=np.float64)
    if matrix.ndim != 2 or not matrix.size or not np.isfinite(matrix).all():
        raise UsageError(
            "The effective rank needs a finite matrix (n, units). "
            f"Received: shape={matrix.shape}, finite={bool(np.isfinite(matrix).all())}"
        )
    singular_values = np.linalg.svd(matrix, compute_uv=False)
    positive = singular_values[singular_values > 0]
    if not positive.size:
        return 0.0
    shares = positive / positive.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))
