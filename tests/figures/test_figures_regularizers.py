"""The table in the paper's layout: our means with their intervals beside the printed numbers."""

import math

import pytest

from rl_keras.figures.plotting.drawing import draw_all, draw_figure, rows_of
from rl_keras.papers.printed import TABLES, TableRow, table_row
from rl_keras.settings.experiment import from_values
from rl_keras.storage.run_folder import RunDirectory

ROWS = {
    "crop_decay": "model=small_inception upstream_augmentation=crop upstream_weight_decay=0.001",
    "plain": "model=small_inception",
    "no_bn_random": "model=small_inception batch_normalization=none upstream_labels=random",
    "alexnet_decay": "model=small_alexnet upstream_labels=random upstream_weight_decay=0.001",
    "mlp": "model=mlp widths=512",
    "mlp3_crop": "model=mlp widths=64,64,64 upstream_augmentation=crop",
    "cnn3": "model=cnn3",
    "permuted": "model=cnn3 upstream_labels=permuted",
}
VARIANTS = "; ".join(f"{name}: {settings}" for name, settings in ROWS.items())
T2 = 4.302652729911275  # Student's t for two degrees of freedom at 0.975


@pytest.fixture
def run(make_run, monkeypatch):
    """Train accuracies of .97, .98, .99 over seeds and test accuracies of .5 in each variant."""
    finish = RunDirectory.finish_stage

    def telling(self, key, result, metrics, arrays):
        summary = {"final_train_accuracy": 0.97 + key.seed / 100, "final_test_accuracy_true": 0.5}
        result = {**result, "num_classes": 10, "summary": {**result["summary"], **summary}}
        finish(self, key, result, metrics, arrays)

    monkeypatch.setattr(RunDirectory, "finish_stage", telling)
    return make_run(
        variants=VARIANTS,
        upstream_labels=("true",),
        starts=("none",),
        figures=("regularizers",),
        alignment_layers=("none",),
        crop_size=28,
    )


def test_settings_are_those_of_the_tables():
    def setting(**values):
        return table_row(from_values({"upstream_labels": ("true",), **values}))

    assert setting(model="small_alexnet") == TableRow("AlexNet", "true", "none", False)
    assert setting(model="small_inception", batch_normalization="none").network.endswith(
        "w/o BatchNorm"
    )
    assert setting(model="mlp", widths=(512, 512, 512)).network == "MLP 3x512"
    assert setting(model="mlp", widths=(64, 64)).network == "MLP 2x64"
    assert setting(model="mlp", widths=(512, 256)).network == "mlp"
    assert setting(model="cnn3") not in TABLES
    assert setting(model="mlp", widths=(512,), input_corruption="gaussian") is None
    assert setting(model="mlp", widths=(512,), upstream_labels=("permuted",)) is None


def test_published_numbers_are_accuracies_and_random_labels_are_at_chance():
    assert len(TABLES) == 19 + 6
    for setting, published in TABLES.items():
        assert published.train > 99 or math.isnan(published.train)
        if published.test is not None:
            assert (published.test < 11) == (setting.labels == "random")


def test_rows_hold_means_intervals_and_what_is_printed(run):
    by_variant = {row["variant"]: row for row in rows_of("regularizers", run)}
    assert list(by_variant) == [name for name in ROWS if name != "permuted"]
    row = by_variant["crop_decay"]
    assert row["train_mean"] == pytest.approx(98)
    assert row["train_high"] == pytest.approx(98 + T2 / math.sqrt(3))
    assert (row["published_train"], row["published_test"]) == (100.0, 89.05)
    row = by_variant["mlp"]
    assert (row["published_train"], row["published_test"]) == (100.0, 50.51)
    assert math.isnan(by_variant["alexnet_decay"]["published_train"])
    assert by_variant["mlp3_crop"]["published_train"] is None


def test_the_table_is_printed_in_the_layout_of_the_paper(run):
    text = draw_all(str(run.path))
    table = draw_figure("regularizers", run).table
    lines = [line.split() for line in table.splitlines()]
    assert f"\n{table}\n\n" in text
    assert lines[0][:2] == ["network", "labels"] and len(lines) == len(ROWS)
    interval = ["98.00", "[95.52,", "100.48]"]
    assert lines[1] == ["Inception", "true", "yes", "yes", *interval, "100.00", "50.00",
                        "[50.00,", "50.00]", "89.05"]  # fmt: skip
    assert lines[4][:5] == ["AlexNet", "random", "no", "yes", "98.00"] and "fails" in lines[4]
    assert lines[6][-1] == lines[7][-1] == "-" and lines[7][0] == "cnn3"
    assert "regularizers: variant permuted has no row of this kind" in text


def test_it_is_drawn_with_one_seed_too(make_run):
    run = make_run(
        seeds=(0,), upstream_labels=("true",), starts=("none",), model="mlp", widths=(8,)
    )
    paths, notes, _ = draw_figure("regularizers", run)
    assert [path.name for path in paths] == ["regularizers.png", "regularizers.csv"]
    assert notes == []
