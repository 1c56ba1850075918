"""Accuracy and speed by the number of transferred layers, against numbers worked out here."""

import csv
import math

import pytest
from made_up import depth_summary, write_run

from rl_keras.errors import UsageError
from rl_keras.figures.plotting.drawing import draw_all, draw_figure, rows_of
from rl_keras.results.tables import depth_rows, depth_table
from rl_keras.settings.experiment import from_values
from rl_keras.storage.run_folder import StageKey

T_TWO_DEGREES = 4.302652729911275  # Student's t, 97.5%


@pytest.fixture
def make(tmp_path):
    def make(summary=depth_summary, missing=(), **values):
        values = {
            "experiment": "fig6",
            "seeds": (0, 1, 2),
            "starts": ("scratch", "pretrained", "layerwise"),
            "transfer_depths": (1, 3),
            "figures": ("depths",),
            **values,
        }
        return write_run(tmp_path / "run", from_values(values), lambda *_: {}, summary, missing)

    return make


def pick(rows, **wanted):
    return [row for row in rows if all(row[name] == value for name, value in wanted.items())]


@pytest.mark.parametrize(
    ("panel", "column"),
    [
        ("area", "area_under_train_curve"),
        ("steps_to_80", "steps_to_80"),
        ("test", "final_test_accuracy"),
        ("train", "final_train_accuracy"),
    ],
)
@pytest.mark.parametrize(
    ("start", "layers", "arm"), [("scratch", 0, "scratch"), ("layerwise", 3, "layerwise-first3")]
)
def test_points_are_means_and_intervals_over_seeds(make, panel, column, start, layers, arm):
    (row,) = pick(rows_of("depths", make()), panel=panel, start=start, x=layers)
    values = [depth_summary(StageKey("downstream", "true", arm, seed))[column] for seed in range(3)]
    mean = sum(values) / 3
    half = T_TWO_DEGREES * math.sqrt(sum((value - mean) ** 2 for value in values) / 2 / 3)
    assert [row[f"seed_{seed}"] for seed in range(3)] == values
    assert (row["mean"], row["low"], row["high"]) == pytest.approx((mean, mean - half, mean + half))


def test_every_start_and_depth_has_its_points(make):
    rows = rows_of("depths", make(downstream_labels=("true", "random")))
    for labels in ("true", "random"):
        points = pick(rows, panel="area", labels=labels)
        places = [(row["start"], row["x"]) for row in points]
        starts = ("pretrained", "layerwise")
        assert places == [("scratch", 0), *((start, k) for start in starts for k in (1, 3))]
        chance = pick(rows, panel="test", labels=labels, quantity="chance")
        assert [row["mean"] for row in chance] == [0.1]


def test_seeds_that_never_get_there_leave_no_mean(make):
    def slow(key):
        never = {"steps_to_80": None} if (key.seed, key.start) == (1, "pretrained-first1") else {}
        return depth_summary(key) | never

    run = make(slow)
    (row,) = pick(rows_of("depths", run), panel="steps_to_80", start="pretrained", x=1)
    assert (row["mean"], row["low"], row["seed_1"]) == (None, None, math.inf)
    assert math.isfinite(row["seed_0"])
    draw_figure("depths", run)


def test_unmeasured_accuracy_is_left_out(make):
    run = make(lambda key: depth_summary(key) | {"final_test_accuracy": None})
    rows = rows_of("depths", run)
    assert [row["quantity"] for row in pick(rows, panel="test")] == ["chance"]
    draw_figure("depths", run)


def test_missing_stage_is_noted_and_one_seed_has_no_interval(make):
    run = make(missing=("downstream-true-layerwise-first3-seed0",), seeds=(0,))
    paths, notes, _ = draw_figure("depths", run)
    assert notes == [
        "drawn from 4 of 5 stages; missing: downstream-true-layerwise-first3-seed0",
    ]
    rows = pick(rows_of("depths", run), panel="area")
    assert {row["low"] for row in rows} == {None}
    assert ("layerwise", 3) not in [(row["start"], row["x"]) for row in rows]
    with open(paths[1], newline="") as file:
        assert len(list(csv.DictReader(file))) == 4 * 4 + 1


def test_run_without_depths_is_noted(make):
    run = make(transfer_depths=())
    notes = draw_figure("depths", run).notes
    assert notes == ["depths: nothing was transferred at several depths; set --transfer_depths"]


def test_run_without_finished_stage_is_refused(make):
    arms = ("scratch", "pretrained-first1", "pretrained-first3")
    missing = [f"downstream-true-{arm}-seed0" for arm in arms]
    run = make(missing=missing, seeds=(0,), starts=("scratch", "pretrained"))
    with pytest.raises(UsageError, match="must hold a finished downstream stage"):
        draw_figure("depths", run)


GOLDEN = """\
Final accuracy by the number of transferred layers:
labels         start       layers            train %        test %
wide: true     scratch          0  90.0               - (0 of 2)
wide: true     pretrained       1  91.0               50.0 (1 of 2)
wide: true     pretrained      12  95.0               60.0"""


def table_rows():
    cells = [
        ("pretrained-first12", 0.95, "0.6"),
        ("scratch", 0.9, ""),
        ("scratch", 0.9, None),
        ("pretrained-first1", 0.9, "0.5"),
        ("pretrained-first1", 0.92, "nan"),
        ("pretrained", 0.1, "0.1"),  # of no depth
    ]
    names = ("start", "final_train_accuracy", "final_test_accuracy")
    return [
        {"variant": "wide", "labels": "true"} | dict(zip(names, cell, strict=True))
        for cell in cells
    ]


def test_table():
    table = depth_table(table_rows())
    assert table.split() == GOLDEN.split()
    assert len({len(line) for line in table.splitlines()[1:]}) == 1


def test_rows_of_the_table():
    scratch, first, twelfth = depth_rows(table_rows())
    assert (scratch["layers"], scratch["num_seeds"], scratch["test_mean"]) == (0, 2, None)
    assert first["train_mean"] == pytest.approx(0.91)
    assert first["train_high"] - first["train_mean"] == pytest.approx(12.706204736 * 0.01)
    assert (first["test_mean"], first["test_low"]) == (0.5, None)
    assert (twelfth["layers"], twelfth["train_low"]) == (12, None)


def test_table_is_printed_and_written_for_runs_with_depths(make):
    run = make()
    text = draw_all(str(run.path))
    assert depth_table(run.read_summary()) in text
    assert f"wrote {run.figures_path / 'depth_table.csv'}\n" in text
    assert f"wrote {run.figures_path / 'depths.png'}\n" in text
    with open(run.figures_path / "depth_table.csv", newline="") as file:
        assert [row["layers"] for row in csv.DictReader(file)] == ["0", "1", "3", "1", "3"]


def test_no_table_without_depths(make):
    run = make(transfer_depths=())
    assert depth_table(run.read_summary()) == depth_table([]) == ""
    assert "transferred layers" not in draw_all(str(run.path), ())
    assert not run.figures_path.exists()
