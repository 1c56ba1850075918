"""The neural feature ansatz: do the filters resemble the average gradient at their patches?

With `W` the filters as rows and delta the gradient of an output at the layer's
pre-activations, the gradient at a patch is `W' delta`. So its average outer product is
`W' E[delta delta'] W`, from the n x n moment of delta alone (`GradientMoments`).

The filters stand on both sides of this comparison and correlate with themselves. So the
correlation says something about the gradients only if it is higher than with an identity in
place of their moment, and higher than by chance (`unit_permutation_test`).
"""

import dataclasses

import numpy as np
from numpy.typing import ArrayLike

from rl_keras.errors import UsageError
from rl_keras.science.eigenspaces import symmetric
from rl_keras.science.nulls import NullTest, chunks

_CHUNK_BYTES = 16 * 2**20  # gradients are converted to float64 this much at a time


@dataclasses.dataclass(frozen=True)
class FeatureAlignment:
    """The correlation of filter Gram matrix and average gradient outer product.

    Args:
        observed: with the moment of the gradients.
        identity: with the identity in its place; 1 unless initial filters are
            subtracted. Gradients of equal size and uncorrelated between units
            give it whatever they are gradients of.
        own_gram: with `W W'` in its place, gradients as correlated as the filters are:
            that of `W' W` with its square, if no initial filters are subtracted.
    """

    observed: float
    identity: float
    own_gram: float


def feature_alignment(
    rows: ArrayLike,
    moment: ArrayLike,
    initial_rows: ArrayLike | None = None,
    without_isotropic: bool = False,
) -> FeatureAlignment:
    """Correlation of the filters' Gram matrix with their average gradient outer product.

    The correlation of matrices A and B is `tr(A' B) / sqrt(tr(A' A) tr(B' B))`.

    Args:
        rows: as in `gradient_outer_product`, and so are `moment` and the errors.
        initial_rows: array `(n, d)`, filters before training, to subtract in the Gram
            matrix but not in the gradients. (Pass the change as `rows` for both.)
        without_isotropic: subtract from each matrix the multiple of the identity of its
            trace. Untrained filters are nearly isotropic and score near 1 without it.

    Returns:
        A `FeatureAlignment`, each value in `[-1, 1]`; NaN where a matrix vanishes.

    Example:
        >>> alignment = feature_alignment([[2.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 4.0]])
        >>> round(alignment.observed, 6), round(alignment.identity, 6)
        (0.857493, 1.0)

    Reference:
        Radhakrishnan et al., Science 383 (2024), arXiv 2212.13881, with initial filters
        subtracted in the one; Beaglehole et al., arXiv 2402.05271, subtracted in both.
    """
    rows = _checked_rows(rows)
    change = rows if initial_rows is None else rows - _checked_rows(initial_rows, rows.shape)
    gram, whole = change.T @ change, rows.T @ rows
    # Those for an identity and for W W' need no matrix of all pairs of units.
    products = gradient_outer_product(rows, moment), whole, whole @ whole
    return FeatureAlignment(*(_correlation(gram, p, without_isotropic) for p in products))


def gradient_outer_product(rows: ArrayLike, moment: ArrayLike) -> np.ndarray:
    """Average outer product of the gradients at the patches of a layer: `W' M W`.

    Args:
        rows: array `(n, d)`, one filter per row, of any real dtype.
        moment: array `(n, n)`, symmetric, of `GradientMoments`.

    Returns:
        A symmetric float64 array `(d, d)`.

    Raises:
        UsageError: if the filters are no finite matrix, or the sizes differ.

    Example:
        >>> gradient_outer_product([[1.0, 2.0]], [[3.0]]).tolist()
        [[3.0, 6.0], [6.0, 12.0]]

    Reference:
        Beaglehole et al., arXiv 2309.00570, the convolutional neural feature ansatz.
    """
    rows, moment = _checked_rows(rows), symmetric(moment, "moment")
    if len(rows) != len(moment):
        raise UsageError(
            "The moment must be that of the gradients at the units of these filters, "
            f"{len(rows)}. Received: {len(moment)} units"
        )
    product = rows.T @ moment @ rows
    return (product + product.T) / 2


def unit_permutation_test(
    rows: ArrayLike,
    moment: ArrayLike,
    draws: int,
    rng: np.random.Generator,
    initial_rows: ArrayLike | None = None,
    without_isotropic: bool = False,
) -> NullTest:
    """Tests whether it matters which filter a gradient belongs to.

    A draw hands the gradients to the filters in a random order, all else equal: what
    it scores is built into the comparison. Filters that have nothing to do with the
    gradients of their units get uniform p-values. Draws near 1 leave no room above them:
    then even a correlation near 1 says nothing of the gradients, and one *below* the
    draws says that they go with the filters in some other way.

    Args:
        rows: as in `feature_alignment`, and so are `moment` and the options.
        draws: how many.
        rng: `np.random.Generator`; it advances.

    Returns:
        A `NullTest` of `FeatureAlignment.observed`.

    Raises:
        UsageError: as `feature_alignment`, if there are no draws or no generator, or if
            the correlation is not defined.

    Example:
        >>> unit_permutation_test(np.eye(3), np.eye(3), 9, np.random.default_rng(0)).p_value
        1.0
    """
    observed = feature_alignment(rows, moment, initial_rows, without_isotropic).observed
    rows, moment = _checked_rows(rows), symmetric(moment, "moment")
    change = rows if initial_rows is None else rows - _checked_rows(initial_rows, rows.shape)
    gram, scores = change.T @ change, []
    for num in chunks(draws, moment.size, rng):
        for _ in range(num):
            order = rng.permutation(len(rows))
            product = rows[order].T @ moment @ rows[order]
            scores.append(_correlation(gram, product, without_isotropic))
    return NullTest(observed, np.array(scores))


