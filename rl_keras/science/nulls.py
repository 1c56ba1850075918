"""What chance gives: tests of whether filters are aligned with the data.

`alignment.sampling_floor` is the mean score of aligned Gaussian filters, and `gaussian_null`
draws from their law. Training makes tails heavier than a Gaussian's, and they alone raise the
score. The sign-flip null keeps the tails: it turns the coefficients of the filters themselves
along the eigenvectors of the data.

Proposition 1 gives the symmetry of the data to a run as a whole. The filters of a run share
labels and later layers, so they depend on each other. `run_flip_test` therefore turns whole
runs, in the same way at all their steps.
"""

import dataclasses
import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike

from rl_keras.errors import UsageError
from rl_keras.science.alignment import (
    RANK_TOLERANCE,
    filter_covariance,
    misalignment,
    random_basis_misalignment,
    sampling_floor,
)
from rl_keras.science.eigenspaces import Eigenspaces, as_spaces, in_eigenbasis

_ROUNDING = 1e-9  # draws this close to the observed score are ties
_CHUNK_ENTRIES = 2**20  # in an array of several draws: 8 MiB of float64
_NO_SPREAD = 1e-9  # draws that differ by less are all the same


@dataclasses.dataclass(frozen=True)
class NullTest:
    """An observed score and draws of it under a null hypothesis, against which large scores speak.

    Args:
        observed: the score.
        draws: float64 array `(num_draws,)`, scores under the null.

    Raises:
        UsageError: if there are no draws, or a number is NaN.

    Example:
        >>> test = NullTest(5.0, np.array([1.0, 2.0, 3.0]))
        >>> test.p_value, test.z_score, test.excess
        (0.25, 3.0, 3.0)
        >>> test.quantiles([0.5]).tolist()
        [2.0]
    """

    observed: float
    draws: np.ndarray

    def __post_init__(self):
        draws = np.asarray(self.draws, dtype=np.float64)
        if draws.ndim != 1 or not draws.size or np.isnan(draws).any() or np.isnan(self.observed):
            raise UsageError(
                "A null test needs a score and a list of draws (num_draws,) without NaN; ask for "
                f"at least one draw. Received: observed={self.observed}, draws {draws.shape}"
            )
        object.__setattr__(self, "draws", draws)

    @property
    def p_value(self) -> float:
        """`(1 + draws at or above the score) / (1 + draws)`, valid for any number of draws.

        Reference:
            Phipson and Smyth, Stat. Appl. Genet. Mol. Biol. 9 (2010), on the added ones.
        """
        at_or_above = self.draws >= self.observed - _ROUNDING * max(1.0, abs(self.observed))
        return float((1 + at_or_above.sum()) / (1 + len(self.draws)))

    @property
    def z_score(self) -> float:
        """`excess` in standard deviations of the draws; NaN if they have no spread."""
        if len(self.draws) < 2 or not (spread := self.draws.std(ddof=1)):
            return math.nan
        return float(self.excess / spread)

    @property
    def excess(self) -> float:
        """The score less the mean of the draws: zero in expectation under the null."""
        return float(self.observed - self.draws.mean())

    def quantiles(self, probabilities: Sequence[float] = (0.025, 0.5, 0.975)) -> np.ndarray:
        """Quantiles of the draws, float64, one for each probability in `[0, 1]`."""
        return np.quantile(self.draws, probabilities)


def sign_flip_test(
    rows: ArrayLike,
    spaces: ArrayLike | Eigenspaces,
    draws: int,
    rng: np.random.Generator,
    centered: bool = False,
    runs: ArrayLike | None = None,
) -> NullTest:
    """Tests whether filters are aligned with the data, by their misalignment.

    Arguments and errors are those of `sign_flip_null`, and so are the assumptions.

    Example:
        >>> sign_flip_test([[3.0], [4.0]], [[1.0]], 9, np.random.default_rng(0)).p_value
        1.0
    """
    spaces = as_spaces(spaces)
    observed = misalignment(spaces, filter_covariance(rows, centered))
    return NullTest(observed, sign_flip_null(rows, spaces, draws, rng, centered, runs))


