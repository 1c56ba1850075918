"""The figure of label corruption: ratios paired by seed, errors, and what was never fitted."""

import math

import numpy as np
import pytest

from rl_keras.figures.plotting.drawing import draw_figure, rows_of
from rl_keras.storage.run_folder import RunDirectory

VARIANTS = "; ".join(
    f"{model}_{name}: model={model} {flags}"
    for model in ("simple_cnn", "cnn3")
    for name, flags in (
        ("0", "upstream_labels=true"),
        ("5", "upstream_labels=partial upstream_corruption=0.5"),
        ("10", "upstream_labels=random"),
    )
)
FITTED = {"0": 100, "5": 200, "10": 400}  # steps; more by 20 for each seed


@pytest.fixture
def run(make_run, monkeypatch):
    """Networks that fit at these steps; seed 2 of cnn3 never fits random labels."""

    def change(key, arrays, variant):
        model, _, name = variant.rpartition("_")
        steps = arrays["probe/train/step"]
        reached = steps >= FITTED[name] + (20 * key.seed if name != "10" else -20 * key.seed)
        if (model, name, key.seed) == ("cnn3", "10", 2):
            reached[:] = False
        arrays["probe/train/accuracy"] = np.where(reached, 1.0, 0.5)

    finish = RunDirectory.finish_stage

    def telling(self, key, result, metrics, arrays):
        accuracy = {"0": 0.8, "5": 0.5, "10": 0.1}[self.path.name.rpartition("_")[2]]
        summary = {**result["summary"], "final_test_accuracy_true": accuracy}
        finish(self, key, {**result, "num_classes": 10, "summary": summary}, metrics, arrays)

    monkeypatch.setattr(RunDirectory, "finish_stage", telling)
    return make_run(variants=VARIANTS, starts=("none",), change=change)


def test_times_are_ratios_to_true_labels_by_seed(run):
    rows = {(row["panel"], row["start"], row["x"]): row for row in rows_of("corruption", run)}
    assert len(rows) == 2 * 2 * 3
    half = rows["time", "simple_cnn", 0.5]
    assert [half[f"seed_{n}"] for n in range(3)] == [200 / 100, 220 / 120, 240 / 140]
    assert rows["time", "cnn3", 0.0]["mean"] == 1
    never = rows["time", "cnn3", 1.0]
    assert never["mean"] is None and math.isinf(never["seed_2"]) and never["seed_1"] == 380 / 120
    assert rows["error", "cnn3", 1.0]["mean"] == pytest.approx(0.9)


def test_it_is_drawn(run):
    paths, notes, _ = draw_figure("corruption", run)
    assert notes == [] and [path.name for path in paths] == ["corruption.png", "corruption.csv"]
