"""The ledger of an ordinary `model.fit`: whose predictions it holds, and that it only looks."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from rl_keras.callbacks import MemorisationTracker, MetricLog, every
from rl_keras.errors import UsageError
from rl_keras.models import simple_cnn
from rl_keras.science.memorisation import MemorisationLedger

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(48, 6, 6, 2)).astype("float32")
GIVEN = RNG.integers(0, 3, 48)
TRUE = np.where(RNG.random(48) < 0.5, GIVEN, (GIVEN + 1) % 3)


def fitted(*callbacks, epochs=3):
    model = simple_cnn((6, 6, 2), classes=3, filters=24, units=4)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), loss)
    dataset = tf.data.Dataset.from_tensor_slices((IMAGES, GIVEN)).batch(8)
    model.fit(dataset, epochs=epochs, verbose=0, callbacks=list(callbacks))
    return model


class Predictions(keras.callbacks.Callback):
    """The slow way: every class at every step."""

    def on_train_begin(self, logs=None):
        self.by_step = {0: self.classes()}

    def on_train_batch_end(self, batch, logs=None):
        self.by_step[int(self.model.optimizer.iterations.numpy())] = self.classes()

    def classes(self):
        return np.argmax(np.asarray(self.model(IMAGES[:40])), axis=1)


@pytest.fixture(scope="module")
def run():
    log, slow = MetricLog(), Predictions()
    tracker = MemorisationTracker(
        IMAGES[:40], GIVEN[:40], TRUE[:40], schedule=every(4), writers=[log], batch_size=16
    )
    model = fitted(slow, tracker)
    return model, tracker, slow, log


def test_weights_are_bitwise_equal_with_and_without(run):
    for one, other in zip(run[0].get_weights(), fitted().get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_records_are_the_predictions_of_their_steps(run):
    _, tracker, slow, _ = run
    assert tracker.records["step"].tolist() == [0, 4, 8, 12, 16, 18]
    for record in tracker.records:
        np.testing.assert_array_equal(record["predictions"], slow.by_step[record["step"]])


def test_arrays_are_those_of_the_ledger(run):
    _, tracker, slow, _ = run
    ledger = MemorisationLedger(GIVEN[:40], TRUE[:40])
    for step in (0, 4, 8, 12, 16, 18):
        ledger.update(step, slow.by_step[step])
    arrays = tracker.arrays()
    for name in ("first_fitted", "fitted_since", "times_forgotten"):
        np.testing.assert_array_equal(arrays[name], getattr(ledger, name))
    for group in ("corrupted", "clean"):
        np.testing.assert_array_equal(arrays[f"shares_{group}"], ledger.shares(group))
    assert arrays["ids"].tolist() == list(range(40))
    assert ledger.times_forgotten.any()


def test_scalars_are_the_shares_of_corrupted_and_clean_examples(run):
    _, _, slow, log = run
    said, given, true = slow.by_step[12], GIVEN[:40], TRUE[:40]
    bad = given != true
    logged = {row["name"]: row["value"] for row in log.rows if row["step"] == 12}
    assert logged == {
        "ledger/given": pytest.approx(np.mean((said == given)[bad])),
        "ledger/true": pytest.approx(np.mean((said == true)[bad])),
        "ledger/other": pytest.approx(np.mean(((said != true) & (said != given))[bad])),
        "ledger/clean": pytest.approx(np.mean((said == given)[~bad])),
    }


def test_examples_without_a_true_label_count_as_clean():
    log = MetricLog()
    true = np.where(np.arange(48) < 24, -1, TRUE)
    tracker = MemorisationTracker(IMAGES, GIVEN, true, schedule=every(6), writers=[log])
    fitted(tracker, epochs=1)
    assert not tracker.ledger.corrupted[:24].any()
    np.testing.assert_array_equal(tracker.ledger.corrupted[24:], (GIVEN != TRUE)[24:])


def test_without_corrupted_examples_their_shares_are_not_written():
    log = MetricLog()
    fitted(MemorisationTracker(IMAGES, GIVEN, GIVEN, schedule=every(6), writers=[log]), epochs=1)
    assert {row["name"] for row in log.rows} == {"ledger/clean"}


def test_a_resumed_tracker_goes_on_with_the_same_ledger(run):
    model, whole, _, _ = run
    again = MemorisationTracker(IMAGES[:40], GIVEN[:40], TRUE[:40], schedule=every(4))
    again.resume(whole.rows[:3])
    again.set_model(model)  # at the last step
    again.on_train_begin()
    np.testing.assert_array_equal(again.ledger.steps, [0, 4, 8])
    again.on_train_end()
    last = whole.records["predictions"][-1]
    np.testing.assert_array_equal(again.records["predictions"][-1], last)
    ledger = MemorisationLedger(GIVEN[:40], TRUE[:40])
    for row in [*whole.rows[:3], whole.rows[-1]]:
        ledger.update(row["step"], row["predictions"])
    np.testing.assert_array_equal(again.ledger.times_forgotten, ledger.times_forgotten)


def test_labels_of_other_examples_are_refused():
    with pytest.raises(UsageError, match="of the same examples. Received: shapes"):
        MemorisationTracker(IMAGES, GIVEN, TRUE[:40])
