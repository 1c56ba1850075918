"""New filters with a learnt covariance: the paper's start that keeps no trained filter.

The filters of the first layer are drawn from a Gaussian with the covariance of trained ones.
The entries of a deeper layer's filters belong to the channels of the layer before. If that
layer is drawn anew, its channels mean something else, and only the transfer function of the
filters can be kept. It is stored as a `LayerProfile`: how strong the filters are along the
principal axes of their input.
"""

import dataclasses
from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike

from rl_keras.errors import UsageError
from rl_keras.science.alignment import filter_covariance
from rl_keras.science.eigenspaces import Eigenspaces, as_spaces, covariance_of, symmetric
from rl_keras.science.transfer import transfer_function


@dataclasses.dataclass(frozen=True)
class FilterGaussian:
    """The Gaussian N(0, Sigma_w) of first-layer filters.

    The mean is zero by Proposition 1, so `covariance` is the second moment.

    Args:
        covariance: float64 array `(d, d)`, symmetric, positive semi-definite.
        num_filters: number of filters it was estimated from.

    Example:
        >>> gaussian = FilterGaussian.fit([[2.0], [-2.0]])
        >>> gaussian.covariance.tolist(), gaussian.num_filters
        ([[4.0]], 2)

    Reference:
        Maennel et al., NeurIPS 2020, arXiv 2006.10455, Sections 2.4 and 2.5.
    """

    covariance: np.ndarray
    num_filters: int

    @classmethod
    def fit(cls, rows: ArrayLike) -> "FilterGaussian":
        """Estimates the Gaussian from filters `(n, d)`, one per row, of any real dtype.

        Stack the filters of all runs if one run has too few.

        Raises:
            UsageError: if there are not more filters than dimensions.
        """
        return cls(filter_covariance(rows), np.shape(rows)[0])

    @classmethod
    def pool(cls, gaussians: Iterable["FilterGaussian"]) -> "FilterGaussian":
        """Joins the Gaussians of several runs, as if all their filters were fitted at once.

        Raises:
            UsageError: if there are none, or their dimensions differ.
        """
        gaussians = list(gaussians)
        dims = sorted({len(gaussian.covariance) for gaussian in gaussians})
        if len(dims) != 1:
            raise UsageError(
                "Gaussians to pool must come from the same layer and have one dimension. "
                f"Received: {len(gaussians)} with dimensions {dims}"
            )
        num_filters = sum(gaussian.num_filters for gaussian in gaussians)
        sums = (gaussian.num_filters * gaussian.covariance for gaussian in gaussians)
        return cls(sum(sums, np.zeros(())) / num_filters, num_filters)

    def sample(self, num_filters: int, generator: np.random.Generator) -> np.ndarray:
        """Draws filters from the Gaussian; the covariance may be singular.

        Args:
            num_filters: how many.
            generator: source of randomness; it advances.

        Returns:
            A float64 array `(num_filters, d)`, one filter per row.

        Raises:
            UsageError: if the generator is no `np.random.Generator`, or the covariance
                is not symmetric and finite.

        Example:
            >>> FilterGaussian(np.zeros((1, 1)), 2).sample(3, np.random.default_rng(0)).tolist()
            [[0.0], [0.0], [0.0]]
        """
        if not isinstance(generator, np.random.Generator):
            raise UsageError(
                "generator must be a np.random.Generator, such as np.random.default_rng(seed). "
                f"Received: {type(generator).__name__}"
            )
        values, vectors = np.linalg.eigh(symmetric(self.covariance, "covariance"))
        # The symmetric root is unique, so a sample does not depend on the sign or the
        # choice of eigenvectors. Eigenvalues that are zero may come out negative.
        root = covariance_of(np.sqrt(np.maximum(values, 0)), vectors)
        return generator.standard_normal((num_filters, len(root))) @ root


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
    def fit(cls, data_cov: ArrayLike | Eigenspaces, rows: ArrayLike) -> "LayerProfile":
        """Measures the profile of filters `(n, d)`, one per row, of any real dtype.

        Args:
            data_cov: array `(d, d)`, covariance of the patches the layer sees, or its
                `Eigenspaces`; within a repeated one the profile is constant.
            rows: the filters, uncentred as in `FilterGaussian`.

        Raises:
            UsageError: as `transfer_function` and `filter_covariance`.
        """
        curve = transfer_function(data_cov, filter_covariance(rows, require_full_rank=False))
        return cls(curve.eigenvalues, curve.values, np.shape(rows)[0])


def covariance_from_profile(profile: LayerProfile, data_cov: ArrayLike | Eigenspaces) -> np.ndarray:
    """Covariance with a layer's profile along the principal axes of other data.

    It is `sum_i t_i^2 v_i v_i'` over the eigenvectors v_i of the new data covariance,
    and aligned with it: variances are averaged over a repeated eigenspace, whose
    eigenvectors are arbitrary.

    Args:
        profile: of the upstream layer.
        data_cov: array `(d, d)`, symmetric, covariance of the patches the new layer
            sees, or its `Eigenspaces`.

    Returns:
        A float64 array `(d, d)`, symmetric, positive semi-definite.

    Raises:
        UsageError: if the dimensions differ.

    Example:
        >>> profile = LayerProfile(np.array([9.0, 4.0]), np.array([1.0, 5.0]), num_filters=8)
        >>> covariance_from_profile(profile, [[2, 0], [0, 3]]).tolist()
        [[25.0, 0.0], [0.0, 1.0]]

    Reference:
        Maennel et al., NeurIPS 2020, arXiv 2006.10455, Section 2.5 and Figure 6; how the
        covariances of deeper layers are formed is our reading of its layer-wise procedure.
    """
    spaces = as_spaces(data_cov)
    if len(spaces.values) != len(profile.values):
        raise UsageError(
            "A profile fits layers of its own dimension only, because it has one value for each "
            "axis of the input; keep the kernel size and the width of the layer before. "
            f"Received: a profile of {len(profile.values)} and data of {len(spaces.values)}"
        )
    variances = profile.values**2
    for group in spaces.groups:
        variances[group] = variances[group].mean()
    cov = covariance_of(variances, spaces.vectors)
    return (cov + cov.T) / 2


def gaussian_from_profile(
    profile: LayerProfile, data_cov: ArrayLike | Eigenspaces
) -> FilterGaussian:
    """The Gaussian to draw a new layer's filters from; see `covariance_from_profile`.

    Example:
        >>> profile = LayerProfile(np.array([4.0]), np.array([0.0]), num_filters=8)
        >>> gaussian_from_profile(profile, [[1.0]]).sample(2, np.random.default_rng(0)).tolist()
        [[0.0], [0.0]]
    """
    covariance = covariance_from_profile(profile, data_cov)
    return FilterGaussian(covariance, profile.num_filters)
