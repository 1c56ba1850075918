"""What the misalignment of aligned filters looks like: its spread, its tails and its p-value.

`alignment.sampling_floor` is the mean score of aligned Gaussian filters. Training makes
tails heavier than a Gaussian's, and they alone raise the score. The sign-flip null keeps
the tails: it turns the coefficients of the filters themselves along the data eigenvectors.
"""

import dataclasses
import math

import numpy as np

from rl_keras.errors import UsageError
from rl_keras.science.alignment import (
    filter_covariance,
    misalignment,
    random_basis_misalignment,
    sampling_floor,
)
from rl_keras.science.eigenspaces import in_eigenbasis
from rl_keras.science.floors import as_spaces, chunks, gaussian_null, misalignments

_ROUNDING = 1e-9  # draws this close to the observed score are ties


@dataclasses.dataclass(frozen=True)
class NullTest:
    """An observed score beside its draws under a null hypothesis; large scores speak against it.

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

    def quantiles(self, probabilities=(0.025, 0.5, 0.975)) -> np.ndarray:
        """Quantiles of the draws, float64, one for each probability in `[0, 1]`."""
        return np.quantile(self.draws, probabilities)


def sign_flip_null(rows, spaces, draws, rng, centered: bool = False, runs=None) -> np.ndarray:
    """Draws misalignments `"m"` of the filters turned at random within the data's eigenspaces.

    Every filter's coefficient along every data eigenvector gets a random sign. In a
    repeated eigenspace the coefficients are turned together by a random orthogonal
    matrix. Each draw is distributed as the observed score if the filters are
    independent and their law has the symmetry of the data, whatever its tails.

    Proposition 1 gives that symmetry to a run as a whole; that the filters of a run
    are independent is more, and holds for wide layers only. With `runs` all filters
    of a run are turned alike, and only the runs need to be independent. Runs on the
    same images are so given these images, whose sample must then be symmetric too.

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
    of_run = None if runs is None else _numbered(runs, coefficients.shape[1])
    scores = []
    for num in chunks(draws, coefficients.size, rng):
        turned = np.concatenate(
            [_turn(coefficients[group], num, rng, of_run) for group in spaces.groups], axis=1
        )
        if centered:
            turned -= turned.mean(axis=2, keepdims=True)
        scores.append(misalignments(turned @ turned.transpose(0, 2, 1), spaces.groups))
    return np.concatenate(scores)


def sign_flip_test(rows, spaces, draws, rng, centered: bool = False, runs=None) -> NullTest:
    """Tests whether filters are aligned with the data: their misalignment beside its null.

    Arguments and errors are those of `sign_flip_null`, and so are the assumptions.

    Example:
        >>> sign_flip_test([[3.0], [4.0]], [[1.0]], 9, np.random.default_rng(0)).p_value
        1.0
    """
    spaces = as_spaces(spaces)
    observed = misalignment(spaces, filter_covariance(rows, centered))
    return NullTest(observed, sign_flip_null(rows, spaces, draws, rng, centered, runs))


def corrected_misalignment(
    rows, spaces, draws, rng, null: str = "sign_flip", centered: bool = False, runs=None
) -> float:
    """Misalignment less what aligned filters score on average; it may be negative.

    Under alignment its expectation is zero: with `"sign_flip"` whatever the tails,
    under the assumptions of `sign_flip_null`, and with `"gaussian"` for Gaussian
    filters only. For misaligned Gaussian filters a positive bias remains, at most about
    `d / (2 (n - d))` of the score.

    Args:
        rows: as in `sign_flip_null`, and so are `spaces`, `rng`, `centered` and `runs`.
        draws: how many draws the mean is taken of.
        null: `"sign_flip"` or `"gaussian"`. The latter takes the exact `sampling_floor`
            and no draws if all eigenvalues are distinct, else the mean of `gaussian_null`.

    Raises:
        UsageError: if the null is unknown, and as `sign_flip_null`.

    Example:
        >>> corrected_misalignment([[3.0], [4.0]], [[1.0]], 2, np.random.default_rng(0))
        0.0
    """
    if null not in ("sign_flip", "gaussian"):
        raise UsageError(f'null must be "sign_flip" or "gaussian". Received: null={null!r}')
    spaces = as_spaces(spaces)
    if null == "sign_flip":
        return sign_flip_test(rows, spaces, draws, rng, centered, runs).excess
    observed = misalignment(spaces, filter_covariance(rows, centered))
    if len(spaces.groups) == len(spaces.values):
        return observed - sampling_floor(len(rows), len(spaces.values), centered)
    return NullTest(observed, gaussian_null(len(rows), spaces, draws, rng, centered)).excess


def random_basis_distribution(filter_cov, seeds, normalization: str = "m") -> np.ndarray:
    """Misalignments of the filters with many random bases, float64, one for each seed.

    Arguments and errors are those of `alignment.random_basis_misalignment`.

    Example:
        >>> random_basis_distribution([[1.0]], seeds=range(3)).tolist()
        [0.0, 0.0, 0.0]
    """
    return np.array([random_basis_misalignment(filter_cov, int(s), normalization) for s in seeds])


def _turn(coefficients, num, rng, of_run):
    """Turns the coefficients `(k, n)` in one eigenspace `num` times: `(num, k, n)`."""
    dim, num_filters = coefficients.shape
    if of_run is not None:
        num_runs = of_run.max() + 1
        basis, upper = np.linalg.qr(rng.standard_normal((num_runs, num, dim, dim)))
        basis *= np.sign(np.diagonal(upper, axis1=2, axis2=3))[:, :, None]  # `random_basis`
        turned = np.empty((num, dim, num_filters))
        for run in range(num_runs):
            turned[..., of_run == run] = basis[run] @ coefficients[:, of_run == run]
        return turned
    if dim == 1:
        flips = rng.integers(0, 2, (num, 1, num_filters), dtype=np.int8)
        return coefficients * (1.0 - 2.0 * flips)
    # A vector turned at random is its length in a uniform direction.
    directions = rng.standard_normal((num, dim, num_filters))
    lengths = np.linalg.norm(coefficients, axis=0)
    return directions * (lengths / np.linalg.norm(directions, axis=1, keepdims=True))


def _numbered(runs, num_filters):
    """The runs as integers from zero, one per filter."""
    names, numbers = np.unique(np.asarray(runs), return_inverse=True)
    if np.shape(runs) != (num_filters,) or len(names) < 2:
        raise UsageError(
            f"runs must name the run of each of the {num_filters} filters, and at least two runs; "
            f"pool more with --seeds. Received: shape={np.shape(runs)}, {len(names)} runs"
        )
    return numbers
