"""Energy profiles: how strong the filters are along each axis of the data, and why.

A profile stands on the axes of the transfer function and is a `TransferCurve` itself. The
curve of a linear network is fitted to it, and so are three simpler curves. Many curves that
rise and fall agree well over 27 ordered axes, so a good fit alone says little: it must be
better than that of the simpler curves, and better than chance. There are two tests.
`rotation_test` asks whether the filters know the axes of the data at all; any smooth
profile passes it, since profiles on random axes are noise. `hump_test` takes for granted that
the profile is one hump and asks whether it stands where the linear network has it: on axes
spread like those of photographs, random humps of the same heights correlate with the curve of
the linear network by 0.95 in the median.
"""

import dataclasses
import math

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize

from rl_keras.errors import UsageError
from rl_keras.science.alignment import filter_covariance
from rl_keras.science.eigenspaces import Eigenspaces, as_spaces
from rl_keras.science.nulls import NullTest, chunks
from rl_keras.science.transfer import TransferCurve, transfer_function

_PER_DECADE = 16  # points of the grid over the scale


def energy_profile(
    rows: ArrayLike, spaces: ArrayLike | Eigenspaces, initial_rows: ArrayLike | None = None
) -> TransferCurve:
    """Root mean square of the filters along each principal axis of the patches.

    `e_i^2 = mean_k (w_k . u_i)^2`: the transfer function of uncentred filters. The
    paper takes the axes u_i of uncentred patches.

    Args:
        rows: array `(n, d)`, one filter per row, of any real dtype.
        spaces: `Eigenspaces` of the patch covariance, or array `(d, d)`, the covariance.
        initial_rows: array `(n, d)`, the filters before training, to subtract: initial
            filters are isotropic and add a constant to e^2 that hides a small change.

    Returns:
        A `TransferCurve` with e_i as values and the paper's lambda_i as sigma.

    Raises:
        UsageError: if the filters are no finite matrix or the sizes differ.

    Example:
        >>> energy_profile([[3.0, 0.0], [0.0, 1.0]], [[1, 0], [0, 4]], [[3, 0], [0, 3]]).values
        array([1.41421356, 0.        ])

    Reference:
        Chowers and Weiss, ICML 2023, arXiv 2206.02454, Definition 2.2.
    """
    rows = np.asarray(rows, dtype=np.float64)
    if initial_rows is not None:
        initial_rows = np.asarray(initial_rows, dtype=np.float64)
        if initial_rows.shape != rows.shape:
            raise UsageError(
                "rows and initial_rows must be the same filters, before and after training. "
                f"Received: shapes {rows.shape} and {initial_rows.shape}"
            )
        rows = rows - initial_rows
    return transfer_function(spaces, filter_covariance(rows, require_full_rank=False))


def linear_profile(sigma: ArrayLike, scale: float) -> np.ndarray:
    """The profile of a linear network on random labels, up to a factor: `g_s(l)`.

    Gradient descent at the rate eta multiplies the error along an axis of variance l^2
    by `1 - eta l^2` a step, so that after t steps the filters are there in proportion
    to `|1 - (1 - eta l^2)^t| / l`. For `eta l^2 << 1` only s = eta t matters:

        g_s(l) = (1 - exp(-s l^2)) / l

    It tends to `s l` for small s and to `1 / l`, whitening, for large s; between them
    it peaks at `s l^2 = 1.256`, where `exp(x) = 1 + 2 x`. Momentum m makes
    `s = eta t / (1 - m)`.

    Args:
        sigma: array `(d,)`, positive: standard deviations of the data along its axes.
        scale: s, zero or more, in the unit of `1 / sigma^2`; infinity gives `1 / l`.

    Returns:
        A float64 array `(d,)`.

    Raises:
        UsageError: if a sigma is not positive and finite, or the scale is negative.

    Example:
        >>> linear_profile([2.0, 1.0, 0.5], scale=np.inf).tolist()
        [0.5, 1.0, 2.0]

    Reference:
        Chowers and Weiss, ICML 2023, arXiv 2206.02454, Theorems 4.2 and 4.3.
    """
    sigma = _checked_sigma(sigma)
    if not scale >= 0:  # also NaN
        raise UsageError(f"scale must be zero or more. Received: scale={scale}")
    return -np.expm1(-scale * sigma**2) / sigma


