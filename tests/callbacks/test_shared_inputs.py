"""Several layers measured in one pass over the data: the same numbers, and one pass."""

import keras
import numpy as np
import pytest

from rl_keras.callbacks import CovarianceAlignment, SharedInputs, every, inputs

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(64, 8)).astype("float32")
LABELS = RNG.integers(0, 3, 64)
LAYERS = ("two", "three")


def fitted(callbacks):
    units = {"one": 4, "two": 6, "three": 9}
    layers = [keras.layers.Dense(n, activation="relu", name=name) for name, n in units.items()]
    model = keras.Sequential([keras.Input((8,)), *layers, keras.layers.Dense(3)])
    model.set_weights([np.random.default_rng(1).normal(size=w.shape) for w in model.weights])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(IMAGES, LABELS, batch_size=16, shuffle=False, verbose=0, callbacks=callbacks)
    return model


def alignments(data_of):
    return [
        CovarianceAlignment(data_of(name), layer=name, schedule=every(2), num_random_bases=1)
        for name in LAYERS
    ]


@pytest.fixture
def passes(monkeypatch):
    """How many layers each pass over the data was for."""
    numbers, input_moments = [], inputs.input_moments

    def counting(model, layers, batches):
        numbers.append(len(layers))
        return input_moments(model, layers, batches)

    monkeypatch.setattr(inputs, "input_moments", counting)
    return numbers


def test_shared_inputs_give_what_each_layer_finds_by_itself(passes):
    alone, shared = alignments(lambda _: IMAGES), SharedInputs(IMAGES, LAYERS)
    together = alignments(lambda _: shared)
    weights = [fitted(callbacks).get_weights() for callbacks in (alone, together)]
    for one, other in zip(alone, together, strict=True):
        assert one.records.tobytes() == other.records.tobytes()
        np.testing.assert_array_equal(one.spaces.values, other.spaces.values)
    for one, other in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, other)
    # 4 steps, measured at 0, 2 and 4.
    assert passes == [2, 2, 2]


def test_layers_that_see_the_same_as_before_cost_no_pass(passes):
    shared = SharedInputs(IMAGES, ["one"])
    first = CovarianceAlignment(shared, layer="one", schedule=every(1), few_filters=True)
    fitted([first])
    assert passes == [1] and len(first.records) == 5


def test_a_layer_that_is_not_among_them_is_refused():
    shared = SharedInputs(IMAGES, ["two"])
    with pytest.raises(ValueError, match="`layers` must hold 'three'. Received: two"):
        fitted([CovarianceAlignment(shared, layer="three")])
