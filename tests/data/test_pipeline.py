import dataclasses
import itertools

import numpy as np
import pytest
import tensorflow as tf

from rl_keras.data.examples import Examples, load_examples
from rl_keras.data.label_table import label_table
from rl_keras.data.labels import LabelMap
from rl_keras.data.pipeline import (
    eval_dataset,
    image_batches,
    streaming_dataset,
    streaming_eval_dataset,
    train_dataset,
)
from rl_keras.data.scaling import fit_scaling
from rl_keras.errors import UsageError

SPEC = "train[:103]"


@pytest.fixture(scope="module")
def slice_(tiny):
    """Examples, label table and scaling of 103 images, a prime number of them."""
    examples = load_examples(tiny, SPEC)
    table = label_table(tiny, SPEC, LabelMap("random", 0, 1000))
    return examples, table, fit_scaling("standardize", examples.images)


@pytest.fixture(params=["resident", "streaming"])
def make(request, tiny, slice_):
    """Either training pipeline, with the same arguments."""
    examples, table, scaling = slice_

    def make_dataset(batch_size, num_steps, seed, start_step=0, labels=table.given):
        common = (labels, scaling, batch_size, num_steps, seed, start_step)
        if request.param == "resident":
            return train_dataset(examples, *common)
        return streaming_dataset(tiny, SPEC, *common, shuffle_buffer=200)

    return make_dataset


def batches(dataset):
    return list(dataset.as_numpy_iterator())


def rows_of(some_batches, slice_):
    """The row of each example in the slice, found by its pixels."""
    examples, _, scaling = slice_
    known = {row.tobytes(): index for index, row in enumerate(scaling.apply_numpy(examples.images))}
    return [[known[image.tobytes()] for image in images] for images, _ in some_batches]


def test_each_epoch_is_a_permutation_less_the_remainder(make, slice_):
    rows = np.array(rows_of(batches(make(10, 50, seed=0)), slice_)).reshape(5, 100)
    for epoch in rows:
        assert len(np.unique(epoch)) == 100
    orders = {tuple(epoch) for epoch in rows}
    assert len(orders) == 5
    left_out = {tuple(sorted({*range(103)} - {*epoch})) for epoch in rows}
    assert len(left_out) > 1


def test_neighbouring_epochs_and_seeds_are_unrelated(slice_):
    examples, table, scaling = slice_
    orders = [
        np.ravel(
            rows_of(batches(train_dataset(examples, table.given, scaling, 103, 20, s)), slice_)
        )
        for s in range(20)
    ]
    orders = np.reshape(orders, (400, 103))
    assert len(np.unique(orders, axis=0)) == 400
    for neighbours in (orders, orders.reshape(20, 20, 103).swapaxes(0, 1).reshape(400, 103)):
        correlations = [np.corrcoef(*pair)[0, 1] for pair in itertools.pairwise(neighbours)]
        assert abs(np.mean(correlations)) < 4 / np.sqrt(102 * 399)


def test_orders_do_not_come_back_after_256_epochs_or_seeds(make):
    orders = [
        tuple(batches(make(103, epoch + 1, seed, start_step=epoch))[0][1])
        for seed, epoch in ((0, 0), (0, 256), (256, 0), (256, 256), (0, 2**16), (2**16, 0))
    ]
    assert len(set(orders)) == 6


def test_order_is_pinned(tiny, slice_):
    # The same with TensorFlow 2.19.1 and 2.21.0; a change would break resuming across versions.
    examples, _, scaling = slice_
    common = (np.arange(103), scaling, 10, 11, 7)
    resident = batches(train_dataset(examples, *common))
    assert resident[0][1].tolist() == [44, 85, 76, 75, 72, 54, 80, 30, 0, 88]
    assert resident[10][1].tolist() == [5, 73, 100, 75, 57, 71, 38, 41, 47, 69]
    streamed = batches(streaming_dataset(tiny, SPEC, *common, shuffle_buffer=200))
    assert streamed[0][1].tolist() == [49, 29, 11, 22, 19, 50, 98, 93, 68, 90]
    assert streamed[10][1].tolist() == [33, 51, 16, 62, 57, 6, 11, 102, 79, 99]


def test_a_label_belongs_to_its_image(make, slice_):
    _, table, _ = slice_
    for batch_size, seed in ((10, 0), (32, 1)):
        some = batches(make(batch_size, 12, seed))
        for rows, (_, labels) in zip(rows_of(some, slice_), some, strict=True):
            assert (table.given[rows] == labels).all()


def test_label_arms_see_bitwise_equal_images(make):
    arms = (make(16, 9, 0), make(16, 9, 0, labels=np.zeros(103, np.int64)))
    for (images, labels), (other_images, other_labels) in zip(*map(batches, arms), strict=True):
        assert (images == other_images).all()
        assert (labels != other_labels).any()


def test_same_seed_same_order_and_another_seed_another(make):
    first, again, other = (batches(make(20, 7, seed)) for seed in (3, 3, 4))
    assert all((x[1] == y[1]).all() for x, y in zip(first, again, strict=True))
    assert any((x[1] != y[1]).any() for x, y in zip(first, other, strict=True))


def test_global_seed_does_not_matter(make):
    runs = []
    for seed in (0, 1, 2):
        tf.random.set_seed(seed)
        runs.append(np.concatenate([labels for _, labels in batches(make(20, 7, 3))]))
    assert (runs[0] == runs[1]).all()
    assert (runs[0] == runs[2]).all()


