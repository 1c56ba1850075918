"""A slice decoded once into memory."""

import dataclasses
import math

import numpy as np

from rl_keras.data.slices import num_examples


@dataclasses.dataclass(frozen=True, eq=False)
class Examples:
    """Images, identities and true labels of a slice, in reading order.

    Args:
        images: uint8 array `(n, h, w, c)`, or float32 `(n, d)` for vectors.
        ids: bytes array `(n,)`.
        true: int64 array `(n,)`, or `None` if the data set has no labels.
    """

    images: np.ndarray
    ids: np.ndarray
    true: np.ndarray | None


def decoded_bytes(source, spec: str) -> int:
    """Returns the size in memory of the decoded images of a slice."""
    return num_examples(source, spec) * math.prod(source.image_shape) * source.dtype.itemsize


def fits_in_memory(source, spec: str, megabytes: int) -> bool:
    """Says whether the decoded images of a slice take no more than so many MB of 2**20 bytes."""
    return decoded_bytes(source, spec) <= megabytes * 2**20


def load_examples(source, spec: str, limit: int | None = None) -> Examples:
    """Decodes a slice, or its first examples, into memory.

    Args:
        source: from `open_source`.
        spec: TFDS slicing text, such as `"train[:40%]"`.
        limit: examples to read at most.

    Returns:
        The slice's `Examples`.

    Raises:
        UsageError: a bad slice, or damaged files.

    Example:
        >>> load_examples(open_source("natural_patches"), "train[:100]").images.shape
        (100, 32, 32, 3)
    """
    parts = [(*source.identify(split), start, stop) for split, start, stop in source.slice_of(spec)]
    ids = np.concatenate([ids[start:stop] for ids, _, start, stop in parts])[:limit]
    true = None
    if all(labels is not None for _, labels, _, _ in parts):
        true = np.concatenate([labels[start:stop] for _, labels, start, stop in parts])[:limit]
    images = np.empty((len(ids), *source.image_shape), source.dtype)
    filled = 0
    with source.refusing_damage():
        dataset = source.read(spec).take(len(ids))
        for batch in dataset.batch(512).as_numpy_iterator():
            end = filled + len(batch["id"])
            if not np.array_equal(batch["id"].astype(np.bytes_), ids[filled:end]):
                raise RuntimeError(f"Images and labels of {spec!r} were read in different orders.")
            images[filled:end] = batch["image"]
            filled = end
    return Examples(images, ids, true)
