"""Weight decay and dropout in training: closed forms, and the same bytes after a stop."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from rl_keras.errors import UsageError
from rl_keras.experiments.plan import make_plan
from rl_keras.experiments.run_data import RunData
from rl_keras.experiments.runner import Experiment
from rl_keras.experiments.training import Trainer, fresh_weights, make_optimizer, read_weights
from rl_keras.settings.experiment import from_values, memorisation_warnings
from rl_keras.storage.run_folder import RunDirectory

CONFIG = from_values({"model": "mlp", "widths": (6, 5), "dropout": 0.5})
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(32, 4)).astype("float32"), RNG.integers(0, 3, 32)


def stage(**settings):
    return dataclasses.replace(CONFIG.upstream, **settings)


def weights_after(settings, gradients, start=2.0):
    """A weight after steps with these gradients, which may be functions of it."""
    optimizer = make_optimizer(settings, settings.learning_rate)
    weight = keras.Variable(np.array([start], "float32"))
    path = []
    for gradient in gradients:
        value = gradient(weight.numpy()) if callable(gradient) else np.array([gradient])
        optimizer.apply([keras.ops.convert_to_tensor(value.astype("float32"))], [weight])
        path.append(float(weight.numpy()[0]))
    return path


def test_weight_decay_is_apart_from_gradient_and_momentum():
    settings = stage(learning_rate=0.1, momentum=0.9, weight_decay=0.2)
    weight, velocity, expected = 2.0, 0.0, []
    for gradient in (1.0, -0.5, 0.25):
        weight -= 0.1 * 0.2 * weight
        velocity = 0.9 * velocity - 0.1 * gradient
        weight += velocity
        expected.append(weight)
    np.testing.assert_allclose(weights_after(settings, (1.0, -0.5, 0.25)), expected, rtol=1e-6)


def test_penalty_with_momentum_shrinks_like_the_weight_decay_that_the_help_names():
    # Of a penalty l/2 w^2 with momentum m, and a weight decay of l / (1 - m).
    penalty, momentum, rate, steps = 0.05, 0.9, 0.005, 200
    shrinks = weights_after(
        stage(learning_rate=rate, momentum=momentum, weight_decay=penalty / (1 - momentum)),
        [0.0] * steps,
    )
    penalised = weights_after(
        stage(learning_rate=rate, momentum=momentum), [lambda w: penalty * w] * steps
    )
    assert np.log(shrinks[-1] / 2) == pytest.approx(steps * np.log(1 - rate * 0.5), rel=1e-3)
    # Up to the 9 steps in which the momentum gathers, and the square of the step.
    assert np.log(penalised[-1] / 2) == pytest.approx(np.log(shrinks[-1] / 2), rel=0.1)


def test_without_weight_decay_the_optimiser_knows_of_none():
    for name in ("sgd", "adam"):
        assert make_optimizer(stage(optimizer=name), 0.1).weight_decay is None
        assert make_optimizer(stage(optimizer=name, weight_decay=0.3), 0.1).weight_decay == 0.3


def test_stages_with_other_weight_decay_do_not_share_a_trainer(tmp_path):
    values = {"model": "mlp", "widths": (4,), "dataset": "gaussian", "scaling": "none"}
    values |= {"gaussian_variances": (1.0, 2.0), "downstream_labels": ("random",)}
    values |= {"starts": ("scratch",), "upstream_weight_decay": 0.1}
    plan = make_plan(from_values(values))
    directory = RunDirectory(tmp_path / "run")
    experiment = Experiment(plan, RunData(plan, directory), directory, tf.distribute.get_strategy())
    decays = [experiment._trainer(s).model.optimizer.weight_decay for s in plan.stages]
    assert decays == [0.1, None]


def trainer():
    return Trainer(CONFIG, CONFIG.upstream, (4,), 3, tf.distribute.get_strategy())


def trained(one, weights, seed):
    one.reset(weights, seed)
    one.fit(tf.data.Dataset.from_tensor_slices((X, Y)).batch(8), [])
    return read_weights(one.model)


def test_dropped_units_are_a_function_of_the_stage_seed():
    weights = fresh_weights(CONFIG, (4,), 3, seed=1)
    used, new = trainer(), trainer()
    first = trained(used, weights, seed=3)
    other = trained(used, weights, seed=4)
    again = trained(used, weights, seed=3)
    elsewhere = trained(new, weights, seed=3)
    for path, value in first.items():
        np.testing.assert_array_equal(again[path], value)
        np.testing.assert_array_equal(elsewhere[path], value)
    assert any((other[path] != value).any() for path, value in first.items())


def test_a_restored_trainer_drops_on_where_it_was():
    weights = fresh_weights(CONFIG, (4,), 3, seed=1)
    one, other = trainer(), trainer()
    trained(one, weights, seed=3)
    other.reset(weights, seed=5)
    other.restore_state(one.read_state())
    dataset = tf.data.Dataset.from_tensor_slices((X, Y)).batch(8)
    for each in (one, other):
        each.fit(dataset, [])
    for mine, theirs in zip(one.read_state(), other.read_state(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    counters = [v for v in one.read_state() if v.shape == (2,) and v.dtype.kind in "iu"]
    assert [int(counter[1]) for counter in counters] == [8, 8]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, []),
        ({"upstream_labels": ("true",), "upstream_weight_decay": 0.1, "starts": ("none",)}, []),
        ({"downstream_weight_decay": 0.1}, []),
        (
            {"upstream_weight_decay": 0.1},
            ["upstream labels are random, and --upstream_weight_decay=0.1 may keep"],
        ),
        (
            {"downstream_labels": ("true", "random", "permuted"), "dropout": 0.5},
            [
                "upstream labels are random, and --dropout=0.5 may",
                "downstream labels are random and permuted, and --dropout=0.5 may",
            ],
        ),
        (
            {
                "upstream_labels": ("partial",),
                "upstream_corruption": 0.2,
                "upstream_augmentation": "crop",
                "crop_size": 8,
                "dropout": 0.1,
                "starts": ("none",),
                "downstream_labels": ("random",),
            },
            ["upstream labels are partial, and --upstream_augmentation=crop and --dropout=0.1"],
        ),
        ({"upstream_labels": ("partial",), "upstream_weight_decay": 0.1}, []),
    ],
)
def test_a_regulariser_with_noisy_labels_is_said_aloud(values, expected):
    lines = memorisation_warnings(from_values({"experiment": "e", **values}))
    assert len(lines) == len(expected)
    for line, start in zip(lines, expected, strict=True):
        assert line.startswith(f"e: {start}")
        assert "\n" not in line


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"dropout": 1.0}, "--dropout must be at least 0 and below 1. Received: 1.0"),
        ({"dropout": -0.1}, "--dropout must be at least 0 and below 1. Received: -0.1"),
        ({"dropout": 0.1, "model": "cnn3"}, "--dropout has no effect on --model=cnn3"),
        ({"upstream_weight_decay": -1.0}, "--upstream_weight_decay must be at least 0"),
        ({"require_fit": 99.0}, "--require_fit must be from 0 to 1. Received: 99.0"),
    ],
)
def test_wrong_values_are_refused(values, message):
    with pytest.raises(UsageError, match=message):
        from_values(values)
