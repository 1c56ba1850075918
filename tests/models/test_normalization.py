import keras
import numpy as np
import pytest
import tensorflow as tf

from rl_keras.errors import UsageError
from rl_keras.experiments.devices import make_strategy
from rl_keras.experiments.training import Trainer, fresh_weights, read_weights
from rl_keras.models import (
    build_model,
    cnn3,
    mlp,
    resnet18,
    simple_cnn,
    small_alexnet,
    small_inception,
    vgg16,
    wide_resnet,
)
from rl_keras.settings.experiment import from_values
from rl_keras.settings.model import ModelConfig
from rl_keras.settings.run import RunConfig

RNG = np.random.default_rng(0)
IMAGES, LABELS = RNG.normal(size=(64, 6, 6, 2)), RNG.integers(0, 3, 64)
SMALL = {
    "simple_cnn": {"filters": 8, "units": 6},
    "mlp": {"widths": (16, 8)},
    "cnn3": {"conv_filters": (4, 5, 6), "padding": "same", "dense_units": (5,)},
    "vgg16": {"width": 1 / 16},
    "resnet18": {"width": 1 / 16, "stem": "cifar"},
    "wide_resnet": {"depth": 10, "widen": 1, "stem_filters": 4},
    "small_inception": {"width": 1 / 16},
}


def trained(name, kind, replicas, num_steps=50, steps_per_execution=1):
    """Trains a small network and returns its trainer."""
    values = {
        "model": name,
        "batch_normalization": kind,
        "init_scale": 0.5,
        "upstream_steps_per_execution": steps_per_execution,
        "probe_every": 4,
        "measure_every": 4,
    }
    config = from_values({**values, **SMALL[name]})
    mirrored = RunConfig(strategy="mirrored", num_logical_cpus=2)
    strategy = make_strategy(mirrored if replicas == 2 else RunConfig())
    trainer = Trainer(config, config.upstream, (6, 6, 2), 3, strategy)
    trainer.reset(fresh_weights(config, (6, 6, 2), 3, seed=1))
    examples = IMAGES.astype(keras.config.floatx()), LABELS
    dataset = tf.data.Dataset.from_tensor_slices(examples).repeat().batch(16, True)
    trainer.fit(dataset.take(num_steps), [])
    assert trainer.model.optimizer.iterations.numpy() == num_steps
    return trainer


def assert_agree(one, two, tolerance):
    expected, actual = read_weights(one.model), read_weights(two.model)
    for path, value in expected.items():
        atol = tolerance * np.abs(value).max()
        np.testing.assert_allclose(actual[path], value, rtol=0, atol=atol, err_msg=path)


def replicas_spread(trainer, name):
    """Returns how far the replicas' copies of the variables of this name lie apart."""
    copies = [v.value.values for v in trainer.model.weights if v.path.endswith(name)]
    assert copies and all(len(values) == 2 for values in copies)
    return max(np.abs(a.numpy() - b.numpy()).max() for a, b in copies)


@pytest.fixture
def double_precision():
    def use(dtype):  # of losses and of layers: two settings
        keras.config.set_floatx(dtype)
        keras.config.set_dtype_policy(dtype)

    use("float64")
    yield
    use("float32")


@pytest.mark.parametrize("steps_per_execution", [1, 4])
@pytest.mark.parametrize("name", ["simple_cnn", "mlp"])
def test_synchronized_replicas_agree_with_one_device(name, steps_per_execution):
    settings = {"kind": "synchronized", "steps_per_execution": steps_per_execution}
    two = trained(name, replicas=2, **settings)
    assert_agree(trained(name, replicas=1, **settings), two, 1e-6)
    for statistic in ("moving_mean", "moving_variance"):
        assert replicas_spread(two, statistic) == 0


