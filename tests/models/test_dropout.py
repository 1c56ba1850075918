"""Where the builders drop units, and that nothing changes where they do not."""

import keras
import numpy as np
import pytest

from rl_keras.models import build_model
from rl_keras.seeds import derive_seed
from rl_keras.settings.model import ModelConfig

NETWORKS = {
    "simple_cnn": ({"filters": 4, "units": 6}, ["dense1_dropout"]),
    "mlp": ({"widths": (5, 4)}, ["dense1_dropout", "dense2_dropout"]),
    "vgg16": ({"width": 0.05}, ["flatten_dropout"]),
    "small_alexnet": ({"width": 0.05}, ["dense1_dropout", "dense2_dropout"]),
    "small_inception": ({"width": 0.05}, ["pool_dropout"]),
}


def build(name, dropout, seed=0, **more):
    settings = {**NETWORKS[name][0], **more}
    return build_model(ModelConfig(model=name, dropout=dropout, **settings), (8, 8, 3), 3, seed)


def dropouts(model):
    return [layer for layer in model.layers if isinstance(layer, keras.layers.Dropout)]


@pytest.mark.parametrize("name", NETWORKS)
def test_layers_stand_where_they_are_said_to(name):
    model = build(name, 0.25, seed=5)
    layers = dropouts(model)
    assert [layer.name for layer in layers] == NETWORKS[name][1]
    for layer in layers:
        assert layer.rate == 0.25
        assert layer.seed == derive_seed(5, "dropout", layer.name)
    # The last one feeds the head.
    assert model.get_layer("head").input is layers[-1].output


@pytest.mark.parametrize("name", NETWORKS)
def test_weights_and_predictions_do_not_depend_on_it(name):
    plain, model = build(name, 0.0), build(name, 0.5)
    assert dropouts(plain) == []
    assert [v.path for v in plain.weights] == [v.path for v in model.weights]
    for one, other in zip(plain.weights, model.weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
    images = np.random.default_rng(0).normal(size=(4, 8, 8, 3)).astype("float32")
    np.testing.assert_array_equal(plain(images, training=False), model(images, training=False))


def test_vgg16_drops_after_its_dense_layers_if_it_has_any():
    model = build("vgg16", 0.5, dense_units=(4, 3))
    assert [layer.name for layer in dropouts(model)] == ["dense1_dropout", "dense2_dropout"]


def test_a_share_is_dropped_in_training_and_the_mean_kept():
    (layer,) = dropouts(build("simple_cnn", 0.25))
    kept = np.asarray(layer(np.ones((2000, 6), "float32"), training=True))
    np.testing.assert_allclose(np.unique(kept), [0, 4 / 3], rtol=1e-6)
    assert abs(kept.mean() - 1) < 4 * np.sqrt(1 / 3 / kept.size)
