"""The networks of Zhang et al., whose published parameter counts decide their layouts."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from rl_keras.callbacks.layers import alignable_layers
from rl_keras.models import (
    LocalResponseNormalization,
    build_model,
    mlp,
    small_alexnet,
    small_inception,
)
from rl_keras.settings.model import ModelConfig

CROP = (28, 28, 3)
MODULES = {  # channels before, filters of the 1x1 and of the 3x3 convolution
    "stage1_module1": (96, 32, 32),
    "stage1_module2": (64, 32, 48),
    "stage1_down": (80, 0, 80),
    "stage2_module1": (160, 112, 48),
    "stage2_module2": (160, 96, 64),
    "stage2_module3": (160, 80, 80),
    "stage2_module4": (160, 48, 96),
    "stage2_down": (144, 0, 96),
    "stage3_module1": (240, 176, 160),
    "stage3_module2": (336, 176, 160),
}


def trainable(model):
    return sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)


def inception_parameters(vectors):
    """Counts small_inception with so many vectors for each convolution."""
    total = 27 * 96 + vectors * 96 + 336 * 10 + 10
    for before, ones, threes in MODULES.values():
        total += before * ones + 9 * before * threes + vectors * (ones + threes)
    return total


@pytest.mark.parametrize("kind", ["none", "local", "synchronized"])
def test_small_inception_has_the_published_count_with_and_without_normalisation(kind):
    model = small_inception(batch_normalization=kind)
    assert trainable(model) == inception_parameters(vectors=1) == 1_649_402
    statistics = 0 if kind == "none" else 3_424
    assert model.count_params() == 1_649_402 + statistics


def test_a_scale_or_no_vector_would_give_other_counts():
    counts = [inception_parameters(vectors) for vectors in (0, 2, 3)]
    assert counts == [1_647_690, 1_651_114, 1_652_826]


def test_the_settings_build_the_published_networks():
    def count(**settings):
        return trainable(build_model(ModelConfig(**settings), CROP, 10, seed=0))

    assert count(model="small_inception") == 1_649_402
    assert count(model="small_inception", batch_normalization="none") == 1_649_402
    assert count(model="small_alexnet") == 1_387_786
    assert count(model="mlp", widths=(512,)) == 1_209_866
    assert count(model="mlp", widths=(512, 512, 512)) == 1_735_178


def test_mlps_have_the_published_counts():
    assert mlp(CROP, widths=(512,)).count_params() == 2352 * 512 + 512 + 5_130 == 1_209_866
    deep = mlp(CROP, widths=(512, 512, 512)).count_params()
    assert deep == 1_209_866 + 2 * (512 * 512 + 512) == 1_735_178


def test_small_alexnet_has_the_published_count():
    convolutions = 25 * 3 * 64 + 64 + 25 * 64 * 64 + 64
    dense = 7 * 7 * 64 * 384 + 384 + 384 * 192 + 192 + 192 * 10 + 10
    assert small_alexnet().count_params() == convolutions + dense == 1_387_786


def test_width_scales_all_but_the_head():
    kernels = [layer.kernel.shape for layer in alignable_layers(small_alexnet(width=0.5)).values()]
    assert kernels == [(5, 5, 3, 32), (5, 5, 32, 32), (1568, 192), (192, 96), (96, 10)]
    half = small_inception(width=0.5)
    assert half.get_layer("stem").filters == 48
    assert half.get_layer("stage3_module2_concat").output.shape == (None, 7, 7, 168)


def test_layer_names_and_sides_are_pinned():
    model = small_inception()
    names = [
        f"{m}_conv{k}" for m, (_, one, _) in MODULES.items() for k in ("1x1", "3x3")[not one :]
    ]
    assert list(alignable_layers(model)) == ["stem", *names, "head"]
    for module, (_, ones, threes) in MODULES.items():
        channels = ones + threes + (MODULES[module][0] if not ones else 0)
        side = {"1": 28, "2": 14, "3": 7}[module[5]] if ones else {"1": 14, "2": 7}[module[5]]
        assert model.get_layer(f"{module}_concat").output.shape == (None, side, side, channels)
    assert [layer.name for layer in small_alexnet().layers] == [
        *("image", "conv1", "pool1", "norm1", "conv2", "pool2", "norm2"),
        *("flatten", "dense1", "dense2", "head"),
    ]


def test_normalisation_of_small_inception_learns_a_shift_only():
    model = small_inception(width=0.1)
    paths = [variable.path for variable in model.get_layer("stage1_module1_conv1x1_bn").weights]
    endings = ("beta", "moving_mean", "moving_variance")
    assert paths == [f"stage1_module1_conv1x1_bn/{name}" for name in endings]
    assert not [v.path for v in model.weights if v.path.endswith("gamma")]


@pytest.mark.parametrize("build", [small_inception, small_alexnet])
@pytest.mark.parametrize("side", [1, 5, 32])
def test_they_take_any_image(build, side):
    assert build((side, side, 1), 4, width=1 / 32).output_shape == (None, 4)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"depth_radius": 2, "bias": 2.0, "alpha": 0.7, "beta": 0.5},
        {"depth_radius": 0, "alpha": 1.0},
        {"depth_radius": 9, "alpha": 1.0},  # wider than there are channels
    ],
)
def test_local_response_normalisation_is_tensorflows(settings):
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 7)).astype("float32")
    values = {"depth_radius": 4, "bias": 1.0, "alpha": 0.001 / 9, "beta": 0.75, **settings}
    expected = tf.nn.local_response_normalization(x, **values)
    actual = LocalResponseNormalization(**settings)(x)
    np.testing.assert_allclose(actual, expected, rtol=1e-6)


def test_local_response_normalisation_has_tensorflows_gradient():
    generator = np.random.default_rng(0)
    x = tf.Variable(generator.normal(size=(2, 3, 4, 7)).astype("float32"))
    weights = generator.normal(size=x.shape).astype("float32")
    layer = LocalResponseNormalization(alpha=0.5)
    gradients = []
    for function in (layer, lambda x: tf.nn.local_response_normalization(x, 4, 1.0, 0.5, 0.75)):
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(weights * function(x))
        gradients.append(tape.gradient(total, x))
    np.testing.assert_allclose(*gradients, rtol=1e-4, atol=1e-6)


def test_local_response_normalisation_is_serializable_and_refuses_a_bias_of_zero():
    layer = LocalResponseNormalization(3, alpha=0.1, name="norm1")
    again = keras.layers.deserialize(keras.layers.serialize(layer))
    assert isinstance(again, LocalResponseNormalization)
    assert again.get_config() == layer.get_config()
    with pytest.raises(ValueError, match="`bias` positive. Received: .*bias=0"):
        LocalResponseNormalization(bias=0)
