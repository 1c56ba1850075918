"""The weights that each start of the first layer gives, from arrays alone."""

import numpy as np
import pytest

from rl_keras.errors import UsageError
from rl_keras.experiments.chosen_layers import transferred_variables
from rl_keras.experiments.starts import StartContext, find_start
from rl_keras.settings.transfer import FIRST_LAYER_STARTS, STARTS, TransferConfig

SHAPES = {
    "conv1/kernel": (2, 2, 3, 40),
    "conv1/bias": (40,),
    "conv1_bn/gamma": (40,),
    "conv1_bn/moving_mean": (40,),
    "head/kernel": (5, 7),
    "head/bias": (7,),
}


def random_weights(seed):
    generator = np.random.default_rng(seed)
    return {path: generator.normal(size=s).astype("float32") for path, s in SHAPES.items()}


DEFAULT = TransferConfig()


def start(name, config=DEFAULT, layers=("conv1",), seed=0):
    fresh, upstream = random_weights(1), random_weights(2)
    variables = transferred_variables(list(SHAPES), layers, config)
    return fresh, upstream, starting_weights(name, layers, variables, fresh, upstream, seed)


def starting_weights(name, layers, variables, fresh, upstream, seed=0):
    context = StartContext(
        layers, variables, fresh, upstream, lambda *names: np.random.default_rng(seed)
    )
    return {**fresh, **find_start(name)(context)}


def test_every_name_of_a_start_is_that_of_a_function_that_says_what_it_does():
    for name in STARTS:
        assert find_start(name).__name__ == name
        assert find_start(name).__doc__


@pytest.mark.parametrize("name", FIRST_LAYER_STARTS)
def test_only_the_transferred_kernel_differs_and_the_head_is_fresh(name):
    fresh, _, weights = start(name)
    assert weights.keys() == fresh.keys()
    changed = {path for path in fresh if not np.array_equal(fresh[path], weights[path])}
    assert changed == (set() if name == "scratch" else {"conv1/kernel"})
    assert all(weights[path].dtype == fresh[path].dtype for path in fresh)


@pytest.mark.parametrize("name", FIRST_LAYER_STARTS)
def test_the_first_layers_do_not_depend_on_how_many_follow(name):
    # Arms of several depths take their part of one draw.
    weights = [random_kernels(seed) for seed in (1, 2)]
    kernels = list(weights[0])
    one, all_of_them = (
        starting_weights(name, [path[0] for path in kernels[:number]], kernels[:number], *weights)
        for number in (1, 3)
    )
    np.testing.assert_array_equal(one["a/kernel"], all_of_them["a/kernel"])
    changed = [path for path in kernels if not np.array_equal(all_of_them[path], weights[0][path])]
    assert changed == ([] if name == "scratch" else kernels)


def random_kernels(seed):
    rng = np.random.default_rng(seed)
    return {f"{layer}/kernel": rng.normal(size=(3, 9)) for layer in "abc"}


def test_inputs_are_left_alone():
    before = random_weights(1)
    fresh, _, _ = start("covariance")
    assert all(np.array_equal(before[path], fresh[path]) for path in fresh)


@pytest.mark.parametrize("name", ["pretrained", "covariance"])
def test_rescaled_kernels_have_the_fresh_norm(name):
    fresh, upstream, weights = start(name)
    norm = np.linalg.norm(weights["conv1/kernel"])
    assert norm == pytest.approx(np.linalg.norm(fresh["conv1/kernel"]), rel=1e-6)
    assert norm != pytest.approx(np.linalg.norm(upstream["conv1/kernel"]), rel=1e-3)


def test_pretrained_is_one_factor_away_from_unscaled():
    _, upstream, weights = start("pretrained")
    ratio = weights["conv1/kernel"] / upstream["conv1/kernel"]
    np.testing.assert_allclose(ratio, ratio.flat[0], rtol=1e-5)
    _, upstream, weights = start("pretrained_unscaled")
    np.testing.assert_array_equal(weights["conv1/kernel"], upstream["conv1/kernel"])


def test_covariance_filters_have_the_trained_covariance_and_are_new():
    upstream = {"a/kernel": np.random.default_rng(0).normal(size=(3, 20_000)) * [[1], [5], [0.2]]}
    fresh = {"a/kernel": np.ones((3, 20_000))}
    drawn = starting_weights("covariance", ["a"], ["a/kernel"], fresh, upstream, seed=1)["a/kernel"]
    drawn *= np.linalg.norm(upstream["a/kernel"]) / np.linalg.norm(drawn)
    deviations = drawn.std(axis=1) / [1, 5, 0.2]
    np.testing.assert_allclose(deviations, 1, rtol=0.03)
    assert abs(np.corrcoef(drawn[0], upstream["a/kernel"][0])[0, 1]) < 0.03


def test_covariance_draws_depend_on_the_generator_alone():
    first, again, other = (start("covariance", seed=s)[2]["conv1/kernel"] for s in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_biases_and_normalisation_travel_only_when_asked():
    config = TransferConfig(transfer_biases=True, transfer_normalization=True)
    fresh, upstream, weights = start("pretrained", config, ("conv1",))
    factor = np.linalg.norm(fresh["conv1/kernel"]) / np.linalg.norm(upstream["conv1/kernel"])
    np.testing.assert_allclose(weights["conv1/bias"], factor * upstream["conv1/bias"], rtol=1e-5)
    for path in ("conv1_bn/gamma", "conv1_bn/moving_mean"):
        np.testing.assert_array_equal(weights[path], upstream[path])
    np.testing.assert_array_equal(weights["head/bias"], fresh["head/bias"])


def test_biases_and_normalisation_are_the_same_in_all_rescaled_arms():
    config = TransferConfig(transfer_biases=True, transfer_normalization=True)
    arms = [start(name, config, ("conv1",))[2] for name in ("pretrained", "covariance")]
    differ = {path for path in SHAPES if not np.array_equal(arms[0][path], arms[1][path])}
    assert differ == {"conv1/kernel"}


def test_a_kernel_of_zeros_cannot_be_rescaled():
    zero = {"a/kernel": np.zeros((2, 2))}
    with pytest.raises(UsageError, match="zero everywhere"):
        starting_weights("pretrained", ["a"], ["a/kernel"], zero, zero)


def test_covariance_of_too_few_filters_is_refused():
    kernel = {"a/kernel": np.random.default_rng(0).normal(size=(5, 4))}
    with pytest.raises(UsageError, match="4"):
        starting_weights("covariance", ["a"], ["a/kernel"], kernel, kernel)