@dataclasses.dataclass(frozen=True)
class ProfileFit:
    """A curve that was scaled to fit an observed profile.

    Args:
        values: float64 array `(d,)`, the curve in the unit of the profile.
        cosine: of the angle between both; `1 - cosine^2` is the share of the squared
            profile that the curve leaves unexplained.
        correlation: Pearson's, which forgives any constant; NaN for a constant.
        scale: s of `linear_profile`; 0 and infinity for its limits, NaN for a constant.
        at_edge: whether no finite scale is best, so that the fit is one of the limits.
    """

    values: np.ndarray
    cosine: float
    correlation: float
    scale: float = math.nan
    at_edge: bool = False


def fit_linear_profile(curve: TransferCurve) -> ProfileFit:
    """Fits scale and amplitude of `linear_profile` to a profile by least squares.

    The scale is searched on a fixed logarithmic grid, then refined. Proportional and
    inverse profiles are its limits, so it beats them whatever the profile is.

    Args:
        curve: `TransferCurve`, a profile e or a transfer function f.

    Raises:
        UsageError: if there are fewer than three axes, the data do not vary along one,
            or the profile is negative, not finite or zero.

    Example:
        >>> sigma = np.array([4.0, 2.0, 1.0, 0.5])
        >>> fit = fit_linear_profile(TransferCurve(sigma**2, sigma, linear_profile(sigma, 3.0)))
        >>> round(fit.scale, 6), round(fit.cosine, 9)
        (3.0, 1.0)

    Reference:
        Chowers and Weiss, ICML 2023, arXiv 2206.02454, Section 5, who keep the step t of
        the highest correlation.
    """
    sigma, values = _checked_curve(curve)
    scales, shapes = _grid(sigma)
    best = int((shapes @ values).argmax())
    if best in (0, len(scales) - 1):
        return _fit(shapes[best], values, scales[best], at_edge=True)

    def loss(log_scale):
        shape = linear_profile(sigma, math.exp(log_scale))
        return -(shape @ values) / np.linalg.norm(shape)

    middle, step = math.log(scales[best]), math.log(10) / _PER_DECADE
    bounds = (middle - step, middle + step)
    options = {"xatol": 1e-9}
    minimum = optimize.minimize_scalar(loss, bounds=bounds, method="bounded", options=options)
    scale = math.exp(minimum.x)
    return _fit(linear_profile(sigma, scale), values, scale)


def compare_profiles(curve: TransferCurve) -> dict[str, ProfileFit]:
    """Fits the linear network and three simpler curves to a profile.

    Args:
        curve: as in `fit_linear_profile`, and so are the errors.

    Returns:
        A `ProfileFit` each for `"linear_network"`, and for the one-parameter
        `"proportional"` (to sigma), `"constant"` and `"inverse"` (to sigma).

    Example:
        >>> fits = compare_profiles(TransferCurve(np.ones(3), np.array([3, 2, 1]), np.ones(3)))
        >>> round(fits["constant"].cosine, 9), round(fits["proportional"].cosine, 3)
        (1.0, 0.926)

    Reference:
        The linear network: Chowers and Weiss, ICML 2023, arXiv 2206.02454. Constant is
        an untrained layer, inverse a whitening one.
    """
    sigma, values = _checked_curve(curve)
    return {
        "linear_network": fit_linear_profile(curve),
        "proportional": _fit(sigma, values, 0.0),
        "constant": _fit(np.ones_like(sigma), values, math.nan),
        "inverse": _fit(1 / sigma, values, math.inf),
    }


