"""Are two layers the same? Centred kernel alignment, and the maximum match of subspaces.

Centred kernel alignment asks whether they are the same up to rotation and scale. Its biased
estimate is high for unrelated layers if there are not many more examples than units; the
unbiased one is zero in expectation then, and a little below it at times. The maximum match
asks which units of both layers span the same subspace, up to a tolerance.
"""

import dataclasses
import math

import numpy as np
from numpy.typing import ArrayLike

from rl_keras.errors import UsageError
from rl_keras.science.nulls import NullTest, chunks

_ROUNDING = 1e-12  # of what is left after subtraction


def linear_cka(
    first: ArrayLike,
    second: ArrayLike,
    unbiased: bool = True,
    first_ids: ArrayLike | None = None,
    second_ids: ArrayLike | None = None,
) -> float:
    """Linear centred kernel alignment of two layers on the same examples.

    `HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L))` of the Gram matrices `K = X X'` and
    `L = Y Y'`. It is 1 for layers that differ by a rotation, a scale and a shift.

    Args:
        first: array `(n, u)` of any real dtype, outputs X for n examples. Flatten the
            positions of a convolution into the units, or take each as an example.
        second: array `(n, v)`, outputs Y for the same examples in the same order.
        unbiased: estimate HSIC without bias (HSIC_1 of Song et al.); needs 4 examples.
        first_ids: array `(n,)`, names of the examples, to be checked; both or none.
        second_ids: array `(n,)`.

    Returns:
        A number up to 1, from 0 if biased.

    Raises:
        UsageError: if the examples or their ids differ, are too few, or all look alike to
            one of the layers.

    Example:
        >>> layer = np.array([[0.0, 1.0], [2.0, 0.0], [5.0, 3.0], [1.0, 1.0]])
        >>> round(linear_cka(layer, 7 - 3 * layer[:, ::-1]), 9)
        1.0

    Reference:
        Kornblith et al., ICML 2019, arXiv 1905.00414; Song et al., JMLR 13 (2012), on
        HSIC_1; Nguyen et al., ICLR 2021, arXiv 2010.15327, on CKA with it.
    """
    first, second = _centered(first, second, unbiased, first_ids, second_ids)
    return _ratio(*_hsics(first, second, unbiased))


class MinibatchCKA:
    """Unbiased linear CKA from batches, for layers that do not fit into memory.

    The unbiased HSIC of many small batches has the mean of that of all examples, so
    numerator and denominators are averaged over batches before the ratio is taken. The
    ratio of a biased one would depend on the size of the batches.

    Example:
        >>> layer = np.random.default_rng(0).standard_normal((8, 3))
        >>> cka = MinibatchCKA().update(layer[:4], 2 * layer[:4]).update(layer[4:], 2 * layer[4:])
        >>> round(cka.value, 9)
        1.0

    Reference:
        Nguyen et al., ICLR 2021, arXiv 2010.15327.
    """

    def __init__(self):
        self._sums = np.zeros(3)
        self._num_batches = 0

    def update(
        self,
        first: ArrayLike,
        second: ArrayLike,
        first_ids: ArrayLike | None = None,
        second_ids: ArrayLike | None = None,
    ) -> "MinibatchCKA":
        """Adds a batch and returns the object itself; take batches of one size.

        Arguments and errors are those of `linear_cka`.
        """
        first, second = _centered(first, second, True, first_ids, second_ids)
        self._sums += _hsics(first, second, True)
        self._num_batches += 1
        return self

    @property
    def value(self) -> float:
        """The similarity over all batches.

        Raises:
            UsageError: if there are none yet, or all examples look alike.
        """
        if not self._num_batches:
            raise UsageError("There are no batches yet; call `update`. Received: 0 batches")
        return _ratio(*self._sums)


def _centered(first, second, unbiased, first_ids, second_ids):
    """Both layers with their columns centred."""
    layers = []
    for layer in _checked_layers(first, second, 4 if unbiased else 2):
        centered = layer - layer.mean(axis=0)
        if np.abs(centered).max() <= _ROUNDING * np.abs(layer).max():
            centered[:] = 0
        layers.append(centered)
    check_same_examples(len(layers[0]), first_ids, second_ids)
    return layers


def _hsics(first, second, unbiased):
    """HSIC of the pair and of each with itself."""
    return [_hsic(x, y, unbiased) for x, y in ((first, second), (first, first), (second, second))]


