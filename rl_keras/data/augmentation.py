"""Random changes of training images: a function of seed, epoch and position in the slice alone.

They act on whole images before they are scaled, and cut out squares of the size that
evaluation cuts out of the centre. So a run that goes on in the middle of an epoch sees
the same bytes, in memory or streamed, whatever the batch size.

Reference:
    Zhang et al., "Understanding deep learning requires rethinking generalization",
    ICLR 2017, arXiv 1611.03530, Table 4: random crops, flips, rotations up to 25 degrees.
"""

import dataclasses
import math
from collections.abc import Sequence

import tensorflow as tf

from rl_keras.settings.stage import AUGMENTATIONS

MAX_ANGLE = math.radians(25)
_NUM_DRAWS = 4  # for each image: row, column, mirror, angle


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """Random squares of images and, if wanted, mirrored and turned ones.

    - `"crop"`: the square lies anywhere in the image, every place alike likely.
    - `"full"`: moreover it is mirrored, left to right, with probability 1/2 and turned
      about its own centre by an angle that is uniform in 25 degrees to both sides. Values
      are interpolated bilinearly and rounded; what would come from outside the image is
      that of the nearest pixel in it.

    Left open by the paper, and ours: the order of the three, the interpolation, and
    what fills the corners.

    Args:
        kind: one of these.
        size: side of the square, at most the sides of the images.
        seed: of all draws.

    Raises:
        ValueError: another kind.

    Example:
        >>> augmentation = Augmentation("crop", size=28, seed=0)
        >>> images = tf.zeros((2, 32, 32, 3), tf.uint8)
        >>> augmentation(images, augmentation.changes(images.shape, epoch=0)).shape
        TensorShape([2, 28, 28, 3])
    """

    kind: str
    size: int
    seed: int

    def __post_init__(self):
        if self.kind not in AUGMENTATIONS[1:]:
            raise ValueError(
                f"`kind` must be one of {', '.join(AUGMENTATIONS[1:])}. Received: {self.kind!r}"
            )

    def changes(self, shape: Sequence[int], epoch: int | tf.Tensor) -> tf.Tensor:
        """Draws what is to happen to each image of a slice in one epoch.

        For all at once: in shorter batches TensorFlow rounds sines otherwise.

        Args:
            shape: `(n, h, w, c)` of the slice.
            epoch: its number.

        Returns:
            A tensor of `n` rows: for `"crop"` int32 `(n, 2)`, the upper left corners,
            for `"full"` float32 `(n, 8)`, projective transforms.
        """
        num_rows, height, width, _ = shape
        seed = [self.seed, epoch]
        draws = tf.random.stateless_uniform([num_rows, _NUM_DRAWS], seed, alg="philox")
        top, left, mirror, angle = tf.unstack(draws, axis=1)
        top, left = (
            tf.floor(draw * (side - self.size + 1)) for draw, side in ((top, height), (left, width))
        )
        if self.kind == "crop":
            return tf.cast(tf.stack([top, left], axis=1), tf.int32)
        sign = tf.where(mirror < 0.5, -1.0, 1.0)
        return _transforms(top, left, sign, (2 * angle - 1) * MAX_ANGLE, self.size)

    def __call__(self, images: tf.Tensor, changes: tf.Tensor) -> tf.Tensor:
        """Returns changed squares.

        Args:
            images: uint8 `(b, h, w, c)`.
            changes: `b` rows of what `changes` returns.

        Returns:
            uint8 `(b, size, size, c)`.
        """
        if self.kind == "crop":
            places = changes[:, :, None] + tf.range(self.size)
            squares = tf.gather(images, places[:, 0], axis=1, batch_dims=1)
            return tf.gather(squares, places[:, 1], axis=2, batch_dims=1)
        squares = tf.raw_ops.ImageProjectiveTransformV3(
            images=tf.cast(images, tf.float32),  # of whole numbers it would cut off the fraction
            transforms=changes,
            output_shape=[self.size, self.size],
            fill_value=0.0,
            interpolation="BILINEAR",
            fill_mode="NEAREST",
        )
        shape = [*images.shape[:1], self.size, self.size, images.shape[3]]
        return tf.ensure_shape(tf.cast(tf.round(squares), tf.uint8), shape)


def _transforms(top, left, sign, angle, size):
    """From positions in the square to those in the image, as TensorFlow has it, float32 `(n, 8)`.

    About the centre m of the square: x = left + m + s cos(a) (x' - m) - sin(a) (y' - m) and
    y = top + m + s sin(a) (x' - m) + cos(a) (y' - m), with s = -1 for mirrored ones.
    """
    middle = (size - 1) / 2
    cos, sin, zero = tf.cos(angle), tf.sin(angle), tf.zeros_like(angle)
    x = (sign * cos, -sin, left + middle - (sign * cos - sin) * middle)
    y = (sign * sin, cos, top + middle - (sign * sin + cos) * middle)
    return tf.stack([*x, *y, zero, zero], axis=1)
