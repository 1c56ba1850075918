"""Samples of a model's layers: the right numbers at the right places, the same for all models."""

import numpy as np
import pytest

from rl_keras.callbacks.representations import sample_representations
from rl_keras.models import simple_cnn

IMAGES = np.random.default_rng(0).normal(size=(70, 6, 6, 2)).astype("float32")


def model(seed=0, **settings):
    return simple_cnn((6, 6, 2), classes=3, filters=5, units=4, seed=seed, **settings)


def test_samples_are_the_outputs_at_their_positions():
    network = model()
    found = sample_representations(network, IMAGES)
    assert list(found) == ["conv1", "dense1"]
    conv = np.asarray(network.get_layer("conv1")(IMAGES))
    own = found["conv1"]
    for number, position in enumerate(own.positions):
        expected = conv[number, position // 4, position % 4]
        np.testing.assert_allclose(own.sample[number], expected, atol=1e-6)
    dense = np.asarray(network.get_layer("dense1")(conv.reshape(70, -1)))
    np.testing.assert_allclose(found["dense1"].sample, dense, atol=1e-5)
    assert found["dense1"].sample.dtype == np.float32
    assert not found["dense1"].positions.any()


def test_positions_are_the_same_for_all_networks_and_cover_the_image():
    one, other = (sample_representations(model(seed), IMAGES)["conv1"] for seed in (0, 1))
    np.testing.assert_array_equal(one.positions, other.positions)
    assert not np.array_equal(one.sample, other.sample)
    assert set(one.positions.tolist()) == set(range(16))
    drawn = sample_representations(model(), IMAGES, seed=1)["conv1"].positions
    assert not np.array_equal(drawn, one.positions)


def test_normalised_networks_are_read_after_the_relu():
    found = sample_representations(model(batch_normalization="local"), IMAGES[:9])
    assert list(found) == ["conv1_relu", "dense1_relu"]
    assert all((own.sample >= 0).all() and len(own.sample) == 9 for own in found.values())


def test_unknown_layers_are_refused():
    with pytest.raises(ValueError, match="has no layer named 'conv7'"):
        sample_representations(model(), IMAGES, layers=["conv7"])