def _hsic(first, second, unbiased):
    """HSIC of layers with centred columns, up to a common factor if biased.

    Song's three terms simplify: with centred columns `K 1 = 0`, so that the row sums of K
    without its diagonal k are `-k`.
    """
    num = len(first)
    if first.shape[1] * second.shape[1] < num * (first.shape[1] + second.shape[1]):
        squared = ((first.T @ second) ** 2).sum()
    else:
        squared = ((first @ first.T) * (second @ second.T)).sum()
    if not unbiased:
        return squared
    k, l_ = (first**2).sum(axis=1), (second**2).sum(axis=1)
    total = squared - num / (num - 2) * (k @ l_) + k.sum() * l_.sum() / (num - 1) / (num - 2)
    # What cancels to rounding is zero.
    return total / (num * (num - 3)) if abs(total) > _ROUNDING * squared else 0.0


def _ratio(both, first, second):
    if not (first > 0 and second > 0):
        raise UsageError(
            "The examples must not all look alike to a layer; is it dead? "
            f"Received: HSIC {first} of the first and {second} of the second with itself"
        )
    return float(both / math.sqrt(first) / math.sqrt(second))


@dataclasses.dataclass(frozen=True)
class SubspaceMatch:
    """The largest sets of units of two layers that express each other.

    Args:
        first_units: integer array, matched units of the first layer, ascending.
        second_units: integer array, those of the second.
        similarity: share of the units of both layers that are matched, in `[0, 1]`.
    """

    first_units: np.ndarray
    second_units: np.ndarray
    similarity: float


def maximum_match(
    first: ArrayLike,
    second: ArrayLike,
    tolerance: float,
    first_ids: ArrayLike | None = None,
    second_ids: ArrayLike | None = None,
) -> SubspaceMatch:
    """Finds the maximum match of two layers.

    Sets X and Y of units match if the outputs of each are within the tolerance, relative
    to their norm, of the span of the other's. Unions of matches are matches, so there
    is a largest: what remains once units too far from the span of the remaining
    others are removed until none is. Silent units match nothing.

    Chance matches all units of layers with nearly as many units as examples; unrelated
    Gaussian layers of N units on D examples match from a tolerance of about
    `sqrt(1 - N / D)` on. Compare with `match_test`.

    Args:
        first: array `(n, u)` of any real dtype, outputs for n examples. For a convolution
            take a sample of (example, position) pairs as examples.
        second: array `(n, v)`, for the same examples in the same order.
        tolerance: the paper's epsilon, between 0 and 1.
        first_ids: array `(n,)`, names of the examples, to be checked; both or none.
        second_ids: array `(n,)`.

    Raises:
        UsageError: if the outputs are not finite, the examples or their ids differ, or
            the tolerance is out of range.

    Example:
        >>> match = maximum_match([[1, 0], [0, 1], [0, 0]], [[0, 2], [0, 0], [3, 0]], 0.1)
        >>> match.first_units.tolist(), match.second_units.tolist(), match.similarity
        ([0], [1], 0.5)

    Reference:
        Wang et al., NeurIPS 2018, arXiv 1810.11750.
    """
    first, second = _checked_layers(first, second)
    check_same_examples(len(first), first_ids, second_ids)
    if not 0 < tolerance < 1:
        raise UsageError(f"tolerance must be between 0 and 1. Received: tolerance={tolerance}")
    return _match(_factor(first, second), first.shape[1], tolerance)


def match_test(
    first: ArrayLike,
    second: ArrayLike,
    tolerance: float,
    draws: int,
    rng: np.random.Generator,
    null: str = "gaussian",
) -> NullTest:
    """Tests the similarity of two layers against unrelated ones of the same shapes.

    Args:
        first: as in `maximum_match`, and so are `second` and `tolerance`.
        draws: how many.
        rng: `np.random.Generator`; it advances.
        null: `"gaussian"`, independent Gaussian outputs with silent units left silent;
            or `"shuffled"`, the second layer with its examples in random order. The latter
            keeps the direction of the mean, which outputs of ReLUs share and match by.

    Returns:
        A `NullTest` of `SubspaceMatch.similarity`.

    Raises:
        UsageError: as `maximum_match`, if the null is unknown, or if there are no draws or
            no generator.

    Example:
        >>> layer = np.eye(2)  # as many units as examples: everything matches
        >>> match_test(layer, layer, 0.1, draws=9, rng=np.random.default_rng(0)).p_value
        1.0

    Reference:
        Wang et al., NeurIPS 2018, arXiv 1810.11750, for the match. The nulls are ours; the
        Gaussian one is drawn by Bartlett's decomposition (Muirhead 1982, Theorem 3.2.14).
    """
    if null not in ("gaussian", "shuffled"):
        raise UsageError(f'null must be "gaussian" or "shuffled". Received: null={null!r}')
    observed = maximum_match(first, second, tolerance).similarity
    first, second = _checked_layers(first, second)
    active = np.concatenate([first.any(axis=0), second.any(axis=0)])
    scores = []
    for num in chunks(draws, first.size + second.size, rng):
        for _ in range(num):
            if null == "shuffled":
                vectors = _factor(first, rng.permutation(second))
            else:
                vectors = _gaussian_factor(len(first), active, rng)
            scores.append(_match(vectors, first.shape[1], tolerance).similarity)
    return NullTest(observed, np.array(scores))