def _grid(sigma):
    """Scales from one limit to the other, both included, and curves of unit norm, `(num, d)`."""
    low = math.log10(1e-3 / sigma.max() ** 2)
    high = math.log10(10 / sigma.min() ** 2)  # 1 / sigma up to 5e-5
    scales = 10.0 ** np.arange(low, high, 1 / _PER_DECADE)
    shapes = np.array([sigma, *(linear_profile(sigma, s) for s in scales), 1 / sigma])
    scales = np.array([0.0, *scales, math.inf])
    return scales, shapes / np.linalg.norm(shapes, axis=1, keepdims=True)


def _fit(shape, values, scale, at_edge=False):
    fitted = shape * (shape @ values) / (shape @ shape)
    cosine = float(shape @ values / np.linalg.norm(shape) / np.linalg.norm(values))
    correlation = math.nan
    if all(np.ptp(curve) > 1e-12 * np.abs(curve).max() for curve in (shape, values)):
        correlation = float(np.corrcoef(shape, values)[0, 1])
    return ProfileFit(fitted, cosine, correlation, float(scale), at_edge)


def grid_correlations(profiles: np.ndarray, sigma: ArrayLike) -> np.ndarray:
    """Correlation of many profiles with the linear network, each at its best grid scale.

    `fit_linear_profile` without refinement: the statistic of `hump_test` and `rotation_test`.

    Args:
        profiles: float64 array `(num, d)`.
        sigma: as in `linear_profile`, and so are the errors.

    Returns:
        A float64 array `(num,)`, Pearson's correlations; 0 for a constant profile.

    Example:
        >>> grid_correlations(np.array([[1.0, 2.0, 4.0]]), [4.0, 2.0, 1.0]).round(6).tolist()
        [1.0]
    """
    _, shapes = _grid(_checked_sigma(sigma))
    best = shapes[(profiles @ shapes.T).argmax(axis=1)]
    best = best - best.mean(axis=1, keepdims=True)
    centered = profiles - profiles.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(best, axis=1) * np.linalg.norm(centered, axis=1)
    varies = np.ptp(profiles, axis=1) > 1e-12 * np.abs(profiles).max(axis=1)
    products = (best * centered).sum(axis=1)
    return np.divide(products, norms, out=np.zeros(len(profiles)), where=varies)


def hump_test(curve: TransferCurve, draws: int, rng: np.random.Generator) -> NullTest:
    """Tests the fit of the linear network against other humps of the same heights.

    A draw keeps the values and deals them out anew: the largest to a uniformly drawn
    axis, a uniformly drawn share of the others to each side of it, rising towards it.
    The scale is fitted to every draw again. A profile that is itself such a draw gets
    uniform p-values; one with several peaks is no such hump and larger ones.

    Args:
        curve: as in `fit_linear_profile`, of distinct eigenvalues.
        draws: how many.
        rng: `np.random.Generator`; it advances.

    Returns:
        A `NullTest` of the correlation `grid_correlations`.

    Raises:
        UsageError: as `fit_linear_profile`, and if there are no draws or no
            generator.

    Example:
        >>> flat = TransferCurve(np.ones(3), np.array([3.0, 2.0, 1.0]), np.ones(3))
        >>> hump_test(flat, 9, np.random.default_rng(0)).p_value
        1.0

    Reference:
        The profile: Chowers and Weiss, ICML 2023, arXiv 2206.02454, Section 5. The null
        is ours.
    """
    sigma, values = _checked_curve(curve)
    observed = grid_correlations(values[None], sigma)[0]
    scores = [
        grid_correlations(humps(values, num, rng), sigma) for num in chunks(draws, len(values), rng)
    ]
    return NullTest(float(observed), np.concatenate(scores))


def humps(values: np.ndarray, num: int, rng: np.random.Generator) -> np.ndarray:
    """Deals values out to random humps, float64 `(num, d)`, see `hump_test`.

    Example:
        >>> humps([2.0, 2.0], 1, np.random.default_rng(0)).tolist()
        [[2.0, 2.0]]
    """
    values = np.sort(np.asarray(values, dtype=np.float64))
    dim = len(values)
    peaks = rng.integers(0, dim, num)
    positions = rng.permuted(np.tile(np.arange(dim - 1), (num, 1)), axis=1)
    is_left = positions < peaks[:, None]
    # Sorted by this key, the left ones ascend, the largest follows, the right ones descend.
    ranks = np.arange(1, dim)
    keys = np.where(is_left, ranks - dim, dim - ranks)
    keys = np.concatenate([keys, np.zeros((num, 1), keys.dtype)], axis=1)
    return values[np.argsort(keys, axis=1)]


