"""Callbacks in the `fit` of a stranger, where each of these once gave a wrong number in silence."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from strangers import HALVES, LAYERS, X, Y, accuracy, compiled, fit, net

from rl_keras.callbacks import (
    ActivationTracker,
    CovarianceAlignment,
    FeatureAlignmentTracker,
    IntervalLoss,
    MemorisationTracker,
    MetricLog,
    ProbeAccuracy,
    SharedInputs,
    every,
)
from rl_keras.callbacks.layers import alignable_layers, effective_kernel, find_layer
from rl_keras.callbacks.predictions import predicted_classes
from rl_keras.science.alignment import misalignment
from rl_keras.science.eigenspaces import eigenspaces
from rl_keras.science.filters import kernel_to_rows


def alignment(data=X, **settings):
    return CovarianceAlignment(data, num_random_bases=1, null_draws=0, **settings)


def last(probe):
    return probe.records["accuracy"][-1]


# --- what is compiled is what the model is now


def test_a_head_that_was_exchanged_is_measured():
    model, probe = net(), ProbeAccuracy(X, Y)
    fit(model, probe)
    model.pop()
    model.add(LAYERS.Dense(10))
    fit(compiled(model), probe, epochs=10)
    assert last(probe) == accuracy(model) > 0.25


def test_statistics_of_a_normalization_that_was_adapted_again_are_measured():
    normalization = LAYERS.Normalization()
    normalization.adapt(10 * X)
    hidden = LAYERS.Dense(64, "relu", name="d1")
    model = keras.Sequential([keras.Input((20,)), normalization, hidden, LAYERS.Dense(10)])
    probe, moments = ProbeAccuracy(X, Y), alignment(layer="d1")
    tracker = ActivationTracker(X, max_examples=320)
    callbacks = [probe, tracker, moments]
    fit(compiled(model), callbacks)
    normalization.adapt(X)
    fit(compiled(model), callbacks)
    assert last(probe) == accuracy(model)
    scaled = np.asarray(normalization(X))
    expected = np.mean(np.asarray(hidden(scaled)) > 0)
    fraction = tracker.activity["d1"]["fraction_active"][-1]
    assert fraction.mean() == pytest.approx(expected, rel=1e-6)
    values = np.linalg.eigvalsh(np.cov(scaled.T.astype(float), bias=True))
    np.testing.assert_allclose(moments.spaces.values[0], values[-1], rtol=1e-5)


def test_a_number_of_a_layer_that_changed_is_seen_even_in_between():
    class Times(LAYERS.Layer):
        def __init__(self):
            super().__init__()
            self.factors = [1.0]

        def call(self, x):
            return x * self.factors[0]

    times = Times()
    model = compiled(keras.Sequential([keras.Input((20,)), times, LAYERS.Dense(9, "relu")]))
    tracker = ActivationTracker(X, layers=[model.layers[-1].name], max_examples=320)
    fit(model, tracker, y=Y % 9)
    for factor in (1.0, 3.0):
        times.factors[0] = factor
        (activity,) = tracker.read_activity().values()
        expected = np.asarray(model.layers[-1](factor * X))
        np.testing.assert_allclose(activity.mean_activation, expected.mean(0), rtol=1e-5)


def test_a_model_that_stays_the_same_is_compiled_once():
    traces = []

    class Counted(LAYERS.Layer):
        def call(self, x):
            traces.append(keras.backend.is_keras_tensor(x))
            return x

    model = compiled(keras.Sequential([keras.Input((20,)), Counted(), LAYERS.Dense(10)]))
    fit(model, [])
    before = len(traces)
    for _ in range(3):
        fit(model, ProbeAccuracy(X, Y, batch_size=320))
    assert len(traces) == before + 1


# --- predictions and labels belong together


@pytest.mark.parametrize("labels", [Y[:, None], np.eye(10)[Y], tf.constant(Y), Y.tolist()])
def test_labels_in_every_form_give_the_same_accuracy(labels):
    model, probe = net(), ProbeAccuracy(X, labels)
    fit(model, probe, epochs=5)
    assert last(probe) == accuracy(model) > 0.2


def test_one_hot_labels_of_as_many_examples_as_classes_are_told_from_numbers():
    model, probe = net(), ProbeAccuracy(X[:10], np.eye(10)[Y[:10]])
    fit(model, probe)
    assert last(probe) == accuracy(model, X[:10], Y[:10])


@pytest.mark.parametrize("from_logits", [True, False])
def test_one_output_tells_two_classes_apart(from_logits):
    head = LAYERS.Dense(1, None if from_logits else "sigmoid")
    model = keras.Sequential([keras.Input((20,)), head])
    compiled(model, keras.losses.BinaryCrossentropy(from_logits=from_logits), rate=1.0)
    probe = ProbeAccuracy(X, HALVES)
    ledger = MemorisationTracker(X, HALVES[:, None], HALVES)
    fit(model, [probe, ledger], y=HALVES, epochs=6)
    outputs = model.predict(X, verbose=0).ravel()
    expected = (outputs > (0 if from_logits else 0.5)).astype(int)
    assert last(probe) == np.mean(expected == HALVES) > 0.8
    np.testing.assert_array_equal(ledger.records["predictions"][-1], expected)


def test_one_output_of_unknown_meaning_is_refused_unless_a_threshold_is_given():
    model = compiled(keras.Sequential([keras.Input((20,)), LAYERS.Dense(1)]), "mse")
    with pytest.raises(ValueError, match="does not say whether it is a logit .* Received: loss="):
        fit(model, ProbeAccuracy(X, HALVES), y=HALVES)
    probe = ProbeAccuracy(X, HALVES, threshold=0.5)
    fit(model, probe, y=HALVES)
    expected = model.predict(X, verbose=0).ravel() > 0.5
    assert last(probe) == np.mean(expected == HALVES)


def two_heads(outputs=list):
    inputs = keras.Input((20,))
    hidden = LAYERS.Dense(30, "relu", name="hidden")(inputs)
    heads = [LAYERS.Dense(10, name="digit")(hidden), LAYERS.Dense(2, name="half")(hidden)]
    if outputs is dict:
        heads = {"digit": heads[0], "half": heads[1]}
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    loss = {"digit": loss, "half": loss} if outputs is dict else [loss, loss]
    return compiled(keras.Model(inputs, heads), loss)


@pytest.mark.parametrize("outputs", [list, dict])
def test_of_two_heads_the_one_asked_for_is_measured(outputs):
    model = two_heads(outputs)
    probes = [ProbeAccuracy(X, Y, "a", output="digit"), ProbeAccuracy(X, HALVES, output="half")]
    labels = {"digit": Y, "half": HALVES} if outputs is dict else [Y, HALVES]
    fit(model, probes, y=labels, epochs=2)
    predicted = keras.tree.flatten(model.predict(X, verbose=0))
    for probe, logits, truth in zip(probes, predicted, (Y, HALVES), strict=True):
        assert last(probe) == np.mean(np.argmax(logits, -1) == truth)


def test_two_heads_without_a_choice_are_refused():
    with pytest.raises(ValueError, match="the model has 2 outputs; `output` must be one of: 0, 1"):
        fit(two_heads(), ProbeAccuracy(X, Y), y=[Y, HALVES])


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.eye(4)[Y % 4], "one-hot of shape \\(320, 10\\).*Received: shape \\(320, 4\\)"),
        (Y + 5, "labels must be from 0 to 9.*Received: 5 to 14"),
        (Y + 0.5, "labels must be class numbers. Received: float64 with fractions"),
        (np.ones((320, 10)), "one largest entry in each row"),
    ],
)
def test_labels_that_do_not_belong_to_the_outputs_are_refused(labels, message):
    with pytest.raises(ValueError, match=message):
        fit(net(), ProbeAccuracy(X, labels))


def test_nan_is_no_class_and_is_said():
    model = net()
    probe = ProbeAccuracy(X, np.zeros(320, int), schedule=every(5))
    ledger = MemorisationTracker(X, np.zeros(320, int), np.zeros(320, int), schedule=every(5))
    model.get_layer("d2").bias.assign(np.full(10, np.nan))
    with pytest.warns(UserWarning, match="320 of 320 predictions at step 0 are NaN"):
        fit(model, [probe, ledger])
    assert probe.records["accuracy"].tolist() == [0, 0, 0]
    assert (ledger.records["predictions"] == -1).all()
    assert not ledger.ledger.fitted.any()
    assert predicted_classes(np.array([[np.nan, 1.0], [0.0, 1.0]])).tolist() == [-1, 1]


# --- which layers are measured


@pytest.mark.parametrize("relu", ["ops", "activations"])
@pytest.mark.parametrize("kind", ["functional", "subclass"])
def test_a_non_linearity_between_the_layers_is_refused_by_name(kind, relu):
    function = keras.ops.relu if relu == "ops" else keras.activations.relu
    parts = [
        LAYERS.Dense(64, name="d1"),
        LAYERS.BatchNormalization(beta_initializer=keras.initializers.Constant(-9)),
    ]
    head = LAYERS.Dense(10, name="d2")

    class Model(keras.Model):
        def __init__(self):
            super().__init__()
            self.parts, self.head = parts, head

        def call(self, x):
            return self.head(function(self.parts[1](self.parts[0](x))))

    inputs = keras.Input((20,))
    if kind == "functional":
        model = keras.Model(inputs, head(function(parts[1](parts[0](inputs)))))
    else:
        model = Model()
    with pytest.raises(ValueError, match="output of layer 'd1' goes to an operation between"):
        fit(compiled(model), ActivationTracker(X))


def test_a_dead_layer_after_batch_normalization_is_dead():
    beta = keras.initializers.Constant(-9)
    bn, relu = LAYERS.BatchNormalization(beta_initializer=beta), LAYERS.ReLU(name="relu")
    parts = [keras.Input((20,)), LAYERS.Dense(64), bn, relu, LAYERS.Dense(10)]
    tracker = ActivationTracker(X)
    fit(compiled(keras.Sequential(parts)), tracker)
    assert list(tracker.activity) == ["relu"]
    assert tracker.activity["relu"]["dead_units"].tolist() == [64, 64]
    assert not tracker.activity["relu"]["fraction_active"].any()


class HeadFirst(keras.Model):
    """Makes its layers in the opposite of the order in which it calls them."""

    def __init__(self, head=None):
        super().__init__()
        self.head = LAYERS.Dense(10, name="head") if head is None else head
        self.second = LAYERS.Dense(30, "relu", name="second")
        self.first = LAYERS.Dense(40, "relu", name="first")

    def call(self, x):
        return self.head(self.second(self.first(x)))


def test_layers_follow_the_order_of_the_call_and_a_model_is_built_from_the_data():
    model, moments, tracker = HeadFirst(), alignment(), ActivationTracker(X)
    features = FeatureAlignmentTracker(X[:20])
    fit(compiled(model), [moments, tracker, features])
    assert moments.layer_path == features.layer_path == "first"
    assert list(tracker.activity) == ["first", "second"]
    assert list(alignable_layers(model, X)) == ["first", "second", "head"]
    shared = SharedInputs(X, [0])
    fit(model, alignment(shared, layer="first"))
    assert find_layer(model, -1, X)[0] == "head"


def test_building_from_the_data_leaves_the_weights_bitwise_equal():
    weights = []
    for callbacks in ([], [alignment(), ActivationTracker(X), ProbeAccuracy(X, Y)]):
        keras.utils.set_random_seed(3)
        model = HeadFirst()
        fit(compiled(model), callbacks)
        weights.append(model.get_weights())
    for one, other in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_head_of_another_class_takes_no_hidden_layer_with_it():
    class Cosine(LAYERS.Layer):
        def build(self, shape):
            self.directions = self.add_weight(shape=(shape[-1], 10))

        def call(self, x):
            return keras.ops.matmul(x, keras.ops.normalize(self.directions, axis=0))

    tracker = ActivationTracker(X)
    fit(compiled(HeadFirst(Cosine())), tracker)
    assert list(tracker.activity) == ["first", "second"]
    linear = [LAYERS.Dense(12, name="l1"), LAYERS.Dense(11, name="l2"), Cosine()]
    tracker = ActivationTracker(X)
    fit(compiled(keras.Sequential([keras.Input((20,)), *linear])), tracker)
    assert list(tracker.activity) == ["l1", "l2"]


def test_a_softmax_after_the_head_is_part_of_it():
    parts = [LAYERS.Dense(12, "relu", name="d1"), LAYERS.Dense(10), LAYERS.Activation("softmax")]
    tracker = ActivationTracker(X)
    model = keras.Sequential([keras.Input((20,)), *parts])
    fit(compiled(model, keras.losses.SparseCategoricalCrossentropy()), tracker)
    assert list(tracker.activity) == ["d1"]


@pytest.mark.parametrize(
    "layer",
    [
        LAYERS.LeakyReLU(),
        LAYERS.PReLU(),
        LAYERS.ELU(),
        LAYERS.Activation("gelu"),
        LAYERS.Activation("leaky_relu"),
        LAYERS.ReLU(negative_slope=0.1),
    ],
    ids=lambda layer: layer.name,
)
def test_layers_with_a_slope_everywhere_are_tracked_and_have_no_dead_units(layer):
    log = MetricLog()
    dense = LAYERS.Dense(64)
    model = keras.Sequential([keras.Input((20,)), dense, layer, LAYERS.Dense(10)])
    tracker = ActivationTracker(X, writers=[log], max_examples=320)
    fit(compiled(model), tracker)
    (activity,) = tracker.activity.values()
    expected = np.asarray(layer(dense(X)))
    assert list(tracker.activity) == [layer.name]
    np.testing.assert_allclose(activity["mean_activation"][-1], expected.mean(0), rtol=1e-4)
    np.testing.assert_allclose(activity["fraction_active"][-1], (expected > 0).mean(0), rtol=1e-5)
    assert np.isnan(activity["dead_units"]).all()
    assert {row["name"].split("/")[-1] for row in log.rows} == {"rarely_active", "effective_rank"}


def test_what_is_followed_and_what_is_not_is_said_once(capsys):
    fit(net(), ActivationTracker(X), verbose=2, epochs=2)
    lines = [line for line in capsys.readouterr().out.splitlines() if "Tracker" in line]
    assert lines == ["ActivationTracker: follows d1; not 'd2': it is the output."]


# --- the clock


class TwoOptimizers(keras.Model):
    """Trains one layer with each of two optimisers, the second at every other batch."""

    def __init__(self):
        super().__init__()
        self.a = LAYERS.Dense(30, "relu", name="a")
        self.b = LAYERS.Dense(10, name="b")
        self.optimizer_a, self.optimizer_b = keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.1)

    def call(self, x):
        return self.b(self.a(x))

    def train_step(self, data):
        x, y = data
        with tf.GradientTape(persistent=True) as tape:
            loss = tf.reduce_mean(
                keras.losses.sparse_categorical_crossentropy(y, self(x), from_logits=True)
            )
        for optimizer, layer in ((self.optimizer_a, self.a), (self.optimizer_b, self.b)):
            variables = layer.trainable_variables
            optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return {"loss": loss}


def test_updates_of_other_optimisers_are_counted():
    model, probe = TwoOptimizers(), ProbeAccuracy(X, Y, schedule=every(4))
    model.compile()
    with pytest.warns(UserWarning, match="steps are updates of `optimizer_a`"):
        fit(model, probe)
    assert probe.records["step"].tolist() == [0, 4, 8, 10]
    assert last(probe) == accuracy(model)
    fit(model, probe)
    assert probe.records["step"].tolist() == [10, 12, 16, 20]


def test_without_any_optimiser_batches_are_counted():
    model = net()
    uncompiled = keras.Sequential(model.layers)
    probe = ProbeAccuracy(X, Y, schedule=4)
    callbacks = keras.callbacks.CallbackList([probe], model=uncompiled)
    callbacks.on_train_begin()
    for number in range(6):
        model.train_on_batch(X, Y)
        callbacks.on_train_batch_end(number)
    callbacks.on_train_end()
    assert probe.records["step"].tolist() == [0, 4, 6]
    assert last(probe) == accuracy(model)


def test_an_integer_is_a_schedule_and_another_thing_is_not():
    probe = ProbeAccuracy(X, Y, schedule=4)
    fit(net(), probe)
    assert probe.records["step"].tolist() == [0, 4, 8, 10]
    with pytest.raises(ValueError, match="must be a number of steps.*Received: schedule='4'"):
        ProbeAccuracy(X, Y, schedule="4")


def test_records_of_an_earlier_fit_are_not_lost_in_silence():
    model, probe = net(), ProbeAccuracy(X, Y)
    fit(model, probe)
    with pytest.warns(UserWarning, match="starts new records; the 2 of the last training are gone"):
        fit(model, probe)


@pytest.mark.parametrize("is_first", [True, False])
def test_the_last_record_is_of_its_step_though_earlier_weights_are_restored(is_first):
    seen = {}

    class Slow(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen[int(self.model.optimizer.iterations.numpy())] = accuracy(self.model)

    model, probe = net(), ProbeAccuracy(X, Y, schedule=every(1000))
    stop = keras.callbacks.EarlyStopping(
        "loss", patience=2, mode="max", restore_best_weights=True, start_from_epoch=3
    )
    others = [stop, probe] if is_first else [probe, stop]
    fit(model, [Slow(), *others], epochs=20)
    (_, step), (_, value) = probe.records["step"], probe.records["accuracy"]
    assert step == max(seen) < 200 and value == seen[step]
    assert accuracy(model) != value  # restored


# --- nothing is shared with Keras's metrics


@pytest.mark.parametrize("settings", [{}, {"steps_per_execution": 2}, {"jit_compile": True}])
def test_interval_loss_goes_across_epochs_and_leaves_the_history_alone(settings):
    x, y = X[:312], Y[:312]  # the last batch of an epoch is of 24
    losses, weights = [], []
    model = net()
    for _ in range(2):
        for i in range(0, 312, 32):
            losses.append(float(model.train_on_batch(x[i : i + 32], y[i : i + 32])))
            model.reset_metrics()
            weights.append(len(x[i : i + 32]))
    log = MetricLog()
    model = compiled(net(), **settings)
    validation = {"validation_data": (x, y)}
    history = fit(model, IntervalLoss(every(4), [log]), x, y, epochs=2, **validation).history
    assert [row["step"] for row in log.rows] == [4, 8, 12, 16, 20]
    expected = [np.average(losses[i : i + 4], weights=weights[i : i + 4]) for i in range(0, 20, 4)]
    np.testing.assert_allclose([row["value"] for row in log.rows], expected, rtol=1e-5)
    means = [np.average(losses[i : i + 10], weights=weights[i : i + 10]) for i in (0, 10)]
    np.testing.assert_allclose(history["loss"], means, rtol=1e-5)


# --- inputs come through one door


def expected_alignment(model, x=X):
    rows = kernel_to_rows(np.asarray(model.get_layer("d1").kernel))
    covariance = np.cov(x.T.astype(float), bias=True)
    return misalignment(eigenspaces(covariance), rows.T @ rows / len(rows))


@pytest.mark.parametrize(
    "data",
    [
        tf.constant(X),
        (X, Y),
        tf.data.Dataset.from_tensor_slices((X, Y)).batch(50),
        tf.data.Dataset.from_tensor_slices(X).batch(50),
        [X[:100], X[100:]],
        [(X[:100], Y[:100]), (X[100:], Y[100:])],
    ],
    ids=["tensor", "pair", "dataset", "inputs", "batches", "pairs"],
)
def test_data_is_taken_as_fit_takes_it(data):
    model, moments = net(), alignment(data)
    fit(model, moments)
    assert moments.records["data_basis"][-1] == pytest.approx(expected_alignment(model), rel=1e-6)


def test_a_py_dataset_is_taken():
    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 4

        def __getitem__(self, number):
            return X[number * 80 : (number + 1) * 80], Y[number * 80 : (number + 1) * 80]

    model, moments = net(), alignment(Batches())
    fit(model, moments)
    assert moments.records["data_basis"][-1] == pytest.approx(expected_alignment(model), rel=1e-6)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (lambda: (X[i : i + 32] for i in range(0, 320, 32)), "an iterator, generator"),
        (lambda: tf.data.Dataset.from_tensor_slices((X, Y)), "come in batches.*shape \\(20,\\)"),
        (lambda: tf.data.Dataset.from_tensor_slices(X), "come in batches.*shape \\(20,\\)"),
        (lambda: [], "at least one batch. Received: an empty list"),
        (lambda: 7, "must be an array or an iterable of batches. Received: int"),
        (
            lambda: tf.data.Dataset.from_tensor_slices((X, Y)).batch(512, drop_remainder=True),
            "at least one batch",
        ),
        (
            lambda: tf.data.Dataset.from_tensor_slices({"x": X}).batch(512, drop_remainder=True),
            "at least one batch",
        ),
    ],
    ids=["generator", "unbatched", "unbatched_x", "empty", "number", "dropped", "dropped_dict"],
)
@pytest.mark.parametrize("kind", [alignment, ActivationTracker, FeatureAlignmentTracker])
def test_data_that_cannot_be_read_is_refused_in_one_line(kind, data, message):
    with pytest.raises(ValueError, match=message) as caught:
        fit(net(), kind(data()))
    assert "\n" not in str(caught.value)


def two_inputs(arranged):
    inputs = {"a": keras.Input((20,), name="a"), "b": keras.Input((20,), name="b")}
    hidden = LAYERS.Dense(64, "relu", name="d1")(inputs["a"])
    both = LAYERS.Concatenate()([hidden, inputs["b"]])
    inputs = inputs if arranged is dict else list(inputs.values())
    return compiled(keras.Model(inputs, LAYERS.Dense(10, name="d2")(both)))


@pytest.mark.parametrize("arranged", [dict, list])
@pytest.mark.parametrize("batched", [False, True])
def test_two_inputs_are_taken_in_a_dict_or_a_list(arranged, batched):
    model = two_inputs(arranged)
    inputs = {"a": X, "b": X[::-1]} if arranged is dict else [X, X[::-1]]
    structure = inputs if arranged is dict else tuple(inputs)
    batches = tf.data.Dataset.from_tensor_slices((structure, Y)).batch(32)
    data = batches if batched else inputs
    moments, tracker = alignment(data, layer="d1"), ActivationTracker(data, max_examples=320)
    probe = ProbeAccuracy(inputs, Y)
    ledger = MemorisationTracker(inputs, Y, Y)
    features = FeatureAlignmentTracker(data, layer="d1", max_examples=40)
    model.fit(batches, verbose=0, callbacks=[moments, tracker, probe, ledger, features])
    assert moments.records["data_basis"][-1] == pytest.approx(expected_alignment(model), rel=1e-6)
    hidden = np.asarray(model.get_layer("d1")(X))
    fraction = tracker.activity["d1"]["fraction_active"][-1]
    np.testing.assert_allclose(fraction, (hidden > 0).mean(0), rtol=1e-6)
    predicted = np.argmax(model.predict(inputs, verbose=0), -1)
    assert last(probe) == np.mean(predicted == Y)
    np.testing.assert_array_equal(ledger.records["predictions"][-1], predicted)


# --- the effective weight


def test_filters_of_a_quantised_layer_are_scaled_back():
    model = net()
    before = np.asarray(model.get_layer("d1").kernel)
    model.quantize("int8")
    kernel = effective_kernel(model.get_layer("d1"))
    assert np.linalg.norm(kernel) == pytest.approx(np.linalg.norm(before), rel=0.01)
    np.testing.assert_allclose(kernel, before, atol=np.abs(before).max() / 127)
    moments, tracker = alignment(), ActivationTracker(X, max_examples=320)
    for callback in (moments, tracker):
        callback.set_model(model)
        callback.on_train_begin()
    assert moments.records["weight_norm"][0] == pytest.approx(np.linalg.norm(before), rel=0.01)
    hidden = np.asarray(model.get_layer("d1")(X))
    fraction = tracker.activity["d1"]["fraction_active"][0]
    np.testing.assert_allclose(fraction, (hidden > 0).mean(0), rtol=1e-6)
    model = net()
    model.quantize("int4")
    with pytest.raises(ValueError, match="'d1' is quantised to 'int4', whose filters cannot"):
        effective_kernel(model.get_layer("d1"))


def test_low_rank_updates_belong_to_the_filters():
    model = net()
    layer = model.get_layer("d1")
    before = np.asarray(layer.kernel)
    layer.enable_lora(2)
    layer.lora_kernel_b.assign(np.ones(layer.lora_kernel_b.shape))
    added = np.asarray(layer.lora_kernel_a) @ np.ones(layer.lora_kernel_b.shape)
    np.testing.assert_allclose(effective_kernel(layer), before + added, rtol=1e-5)


def test_a_layer_with_its_own_arithmetic_is_refused():
    class Standardised(LAYERS.Conv2D):
        def convolution_op(self, inputs, kernel):
            return super().convolution_op(inputs, kernel - keras.ops.mean(kernel))

    model = keras.Sequential([keras.Input((6, 6, 3)), Standardised(30, 3, name="ws")])
    with pytest.raises(ValueError, match="'ws' is a Standardised with its own `convolution_op`"):
        find_layer(model, "ws")


# --- a series has an identity


def test_two_callbacks_of_a_kind_write_two_series():
    log = MetricLog()
    callbacks = [ActivationTracker(X, writers=[log], schedule=every(99)) for _ in range(2)]
    callbacks += [ActivationTracker(X, writers=[log], schedule=every(99), name="mine")]
    callbacks += [ProbeAccuracy(X, Y, writers=[log], schedule=every(99)) for _ in range(2)]
    model = net()
    for _ in range(2):  # the same again, in another training
        log.rows.clear()
        fit(model, callbacks)
        names = [row["name"] for row in log.rows if row["name"].endswith(("dead_units", "racy"))]
        assert sorted(names) == sorted(
            2
            * [
                "activity/d1/dead_units",
                "ActivationTracker_2/activity/d1/dead_units",
                "mine/activity/d1/dead_units",
                "probe/accuracy",
                "probe_2/accuracy",
            ]
        )


# --- a measurement never ends a training


def test_a_diverging_training_returns_and_its_records_are_nan():
    model = compiled(net(), rate=1e30)
    callbacks = [
        keras.callbacks.TerminateOnNaN(),
        alignment(),
        ActivationTracker(X),
        FeatureAlignmentTracker(X[:20]),
        ProbeAccuracy(X, Y),
        MemorisationTracker(X, Y, Y),
    ]
    with pytest.warns(UserWarning, match="could not measure step"):
        history = fit(model, callbacks, epochs=3)
    assert len(history.history["loss"]) == 1
    assert np.isnan(callbacks[1].records["data_basis"][-1])
    assert callbacks[4].records["accuracy"][-1] == 0
    assert (callbacks[5].records["predictions"][-1] == -1).all()


# --- numbers of short formats, and inputs without axes


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_short_formats_are_measured(policy):
    keras.utils.set_random_seed(0)
    parts = [LAYERS.Dense(64, "relu", name="d1", dtype=policy), LAYERS.Dense(10, dtype=policy)]
    model = compiled(keras.Sequential([keras.Input((20,)), *parts]))
    moments, tracker, probe = alignment(), ActivationTracker(X), ProbeAccuracy(X, Y)
    features = FeatureAlignmentTracker(X[:20])
    second = CovarianceAlignment(X, layer=1, few_filters=True, num_random_bases=1)
    fit(model, [moments, tracker, probe, features, second])
    expected = expected_alignment(model, X.astype(policy.removeprefix("mixed_")).astype(float))
    assert moments.records["data_basis"][-1] == pytest.approx(expected, rel=1e-3)
    logits = np.asarray(model.predict(X, verbose=0)).astype(np.float32)
    assert last(probe) == np.mean(np.argmax(logits, -1) == Y)
    assert np.isfinite(tracker.activity["d1"]["mean_activation"]).all()
    assert np.isfinite(features.records["gram_observed"]).all()
    assert np.isfinite(second.records["transfer"]).all()


@pytest.mark.parametrize("data", [np.ones_like(X), X[:1]], ids=["equal", "one"])
def test_inputs_without_variance_have_no_axes_to_be_aligned_with(data):
    moments = alignment(data)
    with pytest.warns(UserWarning, match="all inputs of layer 'd1' are equal.*undefined"):
        fit(net(), moments)
    assert np.isnan(moments.records["data_basis"]).all()
    assert np.isnan(moments.records["random_basis"]).all()
    assert np.isnan(moments.records["transfer"]).all()
    assert np.isfinite(moments.records["weight_norm"]).all()