def _correlation(first, second, without_isotropic):
    # A multiple of the identity leaves only rounding errors, whose correlation means nothing.
    least = [1e-12 * np.linalg.norm(matrix) for matrix in (first, second)]
    if without_isotropic:
        identity = np.eye(len(first)) / len(first)
        first = first - np.trace(first) * identity
        second = second - np.trace(second) * identity
    norms = [np.linalg.norm(matrix) for matrix in (first, second)]
    if norms[0] <= least[0] or norms[1] <= least[1]:
        return np.nan
    return float(np.clip((first * second).sum() / (norms[0] * norms[1]), -1, 1))


def _checked_rows(rows, shape=None) -> np.ndarray:
    """Returns filters `(n, d)` as float64, or refuses what is no finite matrix of the shape.

    Example:
        >>> _checked_rows([[1, 2]]).tolist()
        [[1.0, 2.0]]
    """
    rows = np.asarray(rows, dtype=np.float64)
    fits = rows.ndim == 2 and rows.size and shape in (None, rows.shape)
    if not fits or not np.isfinite(rows).all():
        raise UsageError(
            "Filters must be a finite matrix (num_filters, dim), trained and initial ones of one "
            f"shape; use `kernel_to_rows`. Received: shape={rows.shape}"
        )
    return rows


class GradientMoments:
    """Streaming second moment of the gradients at a layer's pre-activations.

    For a convolution each output position of each example counts as one, as in
    `patches.PatchMoments`.

    Example:
        >>> moments = GradientMoments().update([[1.0, 0.0], [3.0, 0.0]])
        >>> moments.count, moments.moment().tolist(), moments.moment(centered=True).tolist()
        (2, [[5.0, 0.0], [0.0, 0.0]], [[1.0, 0.0], [0.0, 0.0]])

    Reference:
        Radhakrishnan et al., Science 383 (2024), arXiv 2212.13881, the average gradient
        outer product; Beaglehole et al., arXiv 2309.00570, that of patches.
    """

    def __init__(self):
        self._count = 0
        self._sums = None  # (num_outputs, n)
        self._products = None  # (n, n)

    def update(self, deltas: ArrayLike) -> "GradientMoments":
        """Adds the gradients of a batch and returns the object itself.

        Args:
            deltas: array of any real dtype, `(num_positions, n)`, or
                `(num_positions, num_outputs, n)` for the gradients of several outputs,
                whose moments are added up. With a random Gaussian projection of the
                outputs in place of all of them the uncentred moment is the same in
                expectation; the centred one is not.

        Raises:
            UsageError: if the shape does not fit or a gradient is not finite. Nothing
                is added then.
        """
        deltas = np.asarray(deltas)
        wanted = None if self._sums is None else self._sums.shape
        if deltas.ndim == 2:
            deltas = deltas[:, None]
        if deltas.ndim != 3 or not deltas.size or wanted not in (None, deltas.shape[1:]):
            raise UsageError(
                "Gradients must be (num_positions, n) or (num_positions, num_outputs, n), and of "
                f"one layer{'' if wanted is None else f' with (num_outputs, n) = {wanted}'}. "
                f"Received: shape={deltas.shape}"
            )
        if not np.isfinite(deltas.sum(dtype=np.float64)):
            raise UsageError(
                "Gradients must be finite; has training diverged? Received: NaN or infinity"
            )
        if self._sums is None:
            self._sums = np.zeros(deltas.shape[1:])
            self._products = np.zeros((deltas.shape[2],) * 2)
        step = max(1, _CHUNK_BYTES // (8 * self._sums.size))
        for start in range(0, len(deltas), step):
            chunk = deltas[start : start + step].astype(np.float64)
            self._sums += chunk.sum(axis=0)
            chunk = chunk.reshape(-1, chunk.shape[2])
            self._products += chunk.T @ chunk
        self._count += len(deltas)
        return self

    @property
    def count(self) -> int:
        """Number of positions seen, over all examples."""
        return self._count

    def moment(self, centered: bool = False) -> np.ndarray:
        """`E[delta delta']` summed over outputs, float64 `(n, n)`, symmetric.

        Args:
            centered: `True` subtracts the mean gradient of each output first.

        Raises:
            UsageError: if there are no gradients yet.
        """
        if not self._count:
            raise UsageError("There are no gradients yet; call `update`. Received: 0 batches")
        moment = self._products / self._count
        if centered:
            means = self._sums / self._count
            moment = moment - means.T @ means
        return (moment + moment.T) / 2
