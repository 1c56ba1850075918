"""The transfer function: how much the filters grew along each principal axis of the data."""

import dataclasses

import numpy as np

from rl_keras.errors import UsageError
from rl_keras.science.eigenspaces import in_eigenbasis
from rl_keras.science.intervals import mean_interval


@dataclasses.dataclass(frozen=True)
class TransferCurve:
    """The transfer function at the eigenvalues of the data, the largest first.

    Args:
        eigenvalues: float64 array `(d,)`, variances of the data, sigma_i^2.
        sigma: float64 array `(d,)`, their roots: standard deviations of the data.
        values: float64 array `(d,)`, f(sigma_i): standard deviations of the filters.
    """

    eigenvalues: np.ndarray
    sigma: np.ndarray
    values: np.ndarray


def transfer_function(data_cov, filter_cov) -> TransferCurve:
    """Returns f: sigma_i -> sqrt(v_i' Sigma_w v_i) over the eigenvectors v_i of the data.

    Eigenvectors of a repeated eigenvalue are arbitrary, so there the value is the
    root of the mean over the eigenspace, which does not depend on their choice.

    Args:
        data_cov: array `(d, d)`, symmetric, positive semi-definite, or its
            `Eigenspaces`. The paper's Sigma_x.
        filter_cov: array `(d, d)`, symmetric, positive semi-definite; it may be
            singular. The paper's Sigma_w.

    Raises:
        UsageError: if a matrix is not symmetric and finite, or the sizes differ.

    Example:
        >>> curve = transfer_function([[9, 0], [0, 4]], [[1, 0], [0, 25]])
        >>> curve.sigma.tolist(), curve.values.tolist()
        ([3.0, 2.0], [1.0, 5.0])

    Reference:
        Maennel et al., NeurIPS 2020, arXiv 2006.10455, Definition 3, equation 3.
    """
    spaces, rotated = in_eigenbasis(data_cov, filter_cov)
    variances = rotated.diagonal().copy()
    for group in spaces.groups:
        variances[group] = variances[group].mean()
    # Rounding leaves eigenvalues that are zero slightly on either side of it.
    eigenvalues = np.maximum(spaces.values, 0)
    return TransferCurve(eigenvalues, np.sqrt(eigenvalues), np.sqrt(np.maximum(variances, 0)))


@dataclasses.dataclass(frozen=True)
class TransferBand:
    """Mean transfer function over `num` runs and its interval, the largest eigenvalue first.

    Args:
        eigenvalues: float64 array `(d,)`, of the data, mean over runs at each rank.
        mean: float64 array `(d,)`, mean over runs of f.
        low: float64 array `(d,)`, lower ends of the Student t intervals; NaN for one run.
        high: float64 array `(d,)`, upper ends.
        num: number of runs.
    """

    eigenvalues: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    num: int


def transfer_bands(layers, confidence: float = 0.95) -> dict[str, TransferBand]:
    """Averages the transfer functions of every layer over runs, rank by rank.

    Args:
        layers: mapping from layer names to lists of `TransferCurve`, one per run.
        confidence: of the intervals, see `mean_interval`.

    Returns:
        A mapping from the same names to a `TransferBand` each.

    Raises:
        UsageError: if a layer has no curve, or its curves differ in dimension.

    Example:
        >>> curve = TransferCurve(*np.array([[4.0, 1.0], [2.0, 1.0], [0.3, 0.5]]))
        >>> transfer_bands({"conv": [curve, curve]})["conv"].low.tolist()
        [0.3, 0.5]

    Reference:
        Maennel et al., NeurIPS 2020, arXiv 2006.10455, Figures 4 and 20.
    """
    bands = {}
    for name, curves in layers.items():
        sizes = sorted({len(curve.values) for curve in curves})
        if len(sizes) != 1:
            raise UsageError(
                f"Layer {name!r} needs curves of one dimension, one per run; leave out other "
                f"layers. Received: {len(curves)} curves of dimensions {sizes}"
            )
        points = np.transpose([curve.values for curve in curves])
        intervals = [mean_interval(values, confidence) for values in points]
        bands[name] = TransferBand(
            eigenvalues=np.mean([curve.eigenvalues for curve in curves], axis=0),
            mean=np.array([point.mean for point in intervals]),
            low=np.array([point.low for point in intervals]),
            high=np.array([point.high for point in intervals]),
            num=len(curves),
        )
    return bands