def sign_flip_null(
    rows: ArrayLike,
    spaces: ArrayLike | Eigenspaces,
    draws: int,
    rng: np.random.Generator,
    centered: bool = False,
    runs: ArrayLike | None = None,
) -> np.ndarray:
    """Draws misalignments `"m"` of the filters turned at random within the data's eigenspaces.

    Every filter's coefficient along every data eigenvector gets a random sign. In a
    repeated eigenspace the coefficients are turned together by a random orthogonal
    matrix. Each draw is distributed as the observed score if the filters are
    independent and their law has the symmetry of the data, whatever its tails.

    Proposition 1 gives that symmetry to a run as a whole. It does not say that the
    filters of a run are independent, which is true for wide layers only. With `runs` all
    filters of a run are turned alike, and only the runs need to be independent. Runs on
    the same images are independent given these images, and then the sample of images
    must have the symmetry too.

    Args:
        rows: array `(n, d)`, one filter per row, more filters than dimensions.
        spaces: `Eigenspaces` of the data covariance, or array `(d, d)`, the covariance.
        draws: how many.
        rng: `np.random.Generator`; it advances.
        centered: as in `filter_covariance`.
        runs: array `(n,)`, the run of each filter, at least two; `None` turns every
            filter by itself.

    Returns:
        A float64 array `(draws,)`; infinite where turned filters have no inverse.

    Raises:
        UsageError: if there are too few filters or runs, no draws, or no generator.

    Example:
        >>> sign_flip_null([[3.0], [4.0]], [[1.0]], 2, np.random.default_rng(0)).tolist()
        [0.0, 0.0]

    Reference:
        Maennel et al., NeurIPS 2020, arXiv 2006.10455, Proposition 1, for the symmetry;
        Lehmann and Romano, Testing Statistical Hypotheses (2005), 15.2, for the test.
    """
    spaces, _ = in_eigenbasis(spaces, filter_covariance(rows, centered))
    coefficients = (np.asarray(rows, dtype=np.float64) @ spaces.vectors).T
    of_run = None if runs is None else _run_numbers(runs, coefficients.shape[1])
    scores = []
    for num in chunks(draws, coefficients.size, rng):
        turned = np.concatenate(
            [_turn(coefficients[group], num, rng, of_run) for group in spaces.groups], axis=1
        )
        if centered:
            turned -= turned.mean(axis=2, keepdims=True)
        scores.append(misalignments(turned @ turned.transpose(0, 2, 1), spaces.groups))
    return np.concatenate(scores)


def _run_numbers(runs, num_filters):
    """The runs as integers from zero, one per filter."""
    names, numbers = np.unique(np.asarray(runs), return_inverse=True)
    if np.shape(runs) != (num_filters,) or len(names) < 2:
        raise UsageError(
            f"runs must name the run of each of the {num_filters} filters, and at least two runs; "
            f"pool more with --seeds. Received: shape={np.shape(runs)}, {len(names)} runs"
        )
    return numbers


def _turn(coefficients, num, rng, of_run):
    """Turns the coefficients `(k, n)` in one eigenspace `num` times: `(num, k, n)`."""
    dim, num_filters = coefficients.shape
    if of_run is not None:
        num_runs = of_run.max() + 1
        basis, upper = np.linalg.qr(rng.standard_normal((num_runs, num, dim, dim)))
        basis *= np.sign(np.diagonal(upper, axis1=2, axis2=3))[:, :, None]  # as in `random_basis`
        turned = np.empty((num, dim, num_filters))
        for run in range(num_runs):
            turned[..., of_run == run] = basis[run] @ coefficients[:, of_run == run]
        return turned
    if dim == 1:
        flips = rng.integers(0, 2, (num, 1, num_filters), dtype=np.int8)
        return coefficients * (1.0 - 2.0 * flips)
    # A randomly rotated vector has its length and a uniformly distributed direction.
    directions = rng.standard_normal((num, dim, num_filters))
    lengths = np.linalg.norm(coefficients, axis=0)
    return directions * (lengths / np.linalg.norm(directions, axis=1, keepdims=True))


