"""Finite sample expressivity: a network of 2n + d weights that takes any values on n points.

Theorem 1 of Zhang et al. The points are projected on a line; a sum of ReLUs whose kinks
lie between the projections goes through any values there.
"""

import dataclasses

import numpy as np
from numpy.typing import ArrayLike

from rl_keras.errors import UsageError


@dataclasses.dataclass(frozen=True)
class TwoLayerNetwork:
    """The network `c(x) = sum_j w_j max(<a, x> - b_j, 0)`.

    Args:
        direction: a, float64 array `(d,)`.
        thresholds: b, float64 array `(n,)`, ascending.
        weights: w, float64 array `(n,)`.
    """

    direction: np.ndarray
    thresholds: np.ndarray
    weights: np.ndarray

    @property
    def num_parameters(self) -> int:
        """2n + d."""
        return len(self.direction) + len(self.thresholds) + len(self.weights)

    def outputs(self, points: ArrayLike, block_size: int = 512) -> np.ndarray:
        """Returns the outputs for points `(m, d)`, float64 `(m,)`, summed as written above.

        Args:
            points: of any real dtype.
            block_size: points taken together, to bound the memory.
        """
        projections = np.asarray(points, dtype=np.float64) @ self.direction
        outputs = np.empty(len(projections))
        for start in range(0, len(projections), block_size):
            block = slice(start, start + block_size)
            hidden = np.maximum(projections[block, None] - self.thresholds, 0)
            outputs[block] = hidden @ self.weights
        return outputs


def fit_any_labels(points: ArrayLike, labels: ArrayLike, direction: ArrayLike) -> TwoLayerNetwork:
    """Computes the network that gives every point its label, whatever the labels are.

    With the projections sorted, `z_1 < z_2 < ...`, and thresholds
    `b_1 < z_1 <= b_2 < z_2 <= ...` the equations for w are triangular. Here b_j is
    `z_{j-1}`, where the network already has the label of point j - 1. So its slope up to
    `z_j` must be the quotient of differences, and w_j is what the slope changes by:
    forward substitution in O(n), without the matrix. Kinks midway between the points
    would have worse rounding errors. b_1 lies a mean gap before z_1.

    Args:
        points: array `(n, d)` of any real dtype.
        labels: array `(n,)`, any finite numbers.
        direction: array `(d,)`, such as `generator.standard_normal(d)`, by which different
            points are told apart with probability 1.

    Returns:
        The network. In float64 its rounding error grows with the largest weight: some
        1e-9 for 500 points in 20 dimensions, 1e-5 for 20,000 in 784.

    Raises:
        UsageError: if shapes do not fit, a number is not finite, or two projections are
            equal up to their rounding.

    Reference:
        Zhang et al., "Understanding deep learning requires rethinking generalization",
        ICLR 2017, arXiv 1611.03530, Theorem 1 and Lemma 1.

    Example:
        >>> points = np.array([[0.0], [1.0], [2.0]])
        >>> network = fit_any_labels(points, [5, -3, 4], direction=[1.0])
        >>> network.outputs(points).round(9).tolist(), network.num_parameters
        ([5.0, -3.0, 4.0], 7)
    """
    points, labels, direction = _checked(points, labels, direction)
    projections = points @ direction
    order = np.argsort(projections)
    sorted_projections = projections[order]
    _check_ties(points, direction, sorted_projections, order)
    gap = np.ptp(projections) / len(points) or 1.0  # of a single point there is none
    thresholds = np.concatenate([[sorted_projections[0] - gap], sorted_projections[:-1]])
    rises = np.diff(labels[order], prepend=0.0)
    slopes = rises / (sorted_projections - thresholds)
    return TwoLayerNetwork(direction, thresholds, np.diff(slopes, prepend=0.0))


def _check_ties(points, direction, projections, order):
    gaps = np.diff(projections)
    # A dot product may be rounded by this much, and differently for equal points.
    longest = np.sqrt(np.einsum("nd,nd->n", points, points).max())
    rounding = 2 * np.finfo(np.float64).eps * np.linalg.norm(direction) * longest
    if gaps.size and gaps.min() <= rounding:
        first, second = sorted(order[gaps.argmin() :][:2].tolist())
        if np.array_equal(points[first], points[second]):
            reason = "these are the same point twice; leave one out"
        else:
            reason = "take another direction, drawn at random"
        raise UsageError(
            f"Points {first} and {second} have the same projection, so that no threshold lies "
            f"between them: {reason}. Received: projections {gaps.min():.1e} apart"
        )


def _checked(points, labels, direction):
    arrays = [np.asarray(array, dtype=np.float64) for array in (points, labels, direction)]
    points, labels, direction = arrays
    fit = points.ndim == 2 and points.size and labels.shape == points.shape[:1]
    if not fit or direction.shape != points.shape[1:]:
        raise UsageError(
            "points, labels and direction must have the shapes (n, d), (n,) and (d,). "
            f"Received: {', '.join(str(array.shape) for array in arrays)}"
        )
    if not all(np.isfinite(array).all() for array in arrays):
        raise UsageError("points, labels and direction must be finite. Received: NaN or infinity")
    return arrays
