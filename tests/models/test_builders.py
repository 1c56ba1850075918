import inspect

import keras
import numpy as np
import pytest

from rl_keras import models
from rl_keras.errors import UsageError
from rl_keras.models import (
    BUILDERS,
    ScaledHeNormal,
    build_model,
    cnn3,
    mlp,
    resnet18,
    simple_cnn,
    small_alexnet,
    small_inception,
    vgg16,
)
from rl_keras.seeds import derive_seed
from rl_keras.settings.experiment import all_settings, from_values
from rl_keras.settings.model import MODELS, OF_EVERY_MODEL, ModelConfig


def test_parameter_counts_are_the_papers():
    assert simple_cnn().count_params() == 14_753_482
    assert simple_cnn(padding="same").count_params() == 16_785_098
    assert (
        mlp((30,), widths=(2048, 256)).count_params() == 30 * 2048 + 2048 + 2048 * 256 + 256 + 2570
    )


def test_layer_names_are_pinned():
    names = [layer.name for layer in simple_cnn((8, 8, 3), filters=2, units=3).layers]
    assert names == ["image", "conv1", "flatten", "dense1", "head"]
    assert [layer.name for layer in mlp((4, 4, 3), widths=(5, 6)).layers] == [
        *("input", "flatten", "dense1", "dense2", "head"),
    ]


def test_same_seed_same_weights_and_another_seed_others():
    def kernel(seed):
        return (
            simple_cnn((8, 8, 3), filters=4, units=3, seed=seed).get_layer("conv1").kernel.numpy()
        )

    np.testing.assert_array_equal(kernel(1), kernel(1))
    assert np.all(kernel(1) != kernel(2))


def test_a_layer_keeps_its_weights_when_others_change():
    small, deep = mlp((6,), widths=(5,), seed=3), mlp((6,), widths=(5, 5), seed=3)
    first = [model.get_layer("dense1").kernel.numpy() for model in (small, deep)]
    np.testing.assert_array_equal(*first)
    assert not np.array_equal(deep.get_layer("dense1").kernel[:5], deep.get_layer("dense2").kernel)


@pytest.mark.parametrize(
    "build", [simple_cnn, cnn3, vgg16, resnet18, small_inception, small_alexnet]
)
def test_kernels_are_a_function_of_seed_and_name(build):
    model = build((16, 16, 2), init_scale=0.7, seed=5)
    layers = [layer for layer in model.layers if hasattr(layer, "kernel")]
    for layer in layers[:2] + layers[-1:]:
        draw = ScaledHeNormal(0.7, seed=derive_seed(5, "initial_weights", layer.name))
        np.testing.assert_array_equal(layer.kernel, draw(layer.kernel.shape))


def test_biases_start_at_zero_and_stand_in_the_same_layer_as_the_kernel():
    model = simple_cnn((8, 8, 3), filters=2, units=3)
    paths = [
        f"{layer}/{name}" for layer in ("conv1", "dense1", "head") for name in ("kernel", "bias")
    ]
    assert [variable.path for variable in model.weights] == paths
    assert all(np.all(layer.bias == 0) for layer in model.layers if hasattr(layer, "bias"))


def test_outputs_are_logits():
    model = mlp((6,), classes=3, widths=(4,))
    assert model.layers[-1].activation is keras.activations.linear
    assert model(np.zeros((2, 6), "float32")).shape == (2, 3)


@pytest.mark.parametrize("scale", [1.0, 0.372])
def test_init_scale_multiplies_hes_standard_deviation(scale):
    kernel = np.asarray(ScaledHeNormal(scale, seed=0)((3, 3, 8, 4096)))
    expected = scale * np.sqrt(2 / 72)
    # The standard error of a standard deviation from n draws is sd / sqrt(2 n).
    assert abs(kernel.std() - expected) < 4 * expected / np.sqrt(2 * kernel.size)
    assert np.abs(kernel).max() > 3 * expected  # not truncated


def test_initializer_is_serializable():
    again = keras.initializers.deserialize(
        keras.initializers.serialize(ScaledHeNormal(0.5, seed=3))
    )
    assert isinstance(again, ScaledHeNormal)
    np.testing.assert_array_equal(again((4, 4)), ScaledHeNormal(0.5, seed=3)((4, 4)))


def test_initializer_refuses_a_scale_of_zero():
    with pytest.raises(ValueError, match="`scale` must be positive. Received: scale=0"):
        ScaledHeNormal(0)


