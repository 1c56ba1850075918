import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from rl_keras.experiments.plan import make_plan
from rl_keras.experiments.run_data import RunData
from rl_keras.experiments.runner import Experiment
from rl_keras.experiments.stage import evaluate
from rl_keras.experiments.training import Trainer, fresh_weights, make_optimizer, read_weights
from rl_keras.models import mlp
from rl_keras.settings.experiment import from_values
from rl_keras.settings.stage import OPTIMIZERS, StageConfig
from rl_keras.storage.run_folder import RunDirectory

CONFIG = from_values({"model": "mlp", "widths": (6,)})
RNG = np.random.default_rng(0)
X = RNG.normal(size=(32, 4)).astype("float32")
Y = RNG.integers(0, 3, 32)


def trainer(optimizer="sgd"):
    stage = dataclasses.replace(CONFIG.upstream, optimizer=optimizer)
    return Trainer(CONFIG, stage, (4,), 3, tf.distribute.get_strategy())


def dataset():
    return tf.data.Dataset.from_tensor_slices((X, Y)).batch(8)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_used_trainer_gives_what_a_new_one_gives(optimizer):
    first = fresh_weights(CONFIG, (4,), 3, seed=1)
    used, new = trainer(optimizer), trainer(optimizer)
    used.reset(fresh_weights(CONFIG, (4,), 3, seed=2))
    used.fit(dataset(), [])
    for one in (used, new):
        one.reset(first)
        one.fit(dataset(), [])
        assert one.model.optimizer.iterations.numpy() == 4
    for path, value in read_weights(new.model).items():
        np.testing.assert_array_equal(read_weights(used.model)[path], value)
        assert not np.array_equal(first[path], value)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_restored_trainer_goes_on_as_if_never_stopped(optimizer):
    first = fresh_weights(CONFIG, (4,), 3, seed=1)
    one, other = trainer(optimizer), trainer(optimizer)
    one.reset(first)
    one.fit(dataset(), [])
    other.reset(first)
    other.restore_state(one.read_state())
    for trained in (one, other):
        trained.fit(dataset(), [])
    for mine, theirs in zip(one.read_state(), other.read_state(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_adam_is_that_of_the_formula():
    # The first step of Adam is the sign of the gradient times the rate, up to epsilon.
    stage = StageConfig(optimizer="adam", momentum=0.5, learning_rate=0.01)
    optimizer = make_optimizer(stage, 0.01)
    weight = keras.Variable(np.zeros(3, "float32"))
    steps, gradients = [], np.array([[4.0, -0.1, 1.0], [-4.0, -0.1, 2.0]], "float32")
    for gradient in gradients:
        optimizer.apply([keras.ops.convert_to_tensor(gradient)], [weight])
        steps.append(weight.numpy().copy())
    np.testing.assert_allclose(steps[0], -0.01 * np.sign(gradients[0]), rtol=1e-4)
    mean = (0.25 * gradients[0] + 0.5 * gradients[1]) / 0.75
    square = (0.999 * gradients[0] ** 2 + gradients[1] ** 2) / 1.999
    np.testing.assert_allclose(steps[1] - steps[0], -0.01 * mean / np.sqrt(square), rtol=1e-3)


def test_stages_share_a_trainer_only_if_they_agree_in_the_optimiser(tmp_path):
    values = {"model": "mlp", "widths": (4,), "dataset": "gaussian", "scaling": "none"}
    values |= {"gaussian_variances": (1.0, 2.0), "downstream_labels": ("random",)}
    values |= {"seeds": (0, 1), "starts": ("scratch",)}
    kinds = {}
    for name in OPTIMIZERS:
        plan = make_plan(from_values({**values, "upstream_optimizer": name}))
        directory = RunDirectory(tmp_path / name)
        strategy = tf.distribute.get_strategy()
        experiment = Experiment(plan, RunData(plan, directory), directory, strategy)
        trainers = [experiment._trainer(stage) for stage in plan.stages]
        assert trainers[:2] == trainers[2:]
        assert len(set(trainers)) == (2 if name == "adam" else 1)
        kinds[name] = type(trainers[0].model.optimizer).__name__
    assert kinds == {"sgd": "SGD", "adam": "Adam"}


def test_reset_keeps_the_learning_rate():
    one = trainer()
    one.reset(fresh_weights(CONFIG, (4,), 3, seed=1))
    assert float(one.model.optimizer.learning_rate.numpy()) == pytest.approx(0.01)


def test_reset_refuses_missing_weights():
    with pytest.raises(KeyError, match="head/bias"):
        weights = fresh_weights(CONFIG, (4,), 3, seed=1)
        del weights["head/bias"]
        trainer().reset(weights)


def test_fresh_weights_depend_on_the_seed_alone():
    one, same, other = (fresh_weights(CONFIG, (4,), 3, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(one["head/kernel"], same["head/kernel"])
    assert not np.array_equal(one["head/kernel"], other["head/kernel"])


def test_evaluate_counts_every_example_once_against_both_labels():
    model = mlp((4,), classes=3, widths=(5,))
    predicted = np.argmax(model.predict(X, verbose=0), axis=1)
    true = np.where(np.arange(32) < 10, -1, Y)
    padded = [np.concatenate([array, array[:8]]) for array in (X, Y, true)]
    weight = np.concatenate([np.ones(32), np.zeros(8)])
    batches = [
        (*(array[i : i + 8] for array in padded), weight[i : i + 8]) for i in range(0, 40, 8)
    ]
    scores = evaluate(model, batches)
    assert scores["accuracy"] == pytest.approx(np.mean(predicted == Y))
    assert scores["accuracy_true"] == pytest.approx(np.mean(predicted[10:] == Y[10:]))


def test_evaluate_says_nothing_about_true_labels_that_are_absent():
    model = mlp((4,), classes=3, widths=(5,))
    scores = evaluate(model, [(X, Y, np.full(32, -1), np.ones(32))])
    assert np.isnan(scores["accuracy_true"])
