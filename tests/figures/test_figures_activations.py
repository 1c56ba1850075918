"""Shares of active units at the switch of tasks, against numbers worked out here."""

import csv

import numpy as np
import pytest
from made_up import activity_arrays, write_run

from rl_keras.errors import UsageError
from rl_keras.figures.plotting.drawing import draw_all, draw_figure, rows_of
from rl_keras.settings.experiment import from_values

VARIANTS = "positive: upstream_num_random_classes=5; negative: upstream_num_random_classes=50"
LAYERS = ("conv1", "conv2", "dense1")


@pytest.fixture
def make(tmp_path):
    def make(arrays=None, missing=(), **values):
        values = {
            "experiment": "fig7",
            "workdir": str(tmp_path / "run"),
            "seeds": (0, 1),
            "starts": ("scratch", "pretrained"),
            "downstream_labels": ("random",),
            **values,
        }

        def usual(name, key):
            return activity_arrays(key, LAYERS, drop=0.3 if name == "positive" else 1.5)

        config = from_values(values)
        return write_run(tmp_path / "run", config, arrays or usual, missing=missing)

    return make


def by_hand(_, key):
    """Two units, three measurements; the second seed has them the other way round."""
    late = key.start == "pretrained"
    shares = np.array([[0.5, 0.25], [0.4, 0.005], [0.3, 0.2]]) / (5 if late else 1)
    if key.seed == 1:
        shares = 0.9 * shares[:, ::-1]
    return {
        "activity/dense1/step": np.array([0, 10, 20]),
        "activity/dense1/fraction_active": shares,
        "activity/dense1/rarely_active": np.array([0, 0.5, 0.25]) + 0.1 * late + 0.2 * key.seed,
    }


def pick(rows, **wanted):
    return [row for row in rows if all(row[name] == value for name, value in wanted.items())]


@pytest.mark.parametrize(
    ("moment", "start", "step", "units", "rare"),
    [
        ("initialisation", "", 0, (0.5, 0.25), 0.0),
        ("upstream_end", "", 20, (0.3, 0.2), 0.25),
        ("switch", "pretrained", 0, (0.1, 0.05), 0.1),
        ("downstream_end", "pretrained", 20, (0.06, 0.04), 0.35),
    ],
)
def test_four_moments_worked_out_by_hand(make, moment, start, step, units, rare):
    rows = pick(rows_of("activations", make(by_hand)), quantity=f"dense1/{moment}")
    curve = pick(rows, panel="units")
    assert [row["mean"] for row in curve] == pytest.approx([0.95 * share for share in units])
    assert [row["seed_1"] for row in curve] == pytest.approx([0.9 * share for share in units])
    assert [row["x"] for row in curve] == [25, 75]
    (level,) = pick(rows, panel="rare")
    assert (level["seed_0"], level["mean"], level["x"]) == pytest.approx((rare, rare + 0.1, 1))
    assert {(row["variant"], row["start"], row["step"]) for row in rows} == {("", start, step)}


def test_every_variant_has_its_rows(make):
    run = make(variants=VARIANTS, downstream_labels=("true", "random"))
    rows = rows_of("activations", run)
    for variant in ("positive", "negative"):
        for labels in ("true", "random"):
            shares = pick(rows, variant=variant, labels=labels, panel="rare")
            assert len(shares) == 4 * len(LAYERS)
    paths, notes, _ = draw_figure("activations", run)
    assert notes == []
    with open(paths[1], newline="") as file:
        assert len(list(csv.DictReader(file))) == len(rows) == 2 * 2 * 4 * 3 * (64 + 1)


def test_drawn_once_for_all_variants(make):
    run = make(variants=VARIANTS)
    text = draw_all(str(run.path), ("activations",))
    assert text.count("activations.png") == 1
    assert (run.figures_path / "activations.png").exists()


def test_units_of_five_layers_and_shares_of_all(make):
    layers = [f"conv{number}" for number in range(1, 14)]
    rows = rows_of("activations", make(lambda _, key: activity_arrays(key, layers, units=8)))
    shown = {row["quantity"].partition("/")[0] for row in pick(rows, panel="units")}
    assert shown == {"conv1", "conv4", "conv7", "conv10", "conv13"}
    levels = [row for row in pick(rows, panel="rare") if row["quantity"].endswith("/switch")]
    assert [row["x"] for row in levels] == list(range(1, 14))


def test_of_several_depths_the_deepest_is_followed(make):
    rows = rows_of("activations", make(transfer_depths=(2, 1)))
    assert {row["start"] for row in rows} == {"", "pretrained-first2"}


def test_missing_stages_are_noted_and_one_seed_is_drawn(make):
    missing = ("downstream-random-pretrained-seed0",)
    run = make(variants=VARIANTS, missing=missing, seeds=(0,))
    rows = rows_of("activations", run)
    assert {row["start"] for row in rows} == {""}
    assert {row["low"] for row in rows} == {None}
    notes = draw_figure("activations", run).notes
    assert notes == [
        f"variant {name}: drawn from 2 of 3 stages; missing: {missing[0]}"
        for name in ("positive", "negative")
    ]


def test_without_a_pretrained_start_only_upstream_is_drawn(make):
    run = make(starts=("none",))
    assert {row["start"] for row in rows_of("activations", run)} == {""}
    notes = draw_figure("activations", run).notes
    assert notes == ["activations: the switch needs a start that is pretrained; add it to --starts"]


def test_activity_that_was_not_measured_has_no_rows(make):
    run = make(lambda *_: {})
    assert rows_of("activations", run) == []
    assert draw_figure("activations", run).notes == []


def test_run_without_finished_stage_is_refused(make):
    stages = ("upstream-random", "downstream-random-scratch", "downstream-random-pretrained")
    missing = [f"{stage}-seed0" for stage in stages]
    with pytest.raises(UsageError, match="must hold a finished stage"):
        draw_figure("activations", make(missing=missing, seeds=(0,)))
