"""Every callback in every kind of model and way to train: the right value, or one line.

The weights of each step are kept, and when training is over they are put back one after the
other, so that what each record says can be worked out by another way: by calling the model, and
with NumPy.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf

from rl_keras.callbacks import (
    ActivationTracker,
    CovarianceAlignment,
    FeatureAlignmentTracker,
    IntervalLoss,
    MemorisationTracker,
    MetricLog,
    ProbeAccuracy,
    every,
)
from rl_keras.callbacks.layers import named_layers
from rl_keras.science.alignment import filter_covariance, misalignment
from rl_keras.science.eigenspaces import eigenspaces

LAYERS = keras.layers
RNG = np.random.default_rng(0)
X = RNG.normal(size=(28, 6)).astype("float32")
Y = RNG.integers(0, 3, 28)
BATCH = 7
ENTROPY = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def dense(units, name, activation="relu"):
    return LAYERS.Dense(units, activation, name=name)


def sequential():
    return keras.Sequential([keras.Input((6,)), dense(8, "d1"), dense(3, "head", None)])


def heads():
    a, b = keras.Input((6,), name="a"), keras.Input((6,), name="b")
    hidden = LAYERS.Concatenate()([dense(8, "d1")(a), b])
    return keras.Model([a, b], [dense(3, "head", None)(hidden), dense(3, "other", None)(hidden)])


class Subclass(keras.Model):
    """Makes the head first, and is built by its first batch."""

    def __init__(self):
        super().__init__()
        self.head = dense(3, "head", None)
        self.d1 = dense(8, "d1")

    def call(self, x):
        return self.head(self.d1(x))


def nested():
    inner = keras.Sequential([keras.Input((6,)), dense(8, "d1")], name="inner")
    inputs = keras.Input((6,))
    return keras.Model(inputs, dense(3, "head", None)(inner(inputs)))


def shared():
    inputs, layer = keras.Input((6,)), dense(6, "d1")
    return keras.Model(inputs, dense(3, "head", None)(layer(layer(inputs))))


def recurrent():
    layers = [LAYERS.Reshape((3, 2)), LAYERS.SimpleRNN(8, name="d1"), dense(3, "head", None)]
    return keras.Sequential([keras.Input((6,)), *layers])


def normalised():
    layers = [dense(8, "d1", None), LAYERS.BatchNormalization(), LAYERS.ReLU(name="relu")]
    return keras.Sequential([keras.Input((6,)), *layers, dense(3, "head", None)])


def frozen():
    model = sequential()
    model.get_layer("d1").trainable = False
    return model


MODELS = {
    "sequential": sequential,
    "heads": heads,
    "subclass": Subclass,
    "nested": nested,
    "shared": shared,
    "recurrent": recurrent,
    "normalised": normalised,
    "frozen": frozen,
}
SETTINGS = {
    "fit": {},
    "train_on_batch": {},
    "own_step": {},
    "accumulation": {},
    "loss_scaling": {},
    "executions": {"steps_per_execution": 2},
    "jit": {"jit_compile": True},
    "eager": {"run_eagerly": True},
    "mirrored": {},
}


def own_step(model):
    def train_step(data):
        x, y = data
        with tf.GradientTape() as tape:
            outputs, labels = (keras.tree.flatten(part) for part in (model(x, training=True), y))
            pairs = zip(labels, outputs, strict=True)
            loss = sum(ENTROPY(truth, output) for truth, output in pairs)
        gradients = tape.gradient(loss, model.trainable_variables)
        model.optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return {"loss": loss}

    return train_step


def make(kind, way):
    keras.utils.set_random_seed(1)
    model = MODELS[kind]()
    optimizer = keras.optimizers.SGD(
        0.5, gradient_accumulation_steps=2 if way == "accumulation" else None
    )
    if way == "loss_scaling":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    loss = [ENTROPY, ENTROPY] if kind == "heads" else ENTROPY
    model.compile(optimizer, loss, **SETTINGS[way])
    if way == "own_step":
        model.train_step = own_step(model)
    return model


def build(kind, way):
    if way != "mirrored":
        return make(kind, way)
    devices = [device.name for device in tf.config.list_logical_devices("CPU")]
    reduction = tf.distribute.ReductionToOneDevice()
    with tf.distribute.MirroredStrategy(devices, cross_device_ops=reduction).scope():
        return make(kind, way)


class Weights(keras.callbacks.Callback):
    """Keeps the weights of every step, and what the logs say of the loss."""

    def on_train_begin(self, logs=None):
        self.of_step, self.losses = {0: self.model.get_weights()}, []

    def on_train_batch_end(self, batch, logs=None):
        step = int(self.model.optimizer.iterations.numpy())
        self.losses.append(float(logs["loss"]))
        # With accumulated gradients moving statistics go on while the step stays.
        self.of_step.setdefault(step, self.model.get_weights())


def train(model, kind, way, callbacks):
    x, y = inputs_and_labels(kind)
    if way == "train_on_batch":
        hooks = keras.callbacks.CallbackList(callbacks, model=model, epochs=1, verbose=0)
        hooks.on_train_begin()
        hooks.on_epoch_begin(0)
        for number, start in enumerate(range(0, len(Y), BATCH)):
            batch = (
                keras.tree.map_structure(lambda a, i=start: a[i : i + BATCH], part)
                for part in (x, y)
            )
            loss = model.train_on_batch(*batch, return_dict=True)
            hooks.on_train_batch_end(number, loss)
        hooks.on_epoch_end(0)
        hooks.on_train_end()
        return None
    structure = keras.tree.map_structure(np.asarray, (x, y))
    structure = tuple(tuple(part) if isinstance(part, list) else part for part in structure)
    dataset = tf.data.Dataset.from_tensor_slices(structure)
    # Of the last batch of 3 two replicas take 2 and 1.
    dataset = dataset.take(27).batch(8) if way == "mirrored" else dataset.batch(BATCH)
    return model.fit(dataset, verbose=0, shuffle=False, callbacks=callbacks).history


def inputs_and_labels(kind):
    return ([X, X[::-1].copy()], [Y, Y]) if kind == "heads" else (X, Y)


def logits_of(model, kind):
    x, _ = inputs_and_labels(kind)
    x = [*map(tf.constant, x)] if kind == "heads" else tf.constant(x)
    outputs = model(x, training=False)
    return np.asarray(outputs[0] if kind == "heads" else outputs)


def hidden_of(model, kind):
    """What the followed layer gives, without our reading of layers."""
    if kind == "recurrent":
        kernel, recurrent_kernel, bias = model.get_layer("d1").get_weights()
        state = np.zeros((len(X), 8))
        for part in X.reshape(-1, 3, 2).swapaxes(0, 1):
            state = np.tanh(part @ kernel + state @ recurrent_kernel + bias)
        return state
    kernel, bias = named_layers(model)[first_path(kind)].get_weights()
    values = X @ kernel + bias
    if kind == "normalised":
        gamma, beta, mean, variance = model.layers[1].get_weights()
        values = (values - mean) / np.sqrt(variance + model.layers[1].epsilon) * gamma + beta
    return np.maximum(values, 0)


def first_path(kind):
    return {"nested": "inner/d1", "recurrent": "head"}.get(kind, "d1")


def followed_path(kind):
    return {"nested": "inner/d1", "normalised": "relu"}.get(kind, "d1")


def measured(kind, log):
    """The callbacks of a cell, and those that this model refuses with the line that says why."""
    inputs, _ = inputs_and_labels(kind)
    output = "head" if kind == "heads" else None
    own = {"schedule": every(2), "writers": [log]}
    callbacks = {
        "loss": IntervalLoss(**own),
        "probe": ProbeAccuracy(inputs, Y, output=output, batch_size=28, **own),
        "ledger": MemorisationTracker(inputs, Y, Y, output=output, batch_size=28, **own),
        "tracker": ActivationTracker(inputs, **own),
        "alignment": CovarianceAlignment(
            inputs, num_random_bases=1, null_draws=9, keep_filters=True, few_filters=True, **own
        ),
        "features": FeatureAlignmentTracker(inputs, max_examples=4, **own),
    }
    twice = "layer 'd1' is called 2 times in a forward pass. Expected: 1"
    refused = {
        "shared": dict.fromkeys(("tracker", "alignment", "features"), twice),
        "heads": {"features": "must have one output, whose gradients are taken"},
    }
    return callbacks, refused.get(kind, {})


@pytest.mark.parametrize("way", SETTINGS)
@pytest.mark.parametrize("kind", MODELS)
def test_records_are_right_or_one_line_says_why_not(kind, way):
    log, weights = MetricLog(), Weights()
    callbacks, refused = measured(kind, log)
    model = build(kind, way)
    if way == "fit":
        assert_refused(model, kind, callbacks, refused)
    for name in refused:
        del callbacks[name]
    if way != "fit":  # the slowest to compile, and alike in all ways
        callbacks.pop("features", None)
    history = train(model, kind, way, [*callbacks.values(), weights])
    steps = [0, 2] if way == "accumulation" else [0, 2, 4]  # of two batches each
    for callback in callbacks.values():
        assert callback.records["step"].tolist() == steps
    losses = [row["value"] for row in log.rows if row["name"] == "train/loss"]
    assert len(losses) == len(steps) - 1
    if way == "own_step":
        expected = np.mean(np.reshape(weights.losses, (2, 2)), axis=1)
        np.testing.assert_allclose(losses, expected, rtol=1e-5)
    elif history:
        sizes = {"mirrored": [16, 11], "accumulation": [28]}.get(way, [14, 14])
        assert np.average(losses, weights=sizes) == pytest.approx(history["loss"][-1], rel=1e-5)
    for number, step in enumerate(steps):
        model.set_weights(weights.of_step[step])
        records = {name: callback.records[number] for name, callback in callbacks.items()}
        assert_right(model, kind, callbacks, records)


def assert_refused(model, kind, callbacks, refused):
    for name, message in refused.items():
        before = model.get_weights()
        with pytest.raises(ValueError) as caught:
            train(model, kind, "fit", [callbacks[name]])
        assert message in str(caught.value) and "\n" not in str(caught.value)
        for one, other in zip(before, model.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)


def assert_right(model, kind, callbacks, records):
    predicted = np.argmax(logits_of(model, kind), -1)
    np.testing.assert_array_equal(records["ledger"]["predictions"], predicted)
    assert records["probe"]["accuracy"] == np.mean(predicted == Y)
    if "tracker" in callbacks:
        hidden, path = hidden_of(model, kind), followed_path(kind)
        assert list(callbacks["tracker"].activity) == [path]
        fraction = records["tracker"][f"{path}:fraction_active"]
        np.testing.assert_allclose(fraction, (hidden > 0).mean(0), atol=1e-6)
        mean = records["tracker"][f"{path}:mean_activation"]
        np.testing.assert_allclose(mean, hidden.mean(0), atol=1e-5)
        dead = records["tracker"][f"{path}:dead_units"]
        is_relu = kind != "recurrent"
        assert dead == np.sum(~(hidden > 0).any(0)) if is_relu else np.isnan(dead)
    if "alignment" in callbacks:
        assert callbacks["alignment"].layer_path == first_path(kind)
        rows = named_layers(model)[first_path(kind)].get_weights()[0].T
        np.testing.assert_array_equal(records["alignment"]["filters_by_step"], rows)
        expected = np.nan
        if len(rows) > rows.shape[1]:
            covariance = np.cov(X.T.astype(float), bias=True)
            expected = misalignment(eigenspaces(covariance), filter_covariance(rows))
        assert records["alignment"]["data_basis"] == pytest.approx(expected, rel=1e-6, nan_ok=True)
    if "features" in callbacks:
        rows = named_layers(model)[first_path(kind)].get_weights()[0].T
        np.testing.assert_array_equal(records["features"]["filters"], rows)


@pytest.mark.parametrize("kind", ["sequential", "subclass", "normalised"])
def test_weights_are_bitwise_equal_with_and_without_callbacks(kind):
    weights = []
    for is_measured in (False, True):
        model, (callbacks, _) = build(kind, "fit"), measured(kind, MetricLog())
        train(model, kind, "fit", [*callbacks.values()] if is_measured else [])
        weights.append(model.get_weights())
    for one, other in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("batch_size", [1, 5, 28, 100])
def test_the_batch_size_of_a_probe_changes_nothing(batch_size):
    model = build("sequential", "fit")
    probe = ProbeAccuracy(X, Y, batch_size=batch_size)
    train(model, "sequential", "fit", [probe])
    predicted = np.argmax(model.predict(X, verbose=0), -1)
    assert probe.records["accuracy"][-1] == np.mean(predicted == Y)
