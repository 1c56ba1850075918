"""Gradients at pre-activations and what is made of them, against finite differences."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from rl_keras.callbacks import FeatureAlignmentTracker, MetricLog, every
from rl_keras.callbacks.feature_alignment import FORMS
from rl_keras.callbacks.reading import output_gradients
from rl_keras.models import simple_cnn
from rl_keras.science.feature_alignment import GradientMoments, feature_alignment
from rl_keras.science.filters import kernel_to_rows

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(32, 5, 5, 2)).astype("float32")
LABELS = RNG.integers(0, 3, 32)


def small_cnn(**settings):
    model = simple_cnn((5, 5, 2), classes=3, filters=7, units=6, **settings)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), loss)
    return model


def fit(model, *callbacks):
    dataset = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS)).batch(8)
    model.fit(dataset, epochs=2, verbose=0, callbacks=list(callbacks))
    return model


def slow_gradients(model, images):
    """Gradients of the outputs at conv1's pre-activations, from its bias one place at a time.

    The rest of the network is rebuilt by hand in float64: ReLU, dense, ReLU, dense.
    """
    kernel, bias, first, first_bias, head, _ = (w.astype(np.float64) for w in model.get_weights())
    rows = kernel_to_rows(kernel)
    gradients = []
    for image in images.astype(np.float64):
        places = [(i, j) for i in range(3) for j in range(3)]
        patches = np.array([image[i : i + 3, j : j + 3].ravel() for i, j in places])
        before = patches @ rows.T + bias

        def outputs(values):
            hidden = np.maximum(np.maximum(values, 0).ravel() @ first + first_bias, 0)
            return hidden @ head

        own = np.zeros((len(places), 3, len(rows)))
        for place, unit in np.ndindex(before.shape):
            moved = np.zeros_like(before)
            moved[place, unit] = 1e-6
            own[place, :, unit] = (outputs(before + moved) - outputs(before - moved)) / 2e-6
        gradients.append(own)
    return np.concatenate(gradients)


def test_gradients_equal_finite_differences():
    model = small_cnn()
    read = output_gradients(model, model.get_layer("conv1"))
    found = read(IMAGES[:3], np.eye(3, dtype="float32")).numpy()
    assert found.shape == (27, 3, 7)
    np.testing.assert_allclose(found, slow_gradients(model, IMAGES[:3]), atol=1e-5)
    assert np.abs(found).max() > 0.01


def test_combinations_of_outputs_are_combinations_of_gradients():
    model = small_cnn()
    read = output_gradients(model, model.get_layer("dense1"))
    each = read(IMAGES[:4], np.eye(3, dtype="float32")).numpy()
    weights = RNG.normal(size=(3, 2)).astype("float32")
    expected = np.einsum("pou,ok->pku", each, weights)
    np.testing.assert_allclose(read(IMAGES[:4], weights).numpy(), expected, atol=1e-6)


def test_the_layer_is_left_as_it_was():
    model = small_cnn()
    layer = model.get_layer("conv1")
    activation, before = layer.activation, model(IMAGES).numpy()
    output_gradients(model, layer)(IMAGES[:2], np.eye(3, dtype="float32"))
    assert layer.activation is activation
    np.testing.assert_array_equal(model(IMAGES).numpy(), before)


def test_a_layer_that_is_called_twice_is_refused():
    layer = keras.layers.Dense(2, name="twice")
    model = keras.Sequential([keras.Input((2,)), layer, layer])
    with pytest.raises(ValueError, match="'twice' is called 2 times in a forward pass"):
        output_gradients(model, layer)(np.ones((1, 2), "float32"), np.eye(2, dtype="float32"))


@pytest.mark.parametrize("normalization", ["none", "local"])
def test_weights_are_bitwise_equal_with_and_without(normalization):
    trackers = [FeatureAlignmentTracker(IMAGES, layer, every(3)) for layer in ("conv1", "dense1")]
    bare = fit(small_cnn(batch_normalization=normalization))
    measured = fit(small_cnn(batch_normalization=normalization), *trackers)
    for one, other in zip(bare.get_weights(), measured.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.fixture(scope="module")
def run():
    log, model = MetricLog(), small_cnn()
    initial = kernel_to_rows(model.get_layer("conv1").kernel.numpy())
    tracker = FeatureAlignmentTracker(IMAGES, "conv1", every(3), [log], max_examples=20)
    return fit(model, tracker), tracker, initial, log


@pytest.mark.parametrize("form", FORMS)
def test_records_equal_the_science_on_a_snapshot(run, form):
    model, tracker, initial, _ = run
    moments = GradientMoments().update(slow_gradients(model, IMAGES[:20]))
    rows = kernel_to_rows(model.get_layer("conv1").kernel.numpy())
    options = {
        "initial_rows": initial if "change" in form else None,
        "without_isotropic": "traceless" in form,
    }
    expected = feature_alignment(rows, moments.moment(), **options)
    centered = feature_alignment(rows, moments.moment(centered=True), **options)
    last = tracker.records[-1]
    assert last["step"] == 8
    assert last[f"{form}_observed"] == pytest.approx(expected.observed, abs=1e-4)
    assert last[f"{form}_centered"] == pytest.approx(centered.observed, abs=1e-4)
    assert last[f"{form}_identity"] == pytest.approx(expected.identity, abs=1e-6)
    assert last[f"{form}_own_gram"] == pytest.approx(expected.own_gram, abs=1e-6)
    low, high = last[f"{form}_permuted_low"], last[f"{form}_permuted_high"]
    assert -1 <= low <= last[f"{form}_permuted"] <= high <= 1


def test_the_change_is_not_defined_before_there_is_one(run):
    _, tracker, initial, log = run
    first = tracker.records[0]
    assert np.isnan(first["change_observed"]) and np.isnan(first["change_permuted"])
    assert np.isfinite(first["gram_observed"])
    np.testing.assert_array_equal(first["filters"], initial.astype(np.float32))
    names = {row["name"] for row in log.rows if row["step"] == 0}
    assert "feature_alignment/conv1/gram_observed" in names
    assert not any("change" in name for name in names)
    assert all(np.isfinite(row["value"]) for row in log.rows)


def test_many_outputs_are_combined_to_the_same_moment_in_expectation():
    model = small_cnn()
    moments = []
    for seed in range(60):
        tracker = FeatureAlignmentTracker(IMAGES, "dense1", max_outputs=2, seed=seed)
        tracker.set_model(model)
        tracker.prepare()
        assert tracker._weights.shape == (3, 2)
        found = tracker.gradient_moments()
        moments.append([found.moment(), found.moment(centered=True)])
    exact = FeatureAlignmentTracker(IMAGES, "dense1")
    exact.set_model(model)
    exact.prepare()
    exact = exact.gradient_moments()
    for place, expected in enumerate((exact.moment(), exact.moment(centered=True))):
        draws = np.array([np.trace(pair[place]) for pair in moments])
        error = draws.std(ddof=1) / np.sqrt(len(draws))
        assert abs(draws.mean() - np.trace(expected)) < 4 * error


def test_unknown_layers_are_refused():
    with pytest.raises(ValueError, match="has no layer named 'conv9'"):
        fit(small_cnn(), FeatureAlignmentTracker(IMAGES, "conv9"))