@pytest.mark.parametrize("start_step", [1, 9, 10, 13, 24, 25])
def test_a_late_start_gives_the_tail(make, start_step):
    whole, tail = batches(make(10, 25, 0)), batches(make(10, 25, 0, start_step))
    assert len(tail) == 25 - start_step
    for (images, labels), (tail_images, tail_labels) in zip(whole[start_step:], tail, strict=True):
        assert (images == tail_images).all()
        assert (labels == tail_labels).all()


def test_streaming_and_resident_give_the_same_pairs(tiny, slice_):
    examples, table, scaling = slice_
    pairs = []
    for dataset in (
        train_dataset(examples, table.given, scaling, 103, 1, 0),
        streaming_dataset(tiny, SPEC, table.given, scaling, 103, 1, 0, shuffle_buffer=16),
    ):
        ((images, labels),) = batches(dataset)
        pairs.append({(x.tobytes(), int(y)) for x, y in zip(images, labels, strict=True)})
    assert len(pairs[0]) == 103
    assert pairs[0] == pairs[1]


def test_shapes_are_static_and_lengths_known(make):
    dataset = make(16, 9, 0, 2)
    images, labels = dataset.element_spec
    assert images == tf.TensorSpec((16, 8, 8, 3), tf.float32)
    assert labels == tf.TensorSpec((16,), tf.int32)
    assert len(dataset) == 7


@pytest.mark.parametrize("batch_size", [0, 104])
def test_batch_size_beyond_the_slice_is_refused(make, batch_size):
    with pytest.raises(
        UsageError, match=f"batch_size must be from 1 to 103.*Received: {batch_size}"
    ):
        make(batch_size, 5, 0)


def test_wrong_number_of_labels_is_an_error(make):
    with pytest.raises(ValueError, match="103 examples, but labels of shape"):
        make(10, 5, 0, labels=np.zeros(102))


@pytest.mark.parametrize("batch_size", [1, 10, 103, 128])
@pytest.mark.parametrize("resident", [True, False])
def test_evaluation_counts_every_example_once(tiny, slice_, resident, batch_size):
    examples, table, scaling = slice_
    common = (table.given, table.true, scaling, batch_size)
    dataset = eval_dataset(examples, *common)
    if not resident:
        dataset = streaming_eval_dataset(tiny, SPEC, *common)
    assert dataset.element_spec == (
        tf.TensorSpec((batch_size, 8, 8, 3), tf.float32),
        tf.TensorSpec((batch_size,), tf.int32),
        tf.TensorSpec((batch_size,), tf.int32),
        tf.TensorSpec((batch_size,), tf.float32),
    )
    images, given, true, weight = (
        np.concatenate(column) for column in zip(*batches(dataset), strict=True)
    )
    assert len(weight) == -(-103 // batch_size) * batch_size
    assert (weight == (np.arange(len(weight)) < 103)).all()
    assert np.isfinite(images).all()
    assert (images[:103] == scaling.apply_numpy(examples.images)).all()
    assert (given[:103] == table.given).all()
    assert (true[:103] == table.true).all()


def test_start_beyond_the_end_is_an_error(make):
    with pytest.raises(ValueError, match="start_step must be from 0 to 5. Received: 6"):
        make(10, 5, 0, 6)


def test_evaluation_without_true_labels(slice_):
    examples, table, scaling = slice_
    ((_, _, true, _),) = batches(eval_dataset(examples, table.given, None, scaling, 103))
    assert (true == -1).all()


def test_image_batches(slice_):
    examples, _, scaling = slice_
    some = list(image_batches(examples, scaling, 10, limit=25))
    assert [len(images) for images in some] == [10, 10, 5]
    assert (np.concatenate(some) == scaling.apply_numpy(examples.images[:25])).all()
    assert sum(map(len, image_batches(examples, scaling, 50))) == 103


def test_vectors_go_through_the_same_pipelines():
    vectors = np.random.default_rng(0).normal(size=(30, 5)).astype(np.float32)
    examples = Examples(vectors, np.array([b"%d" % i for i in range(30)]), None)
    scaling = fit_scaling("none", vectors)
    dataset = train_dataset(examples, np.arange(30), scaling, 10, 3, 0)
    assert dataset.element_spec[0] == tf.TensorSpec((10, 5), tf.float32)
    for images, labels in batches(dataset):
        assert (images == vectors[labels]).all()


def test_two_replicas_get_the_halves_of_each_batch(slice_):
    examples, table, scaling = slice_
    strategy = tf.distribute.MirroredStrategy(
        ["CPU:0", "CPU:1"], cross_device_ops=tf.distribute.ReductionToOneDevice()
    )
    dataset = train_dataset(examples, table.given, scaling, 16, 8, 0)
    distributed = strategy.experimental_distribute_dataset(dataset)
    for (_, labels), (_, parts) in zip(batches(dataset), distributed, strict=True):
        parts = [part.numpy() for part in strategy.experimental_local_results(parts)]
        assert [len(part) for part in parts] == [8, 8]
        assert (np.concatenate(parts) == labels).all()


def test_examples_are_frozen(slice_):
    with pytest.raises(dataclasses.FrozenInstanceError):
        slice_[0].images = None
