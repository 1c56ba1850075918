"""Input scaling, the same for training, evaluation and measurement.

Starts can be compared only if their networks get images that are scaled alike,
so every pipeline takes the same `Scaling` object.
"""

import dataclasses
from collections.abc import Iterable

import numpy as np
import tensorflow as tf

from rl_keras.errors import UsageError
from rl_keras.settings.data import SCALINGS


@dataclasses.dataclass(frozen=True, eq=False)
class Scaling:
    """`(x - mean) / std` in float32, the same bits in TensorFlow and in NumPy.

    Args:
        kind: `"standardize"`, `"minus_one_one"`, `"per_image"` or `"none"`.
        mean: float64 array `(c,)`. With `"per_image"` unused, as each image has
            its own.
        std: float64 array `(c,)`, positive; as `mean`.

    Example:
        >>> scaling = Scaling("minus_one_one", np.array([127.5]), np.array([127.5]))
        >>> scaling.apply_numpy(np.array([[[[0], [255]]]], np.uint8)).ravel()
        array([-1.,  1.], dtype=float32)
    """

    kind: str
    mean: np.ndarray
    std: np.ndarray

    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        """Returns a batch `(b, h, w, c)` or `(b, d)` scaled, as float32 tensor."""
        if self.kind == "per_image":
            # Sums of 8-bit integers are exact in float64 whatever their order, so that any
            # device and any batch gives the same bits.
            exact = tf.cast(images, tf.float64)
            sums = [tf.reduce_sum(x, axis=[1, 2, 3], keepdims=True) for x in (exact, exact * exact)]
            mean, std = _moments_of_image(*sums, _num_values(images), tf)
        else:
            # Spread over the image beforehand: along three channels TensorFlow is slow.
            mean, std = (np.broadcast_to(x, images.shape[1:]) for x in (self.mean, self.std))
        return (tf.cast(images, tf.float32) - tf.cast(mean, tf.float32)) / tf.cast(std, tf.float32)

    def apply_numpy(self, images: np.ndarray) -> np.ndarray:
        """Returns what `__call__` gives, without TensorFlow."""
        mean, std = self.mean, self.std
        if self.kind == "per_image":
            exact = images.astype(np.float64)
            sums = [x.sum(axis=(1, 2, 3), keepdims=True) for x in (exact, exact * exact)]
            mean, std = _moments_of_image(*sums, _num_values(images), np)
        return (images.astype(np.float32) - mean.astype(np.float32)) / std.astype(np.float32)


def fit_scaling(kind: str, images) -> Scaling:
    """Returns the scaling of one kind for a set of images.

    - `"standardize"`: each channel to mean 0 and standard deviation 1 over all
      pixels of all given images.
    - `"minus_one_one"`: from 0..255 to -1..1.
    - `"per_image"`: each image by its own mean and deviation, as
      `tf.image.per_image_standardization`.
    - `"none"`: unchanged values as float32.

    Args:
        kind: one of these.
        images: array `(n, h, w, c)` or `(n, d)`, or a `tf.data.Dataset` of dicts
            with `image`, as from `source.read(spec)`; read only for
            `"standardize"`.

    Raises:
        UsageError: an unknown kind, vectors with another kind than `"none"`, or
            a channel that never changes.

    Example:
        >>> fit_scaling("none", np.zeros((1, 2, 2, 3), np.uint8)).mean
        array([0., 0., 0.])
    """
    if kind not in SCALINGS:
        raise UsageError(f"--scaling must be one of {', '.join(SCALINGS)}. Received: {kind!r}")
    is_dataset = isinstance(images, tf.data.Dataset)
    spec = images.element_spec["image"] if is_dataset else images
    num_channels = spec.shape[-1]
    if kind != "none" and spec.dtype != np.uint8:
        raise UsageError(
            "Vectors have their scale in their variances and are not scaled again: use "
            f"--scaling=none. Received: --scaling={kind}"
        )
    if kind == "minus_one_one":
        return Scaling(kind, np.full(num_channels, 127.5), np.full(num_channels, 127.5))
    if kind != "standardize":
        return Scaling(kind, np.zeros(num_channels), np.ones(num_channels))
    if is_dataset:
        batches = (batch["image"] for batch in images.batch(256).as_numpy_iterator())
    else:
        batches = (images[start : start + 256] for start in range(0, len(images), 256))
    mean, std = channel_moments(batches)
    if not std.all():
        raise UsageError(
            f"Channel {np.flatnonzero(std == 0)[0]} has the same value in every pixel, so it "
            "cannot be scaled to standard deviation 1; use --scaling=minus_one_one. "
            "Received: --scaling=standardize"
        )
    return Scaling(kind, mean, std)


def channel_moments(batches: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Returns mean and standard deviation of each channel over all pixels, exactly rounded.

    Args:
        batches: uint8 arrays `(n, h, w, c)`, at least one.

    Returns:
        Two float64 arrays `(c,)`.

    Example:
        >>> channel_moments([np.uint8([[[[1], [3]]]])])
        (array([2.]), array([1.]))
    """
    # A histogram of grey levels is exact, streams, and needs no float until the end.
    counts = 0
    for batch in batches:
        channels = batch.reshape(-1, batch.shape[-1]).T
        counts += np.array([np.bincount(channel, minlength=256) for channel in channels])
    levels = np.arange(256)
    total, sums, squares = int(counts[0].sum()), counts @ levels, counts @ levels**2
    # Python's integers do not overflow, and nothing cancels before the last division.
    variances = [
        (total * square - value * value) / total**2
        for value, square in zip(sums.tolist(), squares.tolist(), strict=True)
    ]
    return sums / total, np.sqrt(variances)


def _moments_of_image(sums, squares, count, library):
    # As in `_channel_moments`: integers in float64, exact below 2**53.
    variance = library.maximum(squares * count - sums * sums, 0.0) / (count * count)
    # The bound keeps flat images finite.
    return sums / count, library.maximum(library.sqrt(variance), 1 / np.sqrt(count))


def _num_values(images):
    return float(np.prod(images.shape[1:]))