def gaussian_null(
    num_filters: int,
    spaces: ArrayLike | Eigenspaces,
    draws: int,
    rng: np.random.Generator,
    centered: bool = False,
) -> np.ndarray:
    """Draws misalignments `"m"` of aligned Gaussian filters, also for repeated eigenvalues.

    Their mean is then above `sampling_floor`, because unequal sample variances within
    an eigenspace count as misalignment. With r eigenspaces and many filters it is
    about `(d (d - 1) / 2 + d - r) / n`.

    Args:
        num_filters: number of filters n, more than dimensions.
        spaces: `Eigenspaces` of the data covariance, or array `(d, d)`, the covariance.
        draws: how many.
        rng: `np.random.Generator`; it advances.
        centered: as in `filter_covariance`; the mean costs one filter.

    Returns:
        A float64 array `(draws,)`.

    Raises:
        UsageError: if there are too few filters, no draws, or no generator.

    Example:
        >>> gaussian_null(9, [[1.0]], 2, np.random.default_rng(0)).tolist()
        [0.0, 0.0]

    Reference:
        Bartlett's decomposition of a Wishart matrix (Muirhead 1982, Theorem 3.2.14).
    """
    spaces = as_spaces(spaces)
    dim = len(spaces.values)
    sampling_floor(num_filters, dim, centered)  # refuses too few filters
    scores = []
    for num in chunks(draws, dim * dim, rng):
        factor = np.tril(rng.standard_normal((num, dim, dim)), -1)
        freedom = num_filters - bool(centered) - np.arange(dim)
        factor[:, np.arange(dim), np.arange(dim)] = np.sqrt(rng.chisquare(freedom, (num, dim)))
        scores.append(misalignments(factor @ factor.transpose(0, 2, 1), spaces.groups))
    return np.concatenate(scores)


def random_basis_distribution(
    filter_cov: ArrayLike, seeds: Iterable[int], normalization: str = "m"
) -> np.ndarray:
    """Misalignments of the filters with many random bases, float64, one for each seed.

    Arguments and errors are those of `alignment.random_basis_misalignment`.

    Example:
        >>> random_basis_distribution([[1.0]], seeds=range(3)).tolist()
        [0.0, 0.0, 0.0]
    """
    return np.array([random_basis_misalignment(filter_cov, int(s), normalization) for s in seeds])


@dataclasses.dataclass(frozen=True)
class TrajectoryTest:
    """Scores at several steps, and draws of them under a null hypothesis.

    Args:
        observed: float64 array `(k,)`, a score for each step.
        draws: float64 array `(num_draws, k)`, each a whole trajectory.

    Example:
        >>> test = TrajectoryTest(np.array([5.0, 1.0]), np.array([[1.0, 2.0], [3.0, 0.0]]))
        >>> test.p_values.round(3).tolist(), round(test.overall_p_value, 3)
        ([0.333, 0.667], 0.667)
    """

    observed: np.ndarray
    draws: np.ndarray

    @property
    def p_values(self) -> np.ndarray:
        """At each step by itself, float64 `(k,)`, as `NullTest.p_value`."""
        pairs = zip(self.observed, self.draws.T, strict=True)
        return np.array([NullTest(score, draws).p_value for score, draws in pairs])

    @property
    def overall_p_value(self) -> float:
        """Of all steps together; the smallest of `p_values` is small by chance if they are many.

        It compares the largest excess over the mean of the draws, in their standard
        deviations, with that of each draw.

        Reference:
            Westfall and Young, Resampling-Based Multiple Testing (1993), 2.3.
        """
        scores = np.concatenate([self.observed[None], self.draws])
        mean, spread = scores.mean(axis=0), scores.std(axis=0)
        is_rounding = spread <= _NO_SPREAD * np.maximum(1.0, mean)
        excess = (scores - mean) / np.where(is_rounding, np.inf, spread)
        largest = excess.max(axis=1)
        return NullTest(float(largest[0]), largest[1:]).p_value

    def quantiles(self, probabilities: Sequence[float] = (0.025, 0.975)) -> np.ndarray:
        """Quantiles of the draws at each step, float64 `(len(probabilities), k)`."""
        return np.quantile(self.draws, probabilities, axis=0)


def run_flip_test(moments: np.ndarray, draws: int, rng: np.random.Generator) -> TrajectoryTest:
    """Tests whether the pooled filters of several runs are aligned with a basis at every step.

    In each draw all filters of a run are flipped alike along each direction of the
    basis, at all steps, and runs independently of each other. At one step these are
    the draws of `sign_flip_null` with `runs`, at a fraction of the cost, as all
    they need is the second moment of each run. Each direction is taken by itself: the
    flips belong to the symmetry of the data whether or not eigenvalues repeat.

    Args:
        moments: array `(runs, k, d, d)`, those of `run_moments` at k steps, turned into the
            basis; all runs have the same number of filters.
        draws: how many.
        rng: `np.random.Generator`; it advances.

    Raises:
        UsageError: if there are fewer than two runs, no draws, or no generator.

    Example:
        >>> run_flip_test(np.ones((2, 1, 1, 1)), 3, np.random.default_rng(0)).p_values.tolist()
        [1.0]
    """
    moments = np.asarray(moments, dtype=np.float64)
    if moments.ndim != 4 or len(moments) < 2:
        raise UsageError(
            "A null of whole runs needs moments (runs, steps, dim, dim) of at least two runs; "
            f"pool more with --seeds. Received: shape={moments.shape}"
        )
    runs, steps, dim, _ = moments.shape
    by_entry, scores = moments.transpose(2, 3, 0, 1), []
    for num in chunks(draws, runs * dim * dim, rng):
        flips = 1.0 - 2.0 * rng.integers(0, 2, (dim, num, runs))
        turned = (flips[:, None] * flips) @ by_entry  # (dim, dim, num, steps)
        turned = turned.transpose(2, 3, 0, 1).reshape(-1, dim, dim)
        scores.append(axis_misalignments(turned).reshape(num, steps))
    return TrajectoryTest(axis_misalignments(moments.sum(axis=0)), np.concatenate(scores))