def rotation_test(
    rows: ArrayLike,
    spaces: ArrayLike | Eigenspaces,
    draws: int,
    rng: np.random.Generator,
    initial_rows: ArrayLike | None = None,
) -> NullTest:
    """Tests the fit of the linear network against profiles of the filters on random axes.

    A draw takes a uniformly random orthonormal basis for the axes of the data and
    keeps its standard deviations. Filters whose directions have nothing to do with the
    data get uniform p-values.

    Args:
        rows: as in `energy_profile`, and so are `spaces` and `initial_rows`.
        draws: how many.
        rng: `np.random.Generator`; it advances.

    Returns:
        A `NullTest` of the correlation `grid_correlations`.

    Raises:
        UsageError: as `energy_profile` and `fit_linear_profile`, and if
            there are no draws or no generator.

    Example:
        >>> rotation_test(np.eye(3), np.diag([3, 2, 1]), 9, np.random.default_rng(0)).p_value
        1.0

    Reference:
        Maennel et al., NeurIPS 2020, arXiv 2006.10455, Figure 2, for the random basis.
    """
    spaces = as_spaces(spaces)
    sigma, values = _checked_curve(energy_profile(rows, spaces, initial_rows))
    rows = np.asarray(rows, dtype=np.float64) - (
        0 if initial_rows is None else np.asarray(initial_rows)
    )
    cov, dim = filter_covariance(rows, require_full_rank=False), len(sigma)
    starts = [group.start for group in spaces.groups]
    sizes = np.diff([*starts, dim])
    scores = []
    for num in chunks(draws, dim * dim, rng):
        # Signs of the axes do not matter to a square, so plain QR is uniform enough.
        axes = np.linalg.qr(rng.standard_normal((num, dim, dim)))[0]
        squares = (axes * (cov @ axes)).sum(axis=1)
        squares = np.repeat(np.add.reduceat(squares, starts, axis=1) / sizes, sizes, axis=1)
        scores.append(grid_correlations(np.sqrt(np.maximum(squares, 0)), sigma))
    return NullTest(float(grid_correlations(values[None], sigma)[0]), np.concatenate(scores))


def _checked_curve(curve: TransferCurve) -> tuple[np.ndarray, np.ndarray]:
    """Returns sigma and values of a profile, or refuses what no curve can be fitted to.

    Example:
        >>> _checked_curve(TransferCurve([1, 1, 1], [1, 1, 1], [0, 0, 2]))[1].tolist()
        [0.0, 0.0, 2.0]
    """
    sigma, values = _checked_sigma(curve.sigma), np.asarray(curve.values, dtype=np.float64)
    if values.shape != sigma.shape or len(sigma) < 3:
        raise UsageError(
            "A profile needs one value for each of at least three axes. "
            f"Received: sigma {sigma.shape}, values {values.shape}"
        )
    if not np.isfinite(values).all() or values.min() < 0 or not values.any():
        raise UsageError(
            "A profile must be finite and not negative, and filters that never changed have none. "
            f"Received: from {values.min()} to {values.max()}"
        )
    return sigma, values


def _checked_sigma(sigma) -> np.ndarray:
    """Returns standard deviations `(d,)` as float64, or refuses what is not positive and finite.

    Example:
        >>> _checked_sigma([2, 1]).tolist()
        [2.0, 1.0]
    """
    sigma = np.asarray(sigma, dtype=np.float64)
    if sigma.ndim != 1 or not sigma.size or not (np.isfinite(sigma) & (sigma > 0)).all():
        raise UsageError(
            "sigma must be positive and finite, (d,); leave out axes along which the data do not "
            f"vary. Received: shape={sigma.shape}, least {sigma.min() if sigma.size else None}"
        )
    return sigma