def _factor(first, second):
    """The units of both layers in a basis of what they span: only angles count."""
    return np.linalg.qr(np.concatenate([first, second], axis=1), mode="r")


def _gaussian_factor(num_examples, active, rng):
    """`_factor` of Gaussian outputs, drawn by Bartlett's decomposition; silent units are zero."""
    num_units = int(active.sum())
    dim = min(num_examples, num_units)
    drawn = np.triu(rng.standard_normal((dim, num_units)), 1)
    drawn[np.arange(dim), np.arange(dim)] = np.sqrt(rng.chisquare(num_examples - np.arange(dim)))
    vectors = np.zeros((dim, len(active)))
    vectors[:, active] = drawn
    return vectors


def _match(vectors, num_first, tolerance):
    norms = np.linalg.norm(vectors, axis=0)
    vectors = vectors / np.where(norms > 0, norms, 1.0)
    x, y = vectors[:, :num_first], vectors[:, num_first:]
    units = [np.flatnonzero(layer.any(axis=0)) for layer in (x, y)]
    while True:
        left = units[0][_distances(x[:, units[0]], y[:, units[1]]) <= tolerance]
        right = units[1][_distances(y[:, units[1]], x[:, left]) <= tolerance]
        if len(left) == len(units[0]) and len(right) == len(units[1]):
            share = (len(left) + len(right)) / vectors.shape[1]
            return SubspaceMatch(left, right, share)
        units = [left, right]


def _distances(vectors, others):
    """Distances of unit vectors, as columns, from the span of others."""
    if not others.size:
        return np.ones(vectors.shape[1])
    basis, sizes, _ = np.linalg.svd(others, full_matrices=False)
    basis = basis[:, sizes > max(others.shape) * np.finfo(np.float64).eps * sizes[0]]
    return np.linalg.norm(vectors - basis @ (basis.T @ vectors), axis=0)


def _checked_layers(first, second, least=1):
    """Both layers in float64, or refuses what is not on the same examples, at least so many."""
    layers = [np.asarray(layer, dtype=np.float64) for layer in (first, second)]
    for layer in layers:
        if layer.ndim != 2 or not layer.size or not np.isfinite(layer).all():
            raise UsageError(
                "The outputs of a layer must be a finite matrix (num_examples, units). "
                f"Received: shape={layer.shape}"
            )
    nums = [len(layer) for layer in layers]
    if nums[0] != nums[1] or nums[0] < least:
        at_least = f", at least {least}" if least > 1 else ""
        raise UsageError(
            f"Both layers must have seen the same examples{at_least}. "
            f"Received: {nums[0]} and {nums[1]} examples"
        )
    return layers


def check_same_examples(
    num: int, first_ids: ArrayLike | None, second_ids: ArrayLike | None
) -> None:
    """Refuses two lists of example ids that do not name the same examples in one order.

    Args:
        num: how many examples there are.
        first_ids: array `(num,)`, or `None` for both, which checks nothing.
        second_ids: array `(num,)`.

    Raises:
        UsageError: if there is one list only, or they differ.

    Example:
        >>> check_same_examples(2, ["a", "b"], ["a", "b"])
    """
    if first_ids is None and second_ids is None:
        return
    ids = [np.asarray(i) for i in (first_ids, second_ids)]
    if any(i.shape != (num,) for i in ids):
        raise UsageError(
            f"first_ids and second_ids must name each of the {num} examples, or both be left out. "
            f"Received: shapes {ids[0].shape} and {ids[1].shape}"
        )
    differ = np.flatnonzero(ids[0] != ids[1])
    if differ.size:
        row = differ[0]
        raise UsageError(
            "Rows must be the same examples in one order; sort both by id. "
            f"Received: {ids[0][row].item()!r} and {ids[1][row].item()!r} in row {row}"
        )