# In float32 deeper normalised networks amplify rounding: on one device they end 1e-6 to 2e-5 (cnn3,
# eight seeds) or 100% (vgg16) away from themselves if the examples of each batch merely change
# places, and two replicas are as far from one. In float64 rounding starts 5e8 times smaller, and
# what is left of it after 50 steps is 1e-10 in the worst of these networks.
@pytest.mark.usefixtures("double_precision")
@pytest.mark.parametrize(
    "name",
    [
        "cnn3",
        pytest.param("wide_resnet", marks=pytest.mark.slow),
        pytest.param("vgg16", marks=pytest.mark.slow),
        pytest.param("resnet18", marks=pytest.mark.slow),
        pytest.param("small_inception", marks=pytest.mark.slow),
    ],
)
def test_synchronized_replicas_of_deep_networks_agree_in_double_precision(name):
    two = trained(name, "synchronized", replicas=2)
    assert_agree(trained(name, "synchronized", replicas=1), two, 1e-9)
    assert replicas_spread(two, "moving_mean") == 0


def test_replicas_of_a_network_without_normalisation_agree_with_one_device():
    one, two = (trained("cnn3", "none", replicas=number) for number in (1, 2))
    assert_agree(one, two, 1e-6)


def test_local_statistics_drift_apart():
    local = trained("mlp", "local", replicas=2, num_steps=8)
    for statistic in ("moving_mean", "moving_variance"):
        assert replicas_spread(local, statistic) > 1e-3
    assert replicas_spread(local, "kernel") == 0  # gradients are summed all the same
    synchronized = trained("mlp", "synchronized", replicas=2, num_steps=8)
    expected, actual = read_weights(synchronized.model), read_weights(local.model)
    for path in ("dense1/kernel", "dense1_bn/moving_mean", "dense1_bn/moving_variance"):
        assert np.abs(actual[path] - expected[path]).max() > 1e-3, path


def test_a_unit_is_convolution_normalisation_and_relu():
    model = simple_cnn((8, 8, 3), filters=4, units=3, batch_normalization="local")
    assert [layer.name for layer in model.layers] == [
        *("image", "conv1", "conv1_bn", "conv1_relu", "flatten"),
        *("dense1", "dense1_bn", "dense1_relu", "head"),
    ]
    assert [v.path for v in model.get_layer("conv1").weights] == ["conv1/kernel"]
    normalization = model.get_layer("conv1_bn")
    assert not normalization.synchronized
    assert [v.path for v in normalization.weights] == [
        *("conv1_bn/gamma", "conv1_bn/beta", "conv1_bn/moving_mean", "conv1_bn/moving_variance"),
    ]


def test_normalisation_leaves_the_initial_kernels_alone():
    plain, normalized = mlp((6,), widths=(5,)), mlp((6,), widths=(5,), batch_normalization="local")
    for layer in ("dense1", "head"):
        kernels = [model.get_layer(layer).kernel.numpy() for model in (plain, normalized)]
        np.testing.assert_array_equal(*kernels)


@pytest.mark.parametrize(
    "build",
    [simple_cnn, mlp, cnn3, vgg16, resnet18, wide_resnet, small_inception, small_alexnet],
)
def test_every_layer_is_of_the_kind_asked_for(build):
    model = build((16, 16, 3), batch_normalization="synchronized")
    kinds = [x for x in model.layers if isinstance(x, keras.layers.BatchNormalization)]
    assert kinds and all(layer.synchronized for layer in kinds)
    # Only the head keeps a bias, and no ReLU hides inside a linear layer.
    linear = [layer for layer in model.layers if hasattr(layer, "kernel")]
    assert [layer.name for layer in linear if layer.use_bias] == ["head"]
    assert {layer.activation for layer in linear} == {keras.activations.linear}


def test_auto_is_the_builders_own():
    def kinds(name):
        model = build_model(ModelConfig(model=name), (16, 16, 3), 3, seed=0)
        layers = [layer for layer in model.layers if layer.name.endswith("_bn")]
        return {layer.synchronized for layer in layers}

    assert kinds("simple_cnn") == kinds("mlp") == kinds("cnn3") == set()
    assert kinds("small_alexnet") == set()
    assert kinds("resnet18") == kinds("small_inception") == {True}


def test_residual_networks_refuse_to_go_without():
    for name, build in (("resnet18", resnet18), ("wide_resnet", wide_resnet)):
        with pytest.raises(ValueError, match="must be 'local' or 'synchronized'"):
            build(batch_normalization="none")
        message = "--batch_normalization must be 'local' or 'synchronized', or .* Received: 'none'"
        with pytest.raises(UsageError, match=message):
            build_model(ModelConfig(name, batch_normalization="none"), (8, 8, 3), 10, seed=0)
