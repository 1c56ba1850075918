"""From examples to batches: the only `tf.data` code that models see.

Every order is a pure function of (seed, epoch), so a run that starts at a later
step gets exactly the batches the interrupted run would have got, and labels and
images do not depend on which labels are used. Shapes are static and nothing
here needs strings, as accelerators demand.
"""

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from rl_keras.data.augmentation import Augmentation
from rl_keras.data.examples import Examples
from rl_keras.data.options import as_written, pipeline_options
from rl_keras.data.scaling import Scaling
from rl_keras.data.slices import num_examples
from rl_keras.errors import UsageError

_PARALLEL_BATCHES = 2
_READY_BATCHES = 4


def train_dataset(
    examples: Examples,
    labels: np.ndarray,
    scaling: Scaling,
    batch_size: int,
    num_steps: int,
    seed: int,
    start_step: int = 0,
    augmentation: Augmentation | None = None,
) -> tf.data.Dataset:
    """Returns shuffled training batches of examples in memory.

    An epoch is `n // batch_size` full batches of a permutation of the examples;
    another epoch has another permutation, and leaves out other examples.

    Args:
        examples: `n` examples.
        labels: integer array `(n,)`.
        scaling: applied to each batch.
        batch_size: at most `n`.
        num_steps: batches of the whole training, over all epochs.
        seed: of the order.
        start_step: batches to leave out at the beginning, to resume.
        augmentation: what happens to the images before they are scaled, if anything.

    Returns:
        A dataset of `num_steps - start_step` pairs: float32
        `(batch_size, h, w, c)` and int32 `(batch_size,)`.

    Raises:
        UsageError: `batch_size` is larger than `n`.

    Example:
        >>> dataset = train_dataset(examples, labels, scaling, 256, num_steps=100, seed=0)
        >>> model.fit(dataset)
    """
    num_rows = len(examples.images)
    num_batches = _batches_per_epoch(num_rows, batch_size)
    images, labels = _on_host(examples.images), _on_host(_as_labels(labels, num_rows))

    @as_written
    def order_of(epoch):
        # Not index_shuffle: below 2**16 rows it looks at the last 8 bits of a seed only, and its
        # permutations of neighbouring epochs are alike.
        rows = tf.range(num_rows, dtype=tf.int32)
        rows = tf.random.experimental.stateless_shuffle(rows, seed=[seed, epoch], alg="philox")
        rows = tf.reshape(rows[: num_batches * batch_size], [num_batches, batch_size])
        if augmentation is None:
            return tf.data.Dataset.from_tensor_slices((rows,))
        changes = tf.gather(augmentation.changes(images.shape, epoch), rows)
        return tf.data.Dataset.from_tensor_slices((rows, changes))

    @as_written
    def batch_of(rows, *changes):
        batch = tf.gather(images, rows)
        batch = augmentation(batch, *changes) if augmentation else batch
        return scaling(batch), tf.gather(labels, rows)

    rows = _from_step(order_of, num_batches, num_steps, start_step)
    return _finish(rows.map(batch_of, num_parallel_calls=_PARALLEL_BATCHES))


def streaming_dataset(
    source,
    spec: str,
    labels: np.ndarray,
    scaling: Scaling,
    batch_size: int,
    num_steps: int,
    seed: int,
    start_step: int = 0,
    shuffle_buffer: int = 10_000,
    augmentation: Augmentation | None = None,
) -> tf.data.Dataset:
    """Returns training batches of a slice too large for memory.

    As `train_dataset`, but examples are read from the files in every epoch and
    shuffled through a buffer, so an example moves ahead by at most
    `shuffle_buffer` places. To resume within an epoch, its beginning is read
    and thrown away.

    Args:
        source: from `open_source`.
        spec: TFDS slicing text.
        labels: integer array `(n,)` in reading order, as in a `LabelTable`.
        shuffle_buffer: examples held in memory.

    The other arguments, what is returned and what is refused: as `train_dataset`.
    """
    num_rows = num_examples(source, spec)
    num_batches = _batches_per_epoch(num_rows, batch_size)
    labelled = _labelled(source, spec, _as_labels(labels, num_rows))

    @as_written
    def batches_of(epoch):
        # Without this the order would also depend on `tf.random.set_seed`.
        tf.compat.v1.get_default_graph().seed = None
        mixed = tf.random.stateless_uniform(
            [], [seed, epoch], minval=0, maxval=2**31 - 1, dtype=tf.int64, alg="philox"
        )
        rows = labelled
        if augmentation is not None:
            changes = augmentation.changes((num_rows, *source.image_shape), epoch)
            changes = tf.data.Dataset.from_tensor_slices(changes)
            rows = tf.data.Dataset.zip((rows, changes)).map(
                as_written(lambda row, change: (*row, change))
            )
        shuffled = rows.shuffle(shuffle_buffer, mixed, reshuffle_each_iteration=False)
        return shuffled.batch(batch_size, drop_remainder=True)

    @as_written
    def scaled(images, labels, *changes):
        images = augmentation(images, *changes) if augmentation else images
        return scaling(images), labels

    batches = _from_step(batches_of, num_batches, num_steps, start_step)
    return _finish(batches.map(scaled, num_parallel_calls=_PARALLEL_BATCHES))


