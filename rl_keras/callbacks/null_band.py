"""Where the misalignment of a layer would lie if its filters were aligned with the data."""

import numpy as np

from rl_keras.science.eigenspaces import Eigenspaces
from rl_keras.science.floors import gaussian_null
from rl_keras.science.nulls import sign_flip_test
from rl_keras.seeds import derive_seed

NULL_DRAWS = 100
MOST_DIMENSIONS = 100  # up to which the default number of draws is taken
_FLOOR_DRAWS = 200
FIELDS = ("null_low", "null_mean", "null_high", "p_value")


def draws_for(null_draws: int, dim: int) -> int:
    """Returns how many draws are taken in `dim` dimensions; 0 for none.

    A draw inverts a `dim x dim` matrix. A hundred of them take 0.07 seconds of one core for
    256 filters in 27 dimensions, 0.4 in 75, 2 in 147 and 7 in 200. So the default number
    is not drawn beyond 100 dimensions; any other number is, since it was asked for.

    Example:
        >>> draws_for(100, 27), draws_for(100, 512), draws_for(20, 512)
        (100, 0, 20)
    """
    return 0 if null_draws == NULL_DRAWS and dim > MOST_DIMENSIONS else null_draws


def null_band(
    rows: np.ndarray, spaces: Eigenspaces, draws: int, seed: int, step: int, centered: bool = False
) -> dict[str, float]:
    """Returns the bounds of 95% of the sign-flip null, its mean, and the p-value of the score.

    The draws depend on the seed and the step alone, so a run that was resumed, or that
    measures at other steps, has the same band at the same step.

    Args:
        rows: array `(n, d)`, one filter per row, more filters than dimensions.
        spaces: of the data covariance.
        draws: how many; with 0 every field is NaN.
        seed: of the draws of a run.
        step: optimiser step.
        centered: as in `alignment.filter_covariance`.

    Returns:
        `null_low`, `null_mean`, `null_high` in nats, and `p_value`.

    Example:
        >>> null_band([[3.0], [4.0]], as_spaces([[1.0]]), draws=9, seed=0, step=0)
        {'null_low': 0.0, 'null_mean': 0.0, 'null_high': 0.0, 'p_value': 1.0}

    Reference:
        See `science.nulls.sign_flip_null`: the band assumes that the filters of a run are
        independent, which holds for fresh ones and nearly so in wide layers.
    """
    if not draws:
        return dict.fromkeys(FIELDS, np.nan)
    rng = np.random.default_rng(derive_seed(seed, "sign_flips", step))
    test = sign_flip_test(rows, spaces, draws, rng, centered)
    # No interpolation: a draw without an inverse is infinite, and two of them have no midpoint.
    low, high = np.quantile(test.draws, (0.025, 0.975), method="inverted_cdf")
    values = (low, test.draws.mean(), high, test.p_value)
    return dict(zip(FIELDS, map(float, values), strict=True))


def grouped_floor(num_filters: int, spaces: Eigenspaces, centered: bool = False) -> float:
    """Returns the mean misalignment of aligned Gaussian filters where eigenvalues repeat.

    `alignment.sampling_floor` is exact for distinct ones and has no closed form here, so it
    is the mean of 200 draws, the same for all runs.

    Args:
        num_filters: more than dimensions.
        spaces: of the data covariance.
        centered: as in `null_band`.

    Example:
        >>> grouped_floor(9, as_spaces([[1.0]]))
        0.0
    """
    rng = np.random.default_rng(derive_seed(0, "grouped_floor"))
    return float(gaussian_null(num_filters, spaces, _FLOOR_DRAWS, rng, centered).mean())
