"""The figure of two-fold agreement: means over halves, and the closed forms behind them."""

import pytest

from rl_keras.figures.plotting.drawing import draw_figure, rows_of
from rl_keras.science.label_noise import expected_agreement

VARIANTS = (
    "; ".join(
        f"{name}_{half}: upstream_corruption={p} upstream_split=train[{half}%] test_split=test"
        for name, p in (("clean", 0), ("half", 0.5))
        for half in ("0:50", "50:100")
    )
    .replace("_0:50:", "_a:")
    .replace("_50:100:", "_b:")
)
NOISE = {"clean": 0.0, "half": 0.45}


@pytest.fixture
def run(make_run, monkeypatch):
    """Halves whose agreement is what a network of accuracy 0.8 gives, 0.1 to each side of it."""
    from rl_keras.storage.run_folder import RunDirectory

    finish = RunDirectory.finish_stage

    def telling(self, key, result, metrics, arrays):
        name, _, half = self.path.name.partition("_")
        noise, side = NOISE[name], 0.1 if half == "a" else -0.1
        agreement = float(expected_agreement(noise, 10, accuracy=0.8))
        result = {**result, "num_classes": 10, "labels_realised_rate": noise}
        summary = {"final_test_accuracy": agreement + side, "final_test_accuracy_true": 0.8 - side}
        finish(self, key, {**result, "summary": {**result["summary"], **summary}}, metrics, arrays)

    monkeypatch.setattr(RunDirectory, "finish_stage", telling)
    return make_run(variants=VARIANTS, upstream_labels=("partial",), starts=("none",))


def test_halves_are_averaged_and_the_noise_is_read_off(run):
    rows = {(row["quantity"], row["x"]): row for row in rows_of("label_noise", run)}
    assert len(rows) == 6
    for noise in NOISE.values():
        expected = float(expected_agreement(noise, 10, accuracy=0.8))
        assert rows["agreement", noise]["mean"] == pytest.approx(expected)
        assert rows["accuracy", noise]["mean"] == pytest.approx(0.8)
    # By hand: 0.9 (1 - sqrt(1 - 0.2 / 0.9)), as an accuracy of 0.8 disagrees with 0.2 clean labels.
    assert rows["implied", 0.0]["mean"] == pytest.approx(0.9 * (1 - (1 - 0.2 / 0.9) ** 0.5))


def test_it_is_drawn_with_the_curve_of_the_clean_accuracy(run):
    paths, notes, _ = draw_figure("label_noise", run)
    assert notes == [] and [path.name for path in paths] == ["label_noise.png", "label_noise.csv"]
