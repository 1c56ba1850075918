"""The one flattening order of filters: row, column, channel, with the channel fastest.

`patches.PatchMoments` uses the same order, so entry `i` of a filter and entry `i`
of a patch are always multiplied by each other in the layer. Nothing else in the
project flattens a kernel.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from rl_keras.errors import UsageError


def kernel_to_rows(kernel: ArrayLike) -> np.ndarray:
    """Flattens a Keras kernel to one row per filter.

    Args:
        kernel: array of any real dtype, the kernel of a `Conv2D` layer
            `(kh, kw, c_in, c_out)` or of a `Dense` layer `(d_in, d_out)`.

    Returns:
        A float64 array `(num_filters, dim)`: `(c_out, kh * kw * c_in)` in the
        order row, column, channel, or `(d_out, d_in)`.

    Raises:
        UsageError: if the kernel has neither two nor four axes.

    Example:
        >>> kernel_to_rows([[1, 2], [3, 4], [5, 6]]).tolist()
        [[1.0, 3.0, 5.0], [2.0, 4.0, 6.0]]
    """
    kernel = np.asarray(kernel, dtype=np.float64)
    _check_rank(kernel.shape)
    return np.ascontiguousarray(kernel.reshape(-1, kernel.shape[-1]).T)


def rows_to_kernel(rows: ArrayLike, kernel_shape: Sequence[int]) -> np.ndarray:
    """Restores the Keras kernel from its rows, the inverse of `kernel_to_rows`.

    Args:
        rows: array of any real dtype `(num_filters, dim)`.
        kernel_shape: `(kh, kw, c_in, c_out)` or `(d_in, d_out)`.

    Returns:
        A float64 array of shape `kernel_shape`.

    Raises:
        UsageError: if the shape has neither two nor four axes, or the rows do
            not fill it.

    Example:
        >>> rows_to_kernel([[1, 3, 5], [2, 4, 6]], (3, 2)).tolist()
        [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]
    """
    rows = np.asarray(rows, dtype=np.float64)
    kernel_shape = tuple(int(size) for size in kernel_shape)
    _check_rank(kernel_shape)
    expected = (kernel_shape[-1], math.prod(kernel_shape[:-1]))
    if rows.shape != expected:
        raise UsageError(
            f"A kernel of shape {kernel_shape} needs rows of shape {expected}; pass one row per "
            f"filter, as `kernel_to_rows` returns them. Received: shape={rows.shape}"
        )
    return np.ascontiguousarray(rows.T).reshape(kernel_shape)


def _check_rank(shape):
    if len(shape) not in (2, 4):
        raise UsageError(
            "A kernel must have the shape (kh, kw, c_in, c_out) of a Conv2D layer or (d_in, d_out) "
            f"of a Dense layer; choose such a layer. Received: shape={shape}"
        )
