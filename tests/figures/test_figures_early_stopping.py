"""Accuracies along training, and what the best of them has over the last."""

import numpy as np
import pytest

from rl_keras.figures.plotting.drawing import draw_figure, rows_of

TWO = "with: ; without: batch_normalization=none"
PEAK = {0: 0.5, 1: 0.6, 2: 0.7}


@pytest.fixture
def run(make_run):
    """Test accuracies that rise to their peak and end 0.1 below it."""

    def change(key, arrays, variant):
        arrays["probe/test/step"] = np.array([0, 10, 20, 30])
        peak = PEAK[key.seed]
        arrays["probe/test/accuracy"] = np.array([0.1, 0.3, peak, peak - 0.1])

    return make_run(variants=TWO, starts=("none",), model="small_inception", change=change)


def test_best_and_final_accuracy_are_paired_by_seed(run):
    rows = [row for row in rows_of("early_stopping", run) if row["variant"] == "with"]
    levels = {row["quantity"]: row for row in rows if row["panel"] == "test"}
    assert levels["best"]["mean"] == pytest.approx(0.6)
    assert levels["final"]["mean"] == pytest.approx(0.5)
    gain = levels["gain"]
    assert [gain[f"seed_{seed}"] for seed in range(3)] == pytest.approx([0.1] * 3)
    assert gain["high"] == pytest.approx(0.1)
    test = [row for row in rows if row["quantity"] == "test_probe"]
    assert [row["step"] for row in test] == [0, 10, 20, 30]


def test_it_is_drawn(run):
    paths, notes, _ = draw_figure("early_stopping", run)
    assert [path.name for path in paths] == ["early_stopping.png", "early_stopping.csv"]
    assert notes == []
