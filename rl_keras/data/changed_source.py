"""A data set whose images are cropped and corrupted where they are read.

So training, evaluation, probes and moments all use the same images, in memory or streamed. Ids,
labels and slices stay those of the data set.
"""

import contextlib
import os

import numpy as np
import tensorflow as tf

from rl_keras.data.corruptions import InputCorruption
from rl_keras.data.hashing import FACTORS, GAMMA, SHIFTS
from rl_keras.data.options import as_written, pipeline_options
from rl_keras.data.scaling import channel_moments
from rl_keras.errors import UsageError
from rl_keras.settings.data import DataConfig

_PARALLEL_IMAGES = os.cpu_count()


def change_source(source, data: DataConfig, upstream_split: str):
    """Returns the data set with its images cropped and corrupted as the settings say.

    Args:
        source: from `open_source`.
        data: its crop and corruption are used.
        upstream_split: slice over which the moments of Gaussian pixels are taken.

    Raises:
        UsageError: a crop larger than the images, or damaged files.

    Example:
        >>> source = open_source("natural_patches")
        >>> change_source(source, DataConfig(crop_size=28), "train").image_shape
        (28, 28, 3)
    """
    if data.crop_size:
        source = ChangedSource(source, data.crop_size)
    if data.input_corruption == "none":
        return source
    moments = (None, None)
    if data.input_corruption == "gaussian":
        with source.refusing_damage():
            batches = source.read(upstream_split).batch(256).as_numpy_iterator()
            moments = channel_moments(batch["image"] for batch in batches)
    corruption = InputCorruption(
        data.input_corruption,
        data.input_corruption_seed,
        data.input_corruption_channels,
        *moments,
    )
    return ChangedSource(source, corruption=corruption)


class ChangedSource:
    """A data set with the central squares of its images, or with corrupted images.

    It has the interface of `TfdsSource`.

    Args:
        source: images of one shape.
        crop_size: side of the central square; 0 for whole images.
        corruption: what becomes of them then, if anything.

    Attributes:
        original: `source`.

    Raises:
        UsageError: a crop larger than the images.
    """

    def __init__(self, source, crop_size: int = 0, corruption: InputCorruption | None = None):
        self.original = source
        height, width, channels = source.image_shape
        if crop_size > min(height, width):
            raise UsageError(
                f"--crop_size must not exceed the images of --dataset={source.name}, "
                f"{height}x{width}. Received: {crop_size}"
            )
        self.name, self.dtype, self.splits = source.name, source.dtype, source.splits
        self.num_classes, self.class_names = source.num_classes, source.class_names
        self._corruption = corruption
        self._corner = (0, 0)
        self.image_shape = (height, width, channels)
        if crop_size:
            self._corner = ((height - crop_size) // 2, (width - crop_size) // 2)
            self.image_shape = (crop_size, crop_size, channels)

    def slice_of(self, spec: str) -> tuple[tuple[str, int, int], ...]:
        """Returns `(split, start, stop)` for each part of a TFDS slicing text."""
        return self.original.slice_of(spec)

    def identify(self, split: str) -> tuple[np.ndarray, np.ndarray | None]:
        """Returns ids and true labels of a whole split, in file order."""
        return self.original.identify(split)

    def refusing_damage(self) -> contextlib.AbstractContextManager:
        """Turns TensorFlow's errors on damaged files into `UsageError`."""
        return self.original.refusing_damage()

    def read(self, spec: str) -> tf.data.Dataset:
        """Returns the examples of a slice in file order: dicts of `image` and `id`."""
        dataset = self.original.read(spec)
        if self._corruption is None:
            return dataset.map(as_written(self._cropped)).with_options(pipeline_options())
        parts = [(self.identify(s)[0], start, stop) for s, start, stop in self.slice_of(spec)]
        keys = self._corruption.keys(np.concatenate([ids[a:b] for ids, a, b in parts]))
        # By position, as labels are: the hash of a string would need code outside the graph.
        rows = tf.data.Dataset.zip((dataset, tf.data.Dataset.from_tensor_slices(keys)))
        corrupted = rows.map(as_written(self._corrupted), num_parallel_calls=_PARALLEL_IMAGES)
        return corrupted.with_options(pipeline_options())

    def _cropped(self, example):
        (top, left), (height, width, _) = self._corner, self.image_shape
        image = example["image"][top : top + height, left : left + width]
        return {**example, "image": tf.ensure_shape(image, self.image_shape)}

    def _corrupted(self, example, key):
        example = self._cropped(example)
        image = corrupt(self._corruption, example["image"], key)
        return {**example, "image": tf.ensure_shape(image, self.image_shape)}


def corrupt(corruption: InputCorruption, image: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
    """Does in a graph what `InputCorruption.apply` does.

    Args:
        corruption: what to do.
        image: uint8 `(h, w, c)`.
        key: uint64 `()`, from `InputCorruption.keys`.

    Returns:
        uint8 `(h, w, c)`.
    """
    height, width, channels = image.shape
    if corruption.kind == "gaussian":
        words = tf.bitwise.right_shift(_words(key, height * width * channels), _uint64(32))
        values = tf.transpose(tf.reshape(tf.cast(words, tf.int64), [-1, channels]))
        levels = tf.searchsorted(corruption.thresholds(), values, side="right")
        return tf.cast(tf.reshape(tf.transpose(levels), image.shape), tf.uint8)
    rows = tf.reshape(image, [-1, 1 if corruption.channels == "apart" else channels])
    words = tf.bitwise.right_shift(_words(key, rows.shape[0]), _uint64(1))
    order = tf.argsort(tf.cast(words, tf.int64), stable=True)
    return tf.reshape(tf.gather(rows, order), image.shape)


def _words(key, count):
    """As `random_words`, of one key."""
    words = key + _uint64(np.arange(1, count + 1, dtype=np.uint64) * np.uint64(GAMMA))
    for shift, factor in zip(SHIFTS, (*FACTORS, 1), strict=True):
        shifted = tf.bitwise.right_shift(words, _uint64(shift))
        words = tf.bitwise.bitwise_xor(words, shifted) * _uint64(factor)
    return words


def _uint64(value):
    return tf.constant(value, tf.uint64)