def run_moments(rows: ArrayLike) -> np.ndarray:
    """Returns the uncentred second moments of the filters of each run.

    Args:
        rows: array `(..., n, d)`, one filter per row.

    Returns:
        A float64 array `(..., d, d)`.

    Example:
        >>> run_moments([[1.0, 0.0], [0.0, 2.0]]).tolist()
        [[0.5, 0.0], [0.0, 2.0]]
    """
    rows = np.asarray(rows, dtype=np.float64)
    return np.swapaxes(rows, -1, -2) @ rows / rows.shape[-2]


def axis_misalignments(moments: np.ndarray) -> np.ndarray:
    """Misalignments `"m"` of many second moments with the axes in which they are given.

    Args:
        moments: float64 array `(num, d, d)`, symmetric; each axis is an eigenspace by itself.

    Returns:
        A float64 array `(num,)`, infinite where a matrix has no inverse.

    Example:
        >>> axis_misalignments(np.array([[[5.0, 3.0], [3.0, 5.0]]])).tolist()
        [0.5]
    """
    return misalignments(moments, [slice(i, i + 1) for i in range(moments.shape[-1])])


def misalignments(rotated: np.ndarray, groups: Sequence[slice]) -> np.ndarray:
    """Misalignments `"m"` of many filter covariances given in the eigenbasis of the data.

    Args:
        rotated: float64 array `(num, d, d)`, symmetric, `V' B V` as of `in_eigenbasis`.
        groups: as in `Eigenspaces`.

    Returns:
        A float64 array `(num,)`, `alignment.misalignment` of each; infinite where a
        matrix has no inverse.

    Example:
        >>> misalignments(np.array([[[5.0, 3.0], [3.0, 5.0]]]), [slice(0, 1), slice(1, 2)])
        array([0.5])
    """
    variances = np.diagonal(rotated, axis1=1, axis2=2)
    scale = np.sqrt(np.where(variances > 0, variances, 1.0))
    values, vectors = np.linalg.eigh(rotated / (scale[:, :, None] * scale[:, None, :]))
    invertible = values[:, 0] > RANK_TOLERANCE
    values = np.where(invertible[:, None], values, 1.0)
    precisions = (vectors**2 / values[:, None, :]).sum(axis=2) / scale**2
    starts = [group.start for group in groups]
    products = np.add.reduceat(variances, starts, axis=1)
    products = products * np.add.reduceat(precisions, starts, axis=1)
    scores = np.sqrt(np.maximum(products, 0)).sum(axis=1) - rotated.shape[1]
    return np.where(invertible, np.maximum(scores, 0), np.inf)


def chunks(draws: int, entries: int, rng: np.random.Generator) -> Iterator[int]:
    """Yields numbers of draws that add up to `draws`, few enough for arrays of `entries` each.

    Raises:
        UsageError: if `draws` is no positive integer or `rng` no `np.random.Generator`.

    Example:
        >>> list(chunks(5, 2**19, np.random.default_rng(0)))
        [2, 2, 1]
    """
    if not isinstance(draws, (int, np.integer)) or draws < 1:
        raise UsageError(f"draws must be a positive integer. Received: draws={draws!r}")
    _check_generator(rng)
    step = max(1, _CHUNK_ENTRIES // entries)
    return (min(step, draws - start) for start in range(0, draws, step))


def _check_generator(rng):
    """Refuses what is no generator, such as a seed."""
    if not isinstance(rng, np.random.Generator):
        raise UsageError(
            "rng must be a np.random.Generator, such as np.random.default_rng(seed). "
            f"Received: {type(rng).__name__}"
        )
