"""Shares of predicted classes, against counting in the predictions."""

import math

import numpy as np
import pytest
from made_up import STEPS

from rl_keras.figures.plotting.drawing import draw_all, draw_figure, rows_of
from rl_keras.storage.run_folder import StageKey, read_arrays

PARTIAL = {"upstream_labels": ("partial",), "upstream_corruption": 0.4, "starts": ("none",)}
T_TWO_DEGREES = 4.302652729911275  # Student's t, 97.5%


def arrays_of(run, seed):
    return read_arrays(run.arrays_path(StageKey("upstream", "partial", "", seed)))


def pick(rows, quantity):
    return [row for row in rows if row["quantity"] == quantity]


def test_shares_are_those_of_the_predictions(make_run):
    run = make_run(**PARTIAL)
    rows, shares = rows_of("memorisation", run), {}
    for seed in range(3):
        arrays = {n[len("ledger/") :]: a for n, a in arrays_of(run, seed).items() if "ledger" in n}
        given, true = arrays["given_labels"], arrays["true_labels"]
        said = arrays["predictions"]
        bad = given != true
        by_hand = {
            "corrupted/given": (said == given)[:, bad].mean(axis=1),
            "corrupted/true": (said == true)[:, bad].mean(axis=1),
            "corrupted/other": ((said != true) & (said != given))[:, bad].mean(axis=1),
            "clean/given": (said == given)[:, ~bad].mean(axis=1),
        }
        for quantity, values in by_hand.items():
            drawn = [row[f"seed_{seed}"] for row in pick(rows, quantity)]
            np.testing.assert_allclose(drawn, values)
            shares.setdefault(quantity, []).append(values)
    for quantity, values in shares.items():
        own = pick(rows, quantity)
        assert [row["step"] for row in own] == STEPS.tolist()
        half = T_TWO_DEGREES * np.std(values, axis=0, ddof=1) / math.sqrt(3)
        np.testing.assert_allclose([row["mean"] for row in own], np.mean(values, axis=0))
        np.testing.assert_allclose([row["mean"] - row["low"] for row in own], half, atol=1e-12)
    assert [row["mean"] for row in pick(rows, "chance")] == [0.1]


def test_forgetting_is_that_of_the_ledger(make_run):
    run = make_run(**PARTIAL, seeds=(4,))
    rows, arrays = rows_of("memorisation", run), arrays_of(run, 4)
    bad = arrays["ledger/given_labels"] != arrays["ledger/true_labels"]
    forgotten, first = arrays["ledger/times_forgotten"], arrays["ledger/first_fitted"]
    for group, chosen in (("corrupted", bad), ("clean", ~bad)):
        (times,) = pick(rows, f"{group}/times_forgotten")
        assert times["mean"] == pytest.approx(forgotten[chosen].mean())
        (share,) = pick(rows, f"{group}/unforgettable")
        kept = (forgotten[chosen] == 0) & (first[chosen] >= 0)
        assert share["mean"] == pytest.approx(kept.mean())
        assert pick(rows, f"{group}/num_examples")[0]["mean"] == chosen.sum()


def test_examples_that_most_never_fit_have_no_median_step(make_run):
    def never(key, arrays):
        arrays["ledger/first_fitted"][:] = -1

    (row, *_) = pick(
        rows_of("memorisation", make_run(**PARTIAL, change=never)), "clean/first_fitted"
    )
    assert (row["mean"], row["seed_1"]) == (None, math.inf)


def test_true_labels_have_no_corrupted_group_and_no_note(make_run):
    run = make_run(upstream_labels=("true",), starts=("none",))
    quantities = {row["quantity"] for row in rows_of("memorisation", run)}
    assert "clean/given" in quantities
    assert not any(quantity.startswith("corrupted") for quantity in quantities)
    assert draw_figure("memorisation", run).notes == []


def test_runs_without_a_ledger_are_noted(make_run):
    run = make_run(measured=(), **PARTIAL)
    assert rows_of("memorisation", run) == []
    text = draw_all(str(run.path), ("memorisation",))
    assert "note: memorisation: not measured; set --ledger" in text
