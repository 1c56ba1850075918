"""Covariances of deeper layers, carried from one network to another through their profile.

Filters of a deeper layer live in the channels of the layer before. If that layer is
drawn anew its channels mean something else, and only the transfer function of the
filters can be kept: how strong they are along the principal axes of their input.
"""

import dataclasses

import numpy as np

from rl_keras.errors import UsageError
from rl_keras.science.alignment import filter_covariance
from rl_keras.science.eigenspaces import symmetric
from rl_keras.science.floors import as_spaces
from rl_keras.science.gaussian import FilterGaussian
from rl_keras.science.transfer import transfer_function

_LEAST = 1e-12  # eigenvalues below this share of the largest count as this share


@dataclasses.dataclass(frozen=True)
class LayerProfile:
    """Strength of a layer's filters along the principal axes of its input.

    Args:
        eigenvalues: float64 array `(d,)`, of the input covariance, descending.
        values: float64 array `(d,)`, t_i = sqrt(v_i' Sigma_w v_i), standard deviations.
        num_filters: number of filters it was measured on; fewer than d will do.

    Example:
        >>> profile = LayerProfile.fit([[9, 0], [0, 4]], [[1.0, 5.0], [1.0, -5.0]])
        >>> profile.eigenvalues.tolist(), profile.values.tolist()
        ([9.0, 4.0], [1.0, 5.0])

    Reference:
        Maennel et al., NeurIPS 2020, arXiv 2006.10455, equation 3 and Figure 6.
    """

    eigenvalues: np.ndarray
    values: np.ndarray
    num_filters: int

    @classmethod
    def fit(cls, data_cov, rows) -> "LayerProfile":
        """Measures the profile of filters `(n, d)`, one per row, of any real dtype.

        Args:
            data_cov: array `(d, d)`, covariance of the patches the layer sees, or its
                `Eigenspaces`; within a repeated one the profile is constant.
            rows: the filters, uncentred as in `FilterGaussian`.

        Raises:
            UsageError: as `transfer_function` and `filter_covariance`.
        """
        curve = transfer_function(data_cov, filter_covariance(rows, require_full_rank=False))
        return cls(curve.eigenvalues, curve.values, len(rows))

    @classmethod
    def pool(cls, profiles) -> "LayerProfile":
        """Joins the profiles of several runs, rank by rank.

        Variances `t_i^2` are averaged over all filters, eigenvalues over runs.

        Raises:
            UsageError: if there are none, or their dimensions differ.
        """
        profiles = list(profiles)
        dims = sorted({len(profile.values) for profile in profiles})
        if len(dims) != 1:
            raise UsageError(
                "Profiles to pool must come from the same layer and have one dimension. "
                f"Received: {len(profiles)} with dimensions {dims}"
            )
        counts = [profile.num_filters for profile in profiles]
        variances = np.average([p.values**2 for p in profiles], axis=0, weights=counts)
        eigenvalues = np.mean([profile.eigenvalues for profile in profiles], axis=0)
        return cls(eigenvalues, np.sqrt(variances), sum(counts))


def covariance_from_profile(profile: LayerProfile, data_cov, match: str = "rank") -> np.ndarray:
    """Covariance with a layer's profile along the principal axes of other data.

    It is `sum_i t_i^2 v_i v_i'` over the eigenvectors v_i of the new data covariance,
    and aligned with it: variances are averaged over a repeated eigenspace, whose
    eigenvectors are arbitrary.

    Args:
        profile: of the upstream layer.
        data_cov: array `(d, d)`, symmetric, covariance of the patches the new layer
            sees, or its `Eigenspaces`.
        match: `"rank"` gives the i-th axis the i-th value; `"interpolate"` evaluates t at
            the new eigenvalue, linearly in its logarithm and constant beyond the ends.

    Returns:
        A float64 array `(d, d)`, symmetric, positive semi-definite.

    Raises:
        UsageError: if the dimensions differ, or `match` is unknown.

    Example:
        >>> profile = LayerProfile(np.array([9.0, 4.0]), np.array([1.0, 5.0]), num_filters=8)
        >>> covariance_from_profile(profile, [[2, 0], [0, 3]]).tolist()
        [[25.0, 0.0], [0.0, 1.0]]

    Reference:
        Maennel et al., NeurIPS 2020, arXiv 2006.10455, Section 2.5 and Figure 6; how the
        covariances of deeper layers are formed is our reading of its layer-wise procedure.
    """
    if match not in ("rank", "interpolate"):
        raise UsageError(f'match must be "rank" or "interpolate". Received: match={match!r}')
    spaces = as_spaces(data_cov)
    if len(spaces.values) != len(profile.values):
        raise UsageError(
            "A profile fits layers of its own dimension only, because it has one value for each "
            "axis of the input; keep the kernel size and the width of the layer before. "
            f"Received: a profile of {len(profile.values)} and data of {len(spaces.values)}"
        )
    variances = profile.values**2
    if match == "interpolate":
        least = _LEAST * max(spaces.values[0], profile.eigenvalues[0], np.finfo(np.float64).tiny)
        known = np.log(np.maximum(profile.eigenvalues, least))[::-1]
        wanted = np.log(np.maximum(spaces.values, least))
        variances = np.interp(wanted, known, profile.values[::-1]) ** 2
    variances = variances.copy()
    for group in spaces.groups:
        variances[group] = variances[group].mean()
    cov = (spaces.vectors * variances) @ spaces.vectors.T
    return (cov + cov.T) / 2


def gaussian_from_profile(profile: LayerProfile, data_cov, match: str = "rank") -> FilterGaussian:
    """The Gaussian to draw a new layer's filters from; see `covariance_from_profile`.

    Example:
        >>> profile = LayerProfile(np.array([4.0]), np.array([0.0]), num_filters=8)
        >>> gaussian_from_profile(profile, [[1.0]]).sample(2, np.random.default_rng(0)).tolist()
        [[0.0], [0.0]]
    """
    covariance = covariance_from_profile(profile, data_cov, match)
    return FilterGaussian(covariance, profile.num_filters)


def profile_residual(data_cov, filter_cov) -> float:
    """Share of a filter covariance that its profile on the same data does not give back.

    With B the filter covariance and S that of its profile, `|B - S| / |B|` in the
    Frobenius norm: zero if and only if B is aligned with the data, which makes the
    profile exact, and below 1. Unlike the misalignment it needs no inverse, and large
    variances dominate it.

    Args:
        data_cov: array `(d, d)`, symmetric, or its `Eigenspaces`.
        filter_cov: array `(d, d)`, symmetric, positive semi-definite; it may be singular.

    Raises:
        UsageError: if a matrix is not symmetric and finite, or the sizes differ.

    Example:
        >>> round(profile_residual([[2, 0], [0, 1]], [[4, 0], [0, 8]]), 9)
        0.0
        >>> round(profile_residual([[2, 0], [0, 1]], [[4, 3], [3, 4]]), 9)  # 3 / 5
        0.6
    """
    filter_cov = symmetric(filter_cov, "filter_cov")
    curve = transfer_function(data_cov, filter_cov)
    profile = LayerProfile(curve.eigenvalues, curve.values, num_filters=1)
    rest = filter_cov - covariance_from_profile(profile, data_cov)
    norm = np.linalg.norm(filter_cov)
    return float(np.linalg.norm(rest) / norm) if norm else 0.0