def test_weights_are_loaded_from_a_file(tmp_path):
    trained = mlp((6,), widths=(4,), seed=1)
    trained.save_weights(tmp_path / "a.weights.h5")
    loaded = mlp((6,), widths=(4,), seed=2, weights=tmp_path / "a.weights.h5")
    for one, other in zip(trained.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_build_model_passes_the_settings_on():
    config = ModelConfig(filters=7, kernel_size=2, units=5, padding="same", init_scale=0.5)
    model = build_model(config, (8, 8, 3), classes=4, seed=0)
    assert model.get_layer("conv1").kernel.shape == (2, 2, 3, 7)
    assert model.output_shape == (None, 4)
    assert model.get_layer("head").kernel_initializer.get_config()["scale"] == 0.5


def test_every_builder_is_a_choice_and_every_setting_belongs_to_one():
    settings = {setting.name: setting for setting in all_settings() if setting.section == "model"}
    assert settings.pop("model").choices == tuple(BUILDERS) == tuple(MODELS)
    taken = {name for names in MODELS.values() for name in names}
    assert taken | set(OF_EVERY_MODEL) == set(settings)


@pytest.mark.parametrize("name", BUILDERS)
def test_settings_have_the_defaults_of_the_builder(name):
    arguments = inspect.signature(BUILDERS[name]).parameters
    for setting in (*OF_EVERY_MODEL, *MODELS[name]):
        # At auto the builder's default is taken.
        assert getattr(ModelConfig(), setting) in (arguments[setting].default, "auto"), setting


def test_a_name_in_the_package_is_the_builder_and_no_module():
    assert set(BUILDERS) <= set(models.__all__)
    for name, builder in BUILDERS.items():
        assert inspect.isfunction(builder) and getattr(models, name) is builder
        assert builder.__name__ == name


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model": "vgg16", "width": 0.0}, "--width must be positive. Received: 0.0"),
        ({"model": "vgg16", "last_width": -1.0}, "--last_width must be positive"),
        ({"model": "vgg16", "padding": "same"}, "--padding has no effect on --model=vgg16"),
        ({"model": "small_inception", "depth": 10}, "--depth has no effect on --model=small_inc"),
        ({"model": "small_alexnet", "width": 0.0}, "--width must be positive. Received: 0.0"),
        (
            {"model": "linear", "batch_normalization": "local"},
            "--batch_normalization has no effect",
        ),
        ({"model": "resnet18", "widen": 2}, "--widen has no effect on --model=resnet18"),
        ({"model": "resnet18", "stem": "mnist"}, "--stem must be one of imagenet, cifar"),
        ({"model": "wide_resnet", "depth": 27}, "--depth must be 6 n [+] 4.* Received: 27"),
        ({"model": "wide_resnet", "depth": 4}, "--depth must be at least 10. Received: 4"),
        ({"model": "cnn3", "conv_filters": (8, 8)}, "--conv_filters must be three .*: 8,8"),
        ({"model": "cnn3", "dense_units": (8, 0)}, "--dense_units must be at least 1"),
        ({"batch_normalization": "renorm"}, "--batch_normalization must be one of auto, none"),
    ],
)
def test_settings_without_meaning_are_refused(values, message):
    with pytest.raises(UsageError, match=message):
        from_values(values)


@pytest.mark.parametrize(
    ("config", "shape", "message"),
    [
        (ModelConfig(), (30,), "--model=simple_cnn takes images; use --model=mlp for vectors"),
        (ModelConfig(model="vgg16"), (30,), "--model=vgg16 takes images"),
        (ModelConfig(model="small_alexnet"), (30,), "--model=small_alexnet takes images"),
        (
            ModelConfig(model="cnn3"),
            (9, 20, 3),
            "must not exceed the input of layer 'conv3', 1x4, with --padding=valid. Received: 3",
        ),
        (ModelConfig(kernel_size=9), (8, 8, 3), "--kernel_size must not exceed the image, 8x8"),
        (ModelConfig(model="linear", random_filters=2), (30,), "--model=linear takes images"),
        (
            ModelConfig(model="linear", random_filters=2, kernel_size=9),
            (8, 8, 3),
            "^--kernel_size must not exceed the image, 8x8, with `padding='valid'`. Received: 9$",
        ),
    ],
)
def test_inputs_that_do_not_fit_are_refused(config, shape, message):
    with pytest.raises(UsageError, match=message):
        build_model(config, shape, 10, seed=0)


@pytest.mark.parametrize("name", sorted({*BUILDERS} - {"mlp", "linear"}))
def test_from_python_a_builder_names_its_argument(name):
    message = r"^`input_shape` must be \(height, width, channels\). Received: input_shape=\(30,\)$"
    with pytest.raises(ValueError, match=message):
        BUILDERS[name]((30,))


@pytest.mark.parametrize("build", [simple_cnn, cnn3])
def test_from_python_a_kernel_without_padding_must_fit_the_image(build):
    message = (
        "^`kernel_size` must not exceed the image, 2x8, with `padding='valid'`. "
        "Received: kernel_size=3$"
    )
    with pytest.raises(ValueError, match=message):
        build((2, 8, 3))


def refusing(message):
    def build(**_):
        raise ValueError(message)

    return build


def test_an_argument_without_a_flag_is_named_beside_the_model(monkeypatch):
    message = "`input_shape` must be at least 12x12. Received: input_shape=(8, 8, 3)"
    monkeypatch.setitem(BUILDERS, "cnn3", refusing(message))
    expected = "^--model=cnn3: `input_shape` must be at least 12x12. Received: .8, 8, 3.$"
    with pytest.raises(UsageError, match=expected):
        build_model(ModelConfig(model="cnn3"), (8, 8, 3), 10, seed=0)


def test_errors_of_a_builder_about_other_things_keep_their_traceback(monkeypatch):
    monkeypatch.setitem(BUILDERS, "mlp", refusing("shapes do not match"))
    with pytest.raises(ValueError, match="shapes do not match") as caught:
        build_model(ModelConfig(model="mlp"), (8,), 10, seed=0)
    assert not isinstance(caught.value, UsageError)


def test_images_that_just_fit_are_taken():
    cnn = ModelConfig(model="cnn3", conv_filters=(2, 2, 2))
    model = build_model(cnn, (15, 32, 3), 10, seed=0)
    assert model.get_layer("conv3").output.shape == (None, 1, 5, 2)
    with pytest.raises(UsageError, match="input of layer 'conv3', 2x7"):
        build_model(cnn, (14, 32, 3), 10, seed=0)
    assert build_model(ModelConfig(kernel_size=8), (8, 8, 3), 10, seed=0)
