"""Shuffled or random pixels instead of images: the reference, in NumPy and whole numbers.

How an image is corrupted depends on its pixels, its id and a seed, and not on its slice, its
position, the batch, the labels or the root seed of a run. `changed_source` computes the same bits
in a TensorFlow graph.

Reference:
    Zhang et al., "Understanding deep learning requires rethinking generalization",
    ICLR 2017, arXiv 1611.03530, Section 2.1.
"""

import dataclasses
import math

import numpy as np

from rl_keras.data.hashing import hash64, random_words
from rl_keras.seeds import derive_seed
from rl_keras.settings.data import INPUT_CORRUPTIONS

_PIXEL_HASH = b"rl_keras pixels"
_ALL = np.array([b"all images"])  # the id of the permutation that images share


@dataclasses.dataclass(frozen=True, eq=False)
class InputCorruption:
    """Shuffled, random or Gaussian pixels.

    - `"shuffled_pixels"`: one permutation for all images.
    - `"random_pixels"`: a permutation for each image, a function of its id.
    - `"gaussian"`: every value drawn for itself from the normal distribution of its
      channel, rounded and cut off at 0 and 255: a function of the image's id and
      nothing it shows.

    The paper does not say whether the colours of a pixel stay together, nor how the
    moments are taken; write-ups by others keep the colours together.

    Args:
        kind: one of these.
        seed: of permutations and draws.
        channels: for permutations, `"together"` moves whole pixels, `"apart"` every value.
        mean: float64 array `(c,)`, for `"gaussian"`.
        std: float64 array `(c,)`, not negative, for `"gaussian"`.

    Raises:
        ValueError: another kind, or `"gaussian"` without moments.

    Example:
        >>> corruption = InputCorruption("shuffled_pixels", seed=0)
        >>> corruption.apply(np.uint8([[[[1], [2]], [[3], [4]]]]), np.array([b"a"])).sum()
        10
    """

    kind: str
    seed: int
    channels: str = "together"
    mean: np.ndarray | None = None
    std: np.ndarray | None = None

    def __post_init__(self):
        if self.kind not in INPUT_CORRUPTIONS[1:]:
            raise ValueError(
                f"`kind` must be one of {', '.join(INPUT_CORRUPTIONS[1:])}. Received: {self.kind!r}"
            )
        if self.kind == "gaussian" and (self.mean is None or self.std is None):
            raise ValueError("`kind='gaussian'` needs `mean` and `std`.")

    def keys(self, ids: np.ndarray) -> np.ndarray:
        """Returns where the random numbers of each image start.

        Args:
            ids: bytes array `(n,)`.

        Returns:
            uint64 array `(n,)`.
        """
        seed = derive_seed(self.seed, "input_corruption", self.kind)
        if self.kind == "shuffled_pixels":
            return np.repeat(hash64(_ALL, seed, _PIXEL_HASH), len(ids))
        return hash64(ids, seed, _PIXEL_HASH)

    def apply(self, images: np.ndarray, ids: np.ndarray) -> np.ndarray:
        """Returns the corrupted images.

        Args:
            images: uint8 array `(n, h, w, c)`.
            ids: bytes array `(n,)`.

        Returns:
            uint8 array of the same shape.
        """
        num, height, width, channels = images.shape
        keys = self.keys(ids)
        if self.kind == "gaussian":
            words = random_words(keys, height * width * channels) >> np.uint64(32)
            values = words.reshape(-1, channels)
            levels = [
                np.searchsorted(ends, channel, side="right")
                for ends, channel in zip(self.thresholds(), values.T.astype(np.int64), strict=True)
            ]
            return np.stack(levels, axis=-1).astype(np.uint8).reshape(images.shape)
        moved = 1 if self.channels == "apart" else channels
        rows = images.reshape(num, -1, moved)
        order = permutations(keys, rows.shape[1])
        return np.take_along_axis(rows, order[:, :, None], axis=1).reshape(images.shape)

    def thresholds(self) -> np.ndarray:
        """Returns the bounds that divide words of 32 bits into grey levels.

        A word `u` stands for the number of thresholds up to `u`, so the share of words
        below number k is the probability of at most k, and no word is ever rounded.

        Returns:
            int64 array `(c, 255)`, rising along each row, from 0 to 2**32.
        """
        levels = np.arange(255) + 0.5
        rows = [
            [_normal_cdf((level - mean) / std) if std else float(level > mean) for level in levels]
            for mean, std in zip(self.mean.tolist(), self.std.tolist(), strict=True)
        ]
        return np.round(np.array(rows) * 2.0**32).astype(np.int64)


def permutations(keys: np.ndarray, count: int) -> np.ndarray:
    """Returns a permutation of `range(count)` for each key, int64 `(n, count)`.

    Positions are ranked by a random word of 63 bits each, so that two of 784 are alike
    once in 10**13 images; of two alike the first goes first.

    Example:
        >>> np.sort(permutations(np.uint64([7]), 4))
        array([[0, 1, 2, 3]])
    """
    words = (random_words(keys, count) >> np.uint64(1)).astype(np.int64)
    return np.argsort(words, axis=1, kind="stable")


def _normal_cdf(x):
    return 0.5 * math.erfc(-x / math.sqrt(2))
