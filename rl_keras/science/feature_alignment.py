"""The neural feature ansatz: do the filters resemble the average gradient at their patches?

The filters stand on both sides of the comparison, since the gradient at a patch is a
combination of filters (see `gradients`). Read its value against the one for an identity
moment of the gradients, and against chance.
"""

import dataclasses

import numpy as np

from rl_keras.science.eigenspaces import symmetric
from rl_keras.science.floors import chunks
from rl_keras.science.gradients import checked_rows, gradient_outer_product
from rl_keras.science.nulls import NullTest


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
    rows, moment, initial_rows=None, without_isotropic: bool = False
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
    rows = checked_rows(rows)
    change = rows if initial_rows is None else rows - checked_rows(initial_rows, rows.shape)
    gram, whole = change.T @ change, rows.T @ rows
    # Those for an identity and for W W' need no matrix of all pairs of units.
    products = gradient_outer_product(rows, moment), whole, whole @ whole
    return FeatureAlignment(*(_correlation(gram, p, without_isotropic) for p in products))


def unit_permutation_test(
    rows, moment, draws, rng, initial_rows=None, without_isotropic: bool = False
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
    rows, moment = checked_rows(rows), symmetric(moment, "moment")
    change = rows if initial_rows is None else rows - checked_rows(initial_rows, rows.shape)
    gram, scores = change.T @ change, []
    for num in chunks(draws, moment.size, rng):
        for _ in range(num):
            order = rng.permutation(len(rows))
            product = rows[order].T @ moment @ rows[order]
            scores.append(_correlation(gram, product, without_isotropic))
    return NullTest(observed, np.array(scores))


def _correlation(first, second, without_isotropic):
    # Rounding of a matrix that vanishes once its trace is taken out is not a direction.
    least = [1e-12 * np.linalg.norm(matrix) for matrix in (first, second)]
    if without_isotropic:
        identity = np.eye(len(first)) / len(first)
        first = first - np.trace(first) * identity
        second = second - np.trace(second) * identity
    norms = [np.linalg.norm(matrix) for matrix in (first, second)]
    if norms[0] <= least[0] or norms[1] <= least[1]:
        return np.nan
    return float(np.clip((first * second).sum() / (norms[0] * norms[1]), -1, 1))
