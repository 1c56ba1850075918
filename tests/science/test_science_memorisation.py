import math

import numpy as np
import pytest

from rl_keras.errors import UsageError
from rl_keras.science.memorisation import MemorisationLedger


def _material(num=40, num_steps=25, num_classes=3, seed=0):
    generator = np.random.default_rng(seed)
    given, true = generator.integers(0, num_classes, (2, num))
    predictions = generator.integers(0, num_classes, (num_steps, num))
    return given, true, predictions, 5 * np.arange(num_steps)


def _filled(given, true, predictions, steps):
    ledger = MemorisationLedger(given, true)
    for step, row in zip(steps, predictions, strict=True):
        ledger.update(int(step), row)
    return ledger


def test_ledger_equals_a_slow_reading_of_each_history():
    given, true, predictions, steps = _material()
    ledger = _filled(given, true, predictions, steps)
    for i in range(len(given)):
        history = [int(row[i]) == given[i] for row in predictions]
        fitted = [int(step) for step, is_fitted in zip(steps, history, strict=True) if is_fitted]
        assert ledger.first_fitted[i] == (fitted[0] if fitted else -1)
        forgotten = sum(history[t] and not history[t + 1] for t in range(len(history) - 1))
        assert ledger.times_forgotten[i] == forgotten
        assert ledger.fitted[i] == history[-1]
        assert ledger.unforgettable[i] == (bool(fitted) and forgotten == 0)
        since = -1
        for t in range(len(history) - 1, -1, -1):
            if not history[t]:
                break
            since = steps[t]
        assert ledger.fitted_since[i] == since


def test_shares_equal_a_slow_count_and_add_up_to_one():
    given, true, predictions, steps = _material()
    ledger = _filled(given, true, predictions, steps)
    groups = {"corrupted": given != true, "clean": given == true, "all": given == given}
    for name, group in groups.items():
        shares = ledger.shares(name)
        assert shares.shape == (25, 3)
        np.testing.assert_allclose(shares.sum(axis=1), np.ones(25))
        for t in range(25):
            kinds = [0, 0, 0]
            for i in np.flatnonzero(group):
                if predictions[t, i] == given[i]:
                    kinds[0] += 1
                elif predictions[t, i] == true[i]:
                    kinds[1] += 1
                else:
                    kinds[2] += 1
            np.testing.assert_allclose(shares[t], np.array(kinds) / group.sum())
    assert not ledger.shares("clean")[:, 1].any()
    np.testing.assert_array_equal(ledger.steps, steps)
    np.testing.assert_array_equal(ledger.corrupted, given != true)


def test_known_histories():
    given, true = [0, 0, 0, 0, 0], [0, 1, 1, 1, 2]
    histories = [[0, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 2], [2, 2, 2, 2], [0, 0, 0, 1]]
    ledger = _filled(given, true, np.transpose(histories), [1, 2, 4, 8])
    assert ledger.first_fitted.tolist() == [1, 2, 1, -1, 1]
    assert ledger.fitted_since.tolist() == [1, 2, -1, -1, -1]
    assert ledger.times_forgotten.tolist() == [0, 0, 2, 0, 1]
    assert ledger.unforgettable.tolist() == [True, True, False, False, False]
    expected = [[2, 1, 1], [2, 1, 1], [3, 0, 1], [1, 0, 3]]
    assert (4 * ledger.shares("corrupted")).tolist() == expected
    assert ledger.shares("clean").tolist() == [[1, 0, 0]] * 4


def test_early_learning_shows_as_true_labels_before_given_ones():
    given, true = np.array([1] * 10), np.array([0] * 10)
    ledger = _filled(given, true, [[2] * 10, [0] * 10, [1] * 10], [0, 1, 2])
    assert ledger.shares("corrupted").tolist() == [[0, 0, 1], [0, 1, 0], [1, 0, 0]]


def test_guessing_forgets_as_often_as_stated():
    given, true, predictions, steps = _material(2000, 50, num_classes=4)
    ledger = _filled(given, true, predictions, steps)
    expected = 49 * (1 - 1 / 4) / 4
    error = ledger.times_forgotten.std() / math.sqrt(2000)
    assert ledger.times_forgotten.mean() == pytest.approx(expected, abs=4 * error)
    entries = ledger.first_fitted / 5 + 1  # geometric of mean 4
    assert entries.mean() == pytest.approx(4, abs=4 * math.sqrt(12 / 2000))


@pytest.mark.parametrize("cut", [0, 1, 13])
def test_a_ledger_goes_on_from_its_saved_state(tmp_path, cut):
    given, true, predictions, steps = _material()
    whole = _filled(given, true, predictions, steps)
    begun = _filled(given, true, predictions[:cut], steps[:cut])
    np.savez(tmp_path / "ledger.npz", **begun.state())
    with np.load(tmp_path / "ledger.npz") as saved:
        resumed = MemorisationLedger.from_state(saved)
    begun.update(1000, given)  # what is saved does not change any more
    for step, row in zip(steps[cut:], predictions[cut:], strict=True):
        resumed.update(int(step), row)
    expected = whole.state()
    assert set(resumed.state()) == set(expected)
    for name, array in resumed.state().items():
        np.testing.assert_array_equal(array, expected[name])
        assert array.dtype == np.int64


def test_what_is_read_is_a_copy():
    ledger = MemorisationLedger([0, 1], [0, 1]).update(0, [0, 0])
    for name in ("steps", "first_fitted", "fitted_since", "times_forgotten"):
        getattr(ledger, name)[:] = 77
        assert 77 not in getattr(ledger, name)
    ledger.state()["first_fitted"][:] = 77
    assert 77 not in ledger.first_fitted
    state = ledger.state()
    restored = MemorisationLedger.from_state(state)
    state["first_fitted"][:] = 77
    assert 77 not in restored.first_fitted


def test_an_empty_group_has_no_shares():
    ledger = MemorisationLedger([0, 1], [0, 1]).update(0, [0, 0])
    assert np.isnan(ledger.shares("corrupted")).all()
    assert ledger.shares("clean").tolist() == [[0.5, 0.0, 0.5]]
    assert MemorisationLedger([0, 1], [0, 1]).shares("all").shape == (0, 3)


def test_a_refused_update_changes_nothing():
    ledger = MemorisationLedger([0, 1], [0, 0]).update(3, [0, 1])
    before = ledger.state()
    for step, predictions, message in (
        (3, [0, 0], "above the one before, 3. Received: step=3"),
        (4.5, [0, 0], "must be an integer"),
        (4, [0], r"each of the 2 examples.*Received: shape=\(1,\)"),
        (4, [0.5, 0.5], "take the argmax.*Received: dtype=float64"),
    ):
        with pytest.raises(UsageError, match=message):
            ledger.update(step, predictions)
    for name, array in ledger.state().items():
        np.testing.assert_array_equal(array, before[name])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: MemorisationLedger([0, 1], [0]), r"Received: shapes \(2,\) and \(1,\)"),
        (lambda: MemorisationLedger([], []), "of the same examples"),
        (lambda: MemorisationLedger([0.0], [0.0]), "Labels must be integer classes"),
        (lambda: MemorisationLedger([0], [0]).update(-1, [0]), "Received: step=-1"),
        (lambda: MemorisationLedger([0], [0]).shares("noisy"), "Received: group='noisy'"),
        (lambda: MemorisationLedger.from_state({"steps": [1]}), "Received: nothing for counts, "),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(UsageError, match=message):
        call()
