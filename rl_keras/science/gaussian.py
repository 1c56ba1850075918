"""Gaussian filters with a learnt covariance: the paper's initialisation without the filters."""

import dataclasses

import numpy as np

from rl_keras.errors import UsageError
from rl_keras.science.alignment import filter_covariance
from rl_keras.science.eigenspaces import symmetric


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
    def fit(cls, rows) -> "FilterGaussian":
        """Estimates the Gaussian from filters `(n, d)`, one per row, of any real dtype.

        Stack the filters of all runs if one run has too few.

        Raises:
            UsageError: if there are not more filters than dimensions.
        """
        return cls(filter_covariance(rows), len(rows))

    @classmethod
    def pool(cls, gaussians) -> "FilterGaussian":
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
        total = sum(gaussian.num_filters * gaussian.covariance for gaussian in gaussians)
        return cls(total / num_filters, num_filters)

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
        root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
        return generator.standard_normal((num_filters, len(root))) @ root
