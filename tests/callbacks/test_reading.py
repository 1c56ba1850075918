import keras
import numpy as np
import pytest

from rl_keras.callbacks import ActivationTracker, CovarianceAlignment, every
from rl_keras.callbacks.batches import batches_of_inputs
from rl_keras.callbacks.layers import alignable_layers, find_layer, named_layers
from rl_keras.callbacks.reading import capture, forward

LAYERS = keras.layers


def first_stage():
    return [LAYERS.Conv2D(30, 3, activation="relu", name="conv"), LAYERS.Flatten(name="flat")]


def functional():
    inputs = keras.Input((6, 6, 3))
    x = inputs
    for layer in first_stage():
        x = layer(x)
    return keras.Model(inputs, LAYERS.Dense(2, name="head")(x))


def sequential():
    return keras.Sequential([keras.Input((6, 6, 3)), *first_stage(), LAYERS.Dense(2, name="head")])


def nested():
    backbone = keras.Sequential([keras.Input((6, 6, 3)), *first_stage()], name="backbone")
    inputs = keras.Input((6, 6, 3))
    return keras.Model(inputs, LAYERS.Dense(2, name="head")(backbone(inputs)))


class Block(keras.layers.Layer):
    def __init__(self):
        super().__init__(name="block")
        self.parts = first_stage()

    def call(self, x):
        for part in self.parts:
            x = part(x)
        return x


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__(name="subclassed")
        self.block = Block()
        self.head = LAYERS.Dense(2, name="head")

    def call(self, x):
        return self.head(self.block(x))


def subclassed():
    model = Subclassed()
    model(np.zeros((1, 6, 6, 3), "float32"))
    return model


MODELS = {
    "functional": (functional, "conv"),
    "sequential": (sequential, "conv"),
    "nested": (nested, "backbone/conv"),
    "subclassed": (subclassed, "block/conv"),
}


def input_and_output(layer_input, layer_output):
    return layer_input, layer_output


@pytest.mark.parametrize("kind", MODELS)
def test_layers_are_found_by_index_name_and_path(kind):
    build, path = MODELS[kind]
    model = build()
    assert list(alignable_layers(model)) == [path, "head"]
    found = {find_layer(model, which)[1] for which in (0, -2, "conv", path)}
    assert found == {named_layers(model)[path]}


@pytest.mark.parametrize("kind", MODELS)
def test_capture_reads_what_flows_and_leaves_the_model_alone(kind):
    build, path = MODELS[kind]
    model = build()
    layer = named_layers(model)[path]
    x = np.random.default_rng(0).normal(size=(2, 6, 6, 3)).astype("float32")
    seen, out = capture(model, [layer], input_and_output)(x)[0]
    np.testing.assert_array_equal(seen, x)
    np.testing.assert_allclose(out, layer(x), atol=1e-6)
    assert "call" not in vars(layer)
    np.testing.assert_allclose(forward(model)(x), model(x), atol=1e-6)


@pytest.mark.parametrize("kind", MODELS)
def test_both_callbacks_work_in_an_ordinary_fit(kind):
    import tensorflow as tf

    build, path = MODELS[kind]
    model = build()
    rng = np.random.default_rng(0)
    pairs = rng.normal(size=(16, 6, 6, 3)).astype("float32"), rng.integers(0, 2, 16)
    dataset = tf.data.Dataset.from_tensor_slices(pairs).batch(4)
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    alignment = CovarianceAlignment(dataset, layer="conv", schedule=every(2), num_random_bases=2)
    tracker = ActivationTracker(dataset, schedule=every(2))
    model.fit(dataset, verbose=0, callbacks=[alignment, tracker])
    assert alignment.layer_path == path
    assert alignment.records["step"].tolist() == [0, 2, 4]
    assert tracker.activity[path]["fraction_active"].shape == (3, 30)


def test_capture_follows_the_weights():
    model = functional()
    x = np.ones((1, 6, 6, 3), "float32")
    read = capture(model, [model.get_layer("conv")], input_and_output)
    before = np.asarray(read(x)[0][1])
    model.get_layer("conv").kernel.assign(2 * model.get_layer("conv").kernel.numpy())
    np.testing.assert_allclose(read(x)[0][1], 2 * before, rtol=1e-5)


def test_a_layer_called_twice_is_refused():
    shared = LAYERS.Dense(3, name="shared")
    inputs = keras.Input((3,))
    model = keras.Model(inputs, shared(shared(inputs)))
    with pytest.raises(ValueError, match="layer 'shared' is called 2 times in a forward pass"):
        capture(model, [shared], input_and_output)(np.ones((1, 3), "float32"))
    assert "call" not in vars(shared)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (
            LAYERS.DepthwiseConv2D(3, name="x"),
            "is a DepthwiseConv2D, whose filters see one channel",
        ),
        (LAYERS.SeparableConv2D(4, 3, name="x"), "is a SeparableConv2D, whose filters see one"),
        (
            LAYERS.Conv2DTranspose(4, 3, name="x"),
            "is a Conv2DTranspose. Expected a Conv2D or Dense",
        ),
        (LAYERS.Conv2D(4, 3, dilation_rate=2, name="x"), "has dilation_rate=\\(2, 2\\)"),
        (LAYERS.Conv2D(4, 3, groups=2, name="x"), "has groups=2; its filters see only part"),
        (LAYERS.Flatten(name="x"), "is a Flatten. Expected a Conv2D or Dense"),
    ],
)
def test_layers_without_filters_over_whole_patches_are_refused(layer, message):
    model = keras.Sequential([keras.Input((6, 6, 4)), layer, LAYERS.Dense(2, name="head")])
    with pytest.raises(ValueError, match=message):
        find_layer(model, "x")


@pytest.mark.parametrize(
    ("which", "message"),
    [
        ("conv9", "has no layer named 'conv9'. Expected one of: conv, head"),
        (2, "no layer 2 to measure .* among its Conv2D and Dense layers: conv, head"),
    ],
)
def test_unknown_layers_are_refused_with_the_known_ones(which, message):
    with pytest.raises(ValueError, match=message):
        find_layer(functional(), which)


def test_a_model_without_layers_to_measure_is_refused():
    model = keras.Sequential([keras.Input((4,)), LAYERS.Activation("relu")])
    with pytest.raises(ValueError, match="Expected an index .* it has none"):
        find_layer(model, 0)


def test_an_unbuilt_model_is_refused():
    with pytest.raises(ValueError, match="layer 'conv' is not built. Call the model on a batch"):
        find_layer(keras.Sequential(first_stage()), 0)


@pytest.mark.parametrize("limit", [1, 5, 7, 100])
def test_batches_of_inputs_stop_at_the_limit(limit):
    x = np.arange(10.0).reshape(10, 1)
    for data in (x, [(x[:4], "labels"), (x[4:], "labels")], [x[:6], x[6:]]):
        joined = np.concatenate(list(batches_of_inputs(data, limit, batch_size=3)))
        np.testing.assert_array_equal(joined, x[:limit])


def test_batches_of_inputs_stop_in_an_infinite_dataset():
    import tensorflow as tf

    dataset = tf.data.Dataset.from_tensor_slices((np.arange(4.0), np.arange(4))).batch(3).repeat()
    assert len(np.concatenate(list(batches_of_inputs(dataset, 9)))) == 9