def eval_dataset(
    examples: Examples,
    given: np.ndarray,
    true: np.ndarray | None,
    scaling: Scaling,
    batch_size: int,
) -> tf.data.Dataset:
    """Returns every example once, in reading order, in batches of one size.

    The last batch is filled up with rows of weight 0.

    Args:
        examples: `n` examples.
        given: integer array `(n,)`, the labels of training.
        true: integer array `(n,)`, or `None`, which gives `-1` throughout.
        scaling: applied to each batch.
        batch_size: any size; shapes are static.

    Returns:
        A dataset of `(image, given, true, weight)`: float32
        `(batch_size, h, w, c)`, int32, int32 and float32 `(batch_size,)`.

    Example:
        >>> dataset = eval_dataset(examples, given, None, scaling, batch_size=256)
        >>> sum(float(weight.sum()) for *_, weight in dataset.as_numpy_iterator())  # of 1,000
        1000.0
    """
    num_rows = len(examples.images)
    given, true = _eval_labels(given, true, num_rows)
    images, given, true = (_on_host(array) for array in (examples.images, given, true))

    @as_written
    def batch_of(first):
        rows = first * batch_size + tf.range(batch_size, dtype=tf.int64)
        weights = tf.cast(rows < num_rows, tf.float32)
        rows = tf.minimum(rows, num_rows - 1)
        return (
            scaling(tf.gather(images, rows)),
            tf.gather(given, rows),
            tf.gather(true, rows),
            weights,
        )

    batches = tf.data.Dataset.range(-(-num_rows // batch_size))
    return _finish(batches.map(batch_of, num_parallel_calls=_PARALLEL_BATCHES))


def streaming_eval_dataset(
    source, spec: str, given: np.ndarray, true: np.ndarray | None, scaling: Scaling, batch_size: int
) -> tf.data.Dataset:
    """Returns what `eval_dataset` does, for a slice too large for memory."""
    num_rows = num_examples(source, spec)
    num_batches = -(-num_rows // batch_size)
    rows = _labelled(
        source, spec, *_eval_labels(given, true, num_rows), np.ones(num_rows, np.float32)
    )
    padding = tf.data.Dataset.from_tensors(
        tf.nest.map_structure(lambda spec: tf.zeros(spec.shape, spec.dtype), rows.element_spec)
    )
    rows = rows.concatenate(padding.repeat(num_batches * batch_size - num_rows))
    batches = rows.batch(batch_size, drop_remainder=True)
    return _finish(
        batches.map(
            as_written(lambda images, *rest: (scaling(images), *rest)),
            num_parallel_calls=_PARALLEL_BATCHES,
        )
    )


def image_batches(
    examples: Examples, scaling: Scaling, batch_size: int, limit: int | None = None
) -> Iterator[np.ndarray]:
    """Yields scaled float32 images in reading order, for moments.

    Args:
        examples: `n` examples.
        scaling: applied to each batch.
        batch_size: the last batch may be smaller.
        limit: how many of the first examples; `None` for all.
    """
    images = examples.images[:limit]
    for start in range(0, len(images), batch_size):
        yield scaling.apply_numpy(images[start : start + batch_size])


def _batches_per_epoch(num_rows, batch_size):
    if not 1 <= batch_size <= num_rows:
        raise UsageError(
            f"batch_size must be from 1 to {num_rows}, the number of examples in the slice: lower "
            "--upstream_batch_size or --downstream_batch_size, or take a larger slice. "
            f"Received: {batch_size}"
        )
    return num_rows // batch_size


def _from_step(dataset_of_epoch, num_batches, num_steps, start_step):
    """Epoch after epoch, without the first `start_step` elements."""
    if not 0 <= start_step <= num_steps:
        raise ValueError(f"start_step must be from 0 to {num_steps}. Received: {start_step}")
    first_epoch, num_skipped = divmod(start_step, num_batches)
    epochs = tf.data.Dataset.range(first_epoch, -(-num_steps // num_batches))
    num_left = num_steps - start_step
    dataset = epochs.flat_map(dataset_of_epoch).skip(num_skipped).take(num_left)
    # `flat_map` forgets its length, and Keras would not show progress.
    return dataset.apply(tf.data.experimental.assert_cardinality(num_left))


def _finish(dataset):
    return dataset.prefetch(_READY_BATCHES).with_options(pipeline_options())


def _on_host(array):
    # A GPU would otherwise take the whole slice, and hand it back batch by batch.
    with tf.device("CPU:0"):
        return tf.constant(array)


def _as_labels(labels, num_rows):
    labels = np.asarray(labels)
    if labels.shape != (num_rows,):
        raise ValueError(f"{num_rows} examples, but labels of shape {labels.shape}.")
    return labels.astype(np.int32)


def _eval_labels(given, true, num_rows):
    if true is None:
        true = np.full(num_rows, -1)
    return _as_labels(given, num_rows), _as_labels(true, num_rows)


def _labelled(source, spec, *columns):
    # By position, before any shuffling: a table of strings cannot live in a training pipeline.
    images = source.read(spec).map(as_written(lambda example: example["image"]))
    columns = tuple(_on_host(column) for column in columns)
    rows = tf.data.Dataset.zip((images, tf.data.Dataset.from_tensor_slices(columns)))
    return rows.map(as_written(lambda image, values: (image, *values)))
