"""The measuring callbacks on an ordinary `model.fit`: what they record, and that they only look."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from rl_keras.callbacks import (
    ActivationTracker,
    CovarianceAlignment,
    IntervalLoss,
    MetricLog,
    ProbeAccuracy,
    TensorBoardWriter,
    every,
)
from rl_keras.experiments.tensorboard import WeightHistograms
from rl_keras.models import simple_cnn
from rl_keras.science.alignment import (
    eigenspaces,
    filter_covariance,
    misalignment,
    random_basis_misalignment,
    sampling_floor,
)
from rl_keras.science.filters import kernel_to_rows
from rl_keras.science.patches import PatchMoments
from rl_keras.science.transfer import transfer_function
from rl_keras.seeds import derive_seed

RNG = np.random.default_rng(0)
IMAGES = (RNG.normal(size=(64, 6, 6, 2)) * [1.0, 4.0]).astype("float32")
LABELS = RNG.integers(0, 3, 64)


def dataset(batch=8):
    return tf.data.Dataset.from_tensor_slices((IMAGES, LABELS)).batch(batch)


def small_cnn(**settings):
    model = simple_cnn((6, 6, 2), classes=3, filters=24, units=4, **settings)
    compile_model(model)
    return model


def compile_model(model, **settings):
    model.compile(
        keras.optimizers.SGD(0.01, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        **settings,
    )


def all_callbacks(writers=()):
    return [
        IntervalLoss(every(4), writers),
        ProbeAccuracy(IMAGES[:20], LABELS[:20], schedule=every(4), writers=writers),
        CovarianceAlignment(
            dataset(), schedule=every(4), writers=writers, num_random_bases=2, keep_filters=True
        ),
        ActivationTracker(dataset(), schedule=every(4), writers=writers),
    ]


def regularized_model():
    keras.utils.set_random_seed(5)
    layers = [
        keras.Input((6, 6, 2)),
        keras.layers.Conv2D(24, 3, kernel_regularizer="l2", activity_regularizer="l2", name="c"),
        keras.layers.BatchNormalization(),
        keras.layers.ReLU(),
        keras.layers.Flatten(),
        keras.layers.Dropout(0.5, seed=3),
        keras.layers.Dense(3, name="head"),
    ]
    model = keras.Sequential(layers)
    compile_model(model)
    return model


@pytest.mark.parametrize("build", [small_cnn, regularized_model])
def test_weights_are_bitwise_equal_with_and_without_callbacks(build, tmp_path):
    bare, measured = build(), build()
    bare.fit(dataset(), epochs=2, verbose=0)
    writers = [MetricLog(), TensorBoardWriter(tmp_path)]
    callbacks = [*all_callbacks(writers), WeightHistograms(writers[1])]
    measured.fit(dataset(), epochs=2, verbose=0, callbacks=callbacks)
    for one, other in zip(bare.get_weights(), measured.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert writers[0].rows and list(tmp_path.glob("events*"))


def test_weights_and_records_are_equal_for_one_and_four_steps_per_execution():
    models, records = [small_cnn(), small_cnn()], []
    compile_model(models[1], steps_per_execution=4)
    for model in models:
        callbacks = all_callbacks()
        model.fit(dataset(), epochs=2, verbose=0, callbacks=callbacks)
        records.append([callback.records for callback in callbacks[1:]])
    for one, other in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_array_equal(one, other)
    for one, other in zip(*records, strict=True):
        np.testing.assert_array_equal(one, other)
    assert records[0][0]["step"].tolist() == [0, 4, 8, 12, 16]


def test_measurements_fall_on_the_schedule_the_start_and_the_end():
    alignment = CovarianceAlignment(IMAGES, schedule=every(3), num_random_bases=1)
    small_cnn().fit(dataset(), verbose=0, callbacks=[alignment])
    assert alignment.records["step"].tolist() == [0, 3, 6, 8]


def test_a_second_fit_starts_new_records_and_goes_on_counting():
    alignment, model = (
        CovarianceAlignment(IMAGES, schedule=every(4), num_random_bases=1),
        small_cnn(),
    )
    for steps in ([0, 4, 8], [8, 12, 16]):
        model.fit(dataset(), verbose=0, callbacks=[alignment])
        assert alignment.records["step"].tolist() == steps


def test_alignment_equals_the_science_on_a_snapshot():
    model, log = small_cnn(), MetricLog()
    alignment = CovarianceAlignment(
        dataset(), layer="conv1", schedule=every(5), writers=[log], num_random_bases=3, seed=7
    )
    model.fit(dataset(), verbose=0, callbacks=[alignment])
    rows = kernel_to_rows(model.get_layer("conv1").kernel.numpy())
    spaces = eigenspaces(PatchMoments(3).update(IMAGES).covariance())
    cov = filter_covariance(rows)
    seeds = [derive_seed(7, "random_basis", number) for number in range(3)]
    random = [random_basis_misalignment(cov, seed) for seed in seeds]
    last = alignment.records[-1]
    assert last["data_basis"] == pytest.approx(misalignment(spaces, cov), rel=1e-12)
    assert last["random_basis"] == pytest.approx(np.mean(random), rel=1e-12)
    assert last["floor"] == sampling_floor(24, 18)
    np.testing.assert_allclose(last["transfer"], transfer_function(spaces, cov).values, rtol=1e-12)
    logged = {row["name"]: row["value"] for row in log.rows if row["step"] == 8}
    assert logged["alignment/conv1/data_basis"] == last["data_basis"]
    assert not any(name.startswith("transfer/") for name in logged)


def test_filters_are_kept_when_asked_for_and_reach_no_writer(tmp_path):
    model, log = small_cnn(), MetricLog()
    kernel = model.get_layer("conv1").kernel
    before = kernel_to_rows(kernel.numpy())
    kept, plain = (
        CovarianceAlignment(
            dataset(), schedule=every(3), writers=[log], num_random_bases=1, keep_filters=keep
        )
        for keep in (True, False)
    )
    model.fit(dataset(), verbose=0, callbacks=[kept, plain])
    filters = kept.records["filters_by_step"]
    assert filters.shape == (4, 24, 18) and filters.dtype == np.float32
    np.testing.assert_array_equal(filters[0], before.astype(np.float32))
    np.testing.assert_array_equal(filters[-1], kept.filter_rows().astype(np.float32))
    names = list(plain.records.dtype.names)
    assert [*names, "filters_by_step"] == list(kept.records.dtype.names)
    np.testing.assert_array_equal(kept.records[names], plain.records)
    assert not any("filters" in row["name"] for row in log.rows)


def test_ready_moments_give_the_same_as_the_images():
    records = []
    for data in (IMAGES, dataset(), PatchMoments(3).update(IMAGES)):
        alignment = CovarianceAlignment(data, schedule=every(4), num_random_bases=1)
        small_cnn().fit(dataset(), verbose=0, callbacks=[alignment])
        records.append(alignment.records["data_basis"])
    np.testing.assert_allclose(records[1], records[0], rtol=1e-9)
    np.testing.assert_allclose(records[2], records[0], rtol=1e-9)


def test_a_hidden_layer_is_measured_against_its_own_changing_inputs():
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Dense(3, activation="relu"), keras.layers.Dense(9, name="second")]
    model = keras.Sequential([keras.Input((2,)), *layers])
    compile_model(model)
    x = RNG.normal(size=(64, 2)).astype("float32")
    alignment = CovarianceAlignment(x, layer="second", schedule=every(1), num_random_bases=1)
    model.fit(x, LABELS, batch_size=64, verbose=0, callbacks=[alignment])
    hidden = np.asarray(layers[0](x))
    expected = eigenspaces(np.cov(hidden.T.astype(np.float64), bias=True))
    np.testing.assert_allclose(alignment.spaces.values, expected.values, rtol=1e-6)


def test_moments_of_another_layer_are_refused():
    with pytest.raises(ValueError, match="whose filters have 18 entries. Received: .*dimension 2"):
        moments = PatchMoments(1).update(IMAGES)
        small_cnn().fit(dataset(), verbose=0, callbacks=[CovarianceAlignment(moments)])


def test_a_layer_with_too_few_filters_is_refused_before_training():
    model = simple_cnn((6, 6, 2), classes=3, filters=18, units=4)
    compile_model(model)
    before = model.get_weights()
    with pytest.raises(ValueError, match="18"):
        model.fit(dataset(), verbose=0, callbacks=[CovarianceAlignment(dataset())])
    np.testing.assert_array_equal(before[0], model.get_weights()[0])


def test_activity_equals_counting_by_hand():
    model = small_cnn()
    tracker = ActivationTracker(dataset(), schedule=every(100), max_examples=40)
    model.fit(dataset(), verbose=0, callbacks=[tracker])
    conv = np.asarray(model.get_layer("conv1")(IMAGES[:40]))
    last = tracker.activity["conv1"][-1]
    np.testing.assert_allclose(last["fraction_active"], (conv > 0).mean(axis=(0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(last["mean_activation"], conv.mean(axis=(0, 1, 2)), rtol=1e-5)
    dense = np.asarray(model.get_layer("dense1")(conv.reshape(40, -1)))
    last = tracker.activity["dense1"][-1]
    np.testing.assert_allclose(last["fraction_active"], (dense > 0).mean(axis=0), rtol=1e-6)
    assert last["dead_units"] == np.sum((dense > 0).sum(axis=0) == 0)
    assert list(tracker.activity) == ["conv1", "dense1"]


def test_a_dead_unit_is_counted():
    model = small_cnn()
    bias = np.zeros(24)
    bias[:3] = -1e6
    model.get_layer("conv1").bias.assign(bias)
    tracker = ActivationTracker(IMAGES, layers=["conv1"])
    model.fit(dataset(), verbose=0, callbacks=[tracker])
    assert tracker.activity["conv1"]["dead_units"].tolist() == [3, 3]


@pytest.mark.parametrize(
    ("layers", "message"),
    [(["conv7"], "has no layer 'conv7'. Expected one of: .*conv1"), ([], "has no layer to track")],
)
def test_layers_that_cannot_be_tracked_are_refused(layers, message):
    with pytest.raises(ValueError, match=message):
        small_cnn().fit(dataset(), verbose=0, callbacks=[ActivationTracker(IMAGES, layers)])


def test_probe_accuracy_is_that_of_the_weights_of_its_step():
    model = small_cnn()
    probe = ProbeAccuracy(IMAGES[:21], LABELS[:21], schedule=every(8), batch_size=8)
    model.fit(dataset(), verbose=0, callbacks=[probe])
    expected = np.mean(np.argmax(model.predict(IMAGES[:21], verbose=0), axis=1) == LABELS[:21])
    assert probe.records["accuracy"][-1] == pytest.approx(expected)


def test_a_probe_without_a_label_for_each_input_is_refused():
    with pytest.raises(ValueError, match="same positive length. Received: 3 and 2"):
        ProbeAccuracy(IMAGES[:3], LABELS[:2])


def test_interval_loss_is_the_mean_since_the_last_reading():
    losses, log = [], MetricLog()

    class StepLoss(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            losses.append(logs["loss"])
            self.model.reset_metrics()

    small_cnn().fit(dataset(), verbose=0, callbacks=[StepLoss()])
    small_cnn().fit(dataset(), verbose=0, callbacks=[IntervalLoss(every(4), [log])])
    expected = [np.mean(losses[:4]), np.mean(losses[4:])]
    assert [row["step"] for row in log.rows] == [4, 8]
    np.testing.assert_allclose([row["value"] for row in log.rows], expected, rtol=1e-5)


def test_records_before_training_are_refused():
    with pytest.raises(ValueError, match="nothing is recorded yet"):
        _ = CovarianceAlignment(IMAGES).records


@pytest.mark.parametrize("steps_per_execution", [1, 4])
def test_two_replicas_record_what_one_device_does(steps_per_execution):
    devices = [device.name for device in tf.config.list_logical_devices("CPU")]
    assert len(devices) == 2
    reduction = tf.distribute.ReductionToOneDevice()
    strategy = tf.distribute.MirroredStrategy(devices, cross_device_ops=reduction)
    one, alone = small_cnn(), all_callbacks()
    one.fit(dataset(), verbose=0, callbacks=alone)
    with strategy.scope():
        two = simple_cnn((6, 6, 2), classes=3, filters=24, units=4)
        compile_model(two, steps_per_execution=steps_per_execution)
    together = all_callbacks()
    two.fit(dataset(), verbose=0, callbacks=together)
    for name in ("data_basis", "random_basis", "weight_norm", "step"):
        np.testing.assert_allclose(
            together[2].records[name], alone[2].records[name], rtol=1e-5, err_msg=name
        )
    np.testing.assert_allclose(two.get_weights()[0], one.get_weights()[0], atol=1e-6)
