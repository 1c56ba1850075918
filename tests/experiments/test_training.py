import numpy as np
import pytest
import tensorflow as tf

from rl_keras.config import from_values
from rl_keras.experiments.evaluation import evaluate
from rl_keras.experiments.training import Trainer, fresh_weights, read_weights
from rl_keras.models import mlp

CONFIG = from_values({"model": "mlp", "widths": (6,)})
RNG = np.random.default_rng(0)
X = RNG.normal(size=(32, 4)).astype("float32")
Y = RNG.integers(0, 3, 32)


def trainer():
    return Trainer(CONFIG, CONFIG.upstream, (4,), 3, tf.distribute.get_strategy())


def dataset():
    return tf.data.Dataset.from_tensor_slices((X, Y)).batch(8)


def test_a_used_trainer_gives_what_a_new_one_gives():
    first = fresh_weights(CONFIG, (4,), 3, seed=1)
    used, new = trainer(), trainer()
    used.reset(fresh_weights(CONFIG, (4,), 3, seed=2))
    used.fit(dataset(), [])
    for one in (used, new):
        one.reset(first)
        one.fit(dataset(), [])
        assert one.model.optimizer.iterations.numpy() == 4
    for path, value in read_weights(new.model).items():
        np.testing.assert_array_equal(read_weights(used.model)[path], value)
        assert not np.array_equal(first[path], value)


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
