"""Figures over the variants of a run: their numbers worked out here, and what is missing."""

import csv
import importlib
import math

import numpy as np
import pytest

from rl_keras.errors import UsageError
from rl_keras.figures.plotting import panels, small_print
from rl_keras.figures.plotting.drawing import draw_all, draw_figure, rows_of
from rl_keras.results import quantities
from rl_keras.results.runs import Results, read_variants
from rl_keras.settings.run import FIGURES
from rl_keras.storage.run_folder import RunDirectory, StageKey, read_arrays

TWO = "fast: upstream_num_random_classes=5; slow: upstream_num_random_classes=50"
WIDE = "wide: filters=512; narrow: filters=128; middle: filters=256"
MODULES = {name: importlib.import_module(f"rl_keras.figures.{name}") for name in FIGURES}
ACROSS_VARIANTS = [name for name in FIGURES if getattr(MODULES[name], "ACROSS_VARIANTS", False)]
T_TWO_DEGREES = 4.302652729911275  # Student's t, 97.5%
STARTS = ("scratch", "pretrained")


def result(run, variant, labels, start, seed):
    own = RunDirectory(run.path / variant)
    return own.read_result(StageKey("downstream", labels, start, seed))["summary"]


def pick(rows, **wanted):
    return [row for row in rows if all(row[name] == value for name, value in wanted.items())]


def slow_down(key, arrays, variant):
    """In the variant `slow` nothing that is pretrained gets anywhere, and seed 1 never."""
    if variant == "slow" and key.start == "pretrained":
        arrays["probe/train/accuracy"] = arrays["probe/train/accuracy"] / 4
    elif variant == "slow" and key.seed == 1:
        arrays["probe/train/accuracy"] = np.minimum(arrays["probe/train/accuracy"], 0.85)


@pytest.mark.parametrize("probe", ["train", "test"])
def test_transfer_speed_has_each_variant_and_kind(make_run, probe):
    run = make_run(variants=TWO, starts=STARTS, downstream_labels=("true", "random"))
    rows = rows_of("transfer_speed", run)
    assert {(row["variant"], row["labels"]) for row in rows} == {
        (variant, labels) for variant in ("fast", "slow") for labels in ("true", "random")
    }
    for variant in ("fast", "slow"):
        own = RunDirectory(run.path / variant)
        keys = [StageKey("downstream", "random", "pretrained", seed) for seed in range(3)]
        values = [read_arrays(own.arrays_path(key))[f"probe/{probe}/accuracy"] for key in keys]
        chosen = pick(rows, variant=variant, labels="random", start="pretrained")
        chosen = pick(chosen, quantity=f"{probe}_probe")
        half = T_TWO_DEGREES * np.std(values, axis=0, ddof=1) / math.sqrt(3)
        np.testing.assert_allclose([row["mean"] for row in chosen], np.mean(values, axis=0))
        np.testing.assert_allclose(
            [row["low"] + half[i] for i, row in enumerate(chosen)], np.mean(values, axis=0)
        )
    chance = pick(rows, quantity="chance", variant="slow", labels="true")
    assert [row["mean"] for row in chance] == [0.1]


def test_steps_to_90_of_a_variant_that_does_not_get_there(make_run):
    run = make_run(variants=TWO, starts=STARTS, change=slow_down)
    rows = pick(rows_of("transfer_speed", run), panel="steps_to_90")
    steps = [result(run, "fast", "true", "pretrained", seed)["steps_to_90"] for seed in range(3)]
    (fast,) = pick(rows, variant="fast", start="pretrained")
    assert [fast[f"seed_{seed}"] for seed in range(3)] == steps
    assert fast["mean"] == pytest.approx(np.mean(steps))
    (slow,) = pick(rows, variant="slow", start="pretrained")
    assert [slow[f"seed_{seed}"] for seed in range(3)] == [math.inf] * 3
    (scratch,) = pick(rows, variant="slow", start="scratch")
    assert scratch["seed_1"] == math.inf and math.isfinite(scratch["seed_0"])
    assert (scratch["mean"], scratch["low"]) == (None, None)
    draw_figure("transfer_speed", run)


def test_of_several_depths_the_deepest_is_compared(make_run):
    run = make_run(starts=("pretrained", "scratch"), transfer_depths=(2, 1), seeds=(0,))
    assert {row["start"] for row in rows_of("transfer_speed", run)} == {
        "scratch",
        "pretrained-first2",
        "",
    }
    results = Results(run)
    assert quantities.deepest_arms(results.config) == ["pretrained-first2", "scratch"]
    assert quantities.depth_text(results) == " Transferred: the first 2 layers."
    draw_figure("transfer_speed", run)


def test_misalignment_of_each_variant(make_run):
    def raise_it(key, arrays, variant):
        if variant == "true":
            arrays["alignment/conv1/random_basis"] = arrays["alignment/conv1/random_basis"] * 40

    run = make_run(
        variants="random: ; true: upstream_labels=true", change=raise_it, starts=("none",)
    )
    rows = rows_of("misalignment", run)
    assert {(row["variant"], row["labels"]) for row in rows} == {
        ("random", "random"),
        ("true", "true"),
    }
    for variant in ("random", "true"):
        own = RunDirectory(run.path / variant)
        keys = [StageKey("upstream", variant, "", seed) for seed in range(3)]
        stages = [read_arrays(own.arrays_path(key)) for key in keys]
        for name in ("data_basis", "floor"):
            values = np.mean([stage[f"alignment/conv1/{name}"] for stage in stages], axis=0)
            chosen = pick(rows, variant=variant, quantity=f"conv1/{name}")
            np.testing.assert_allclose([row["mean"] for row in chosen], values)
        means = [stage["alignment/conv1/random_basis"][-1] for stage in stages]
        sd = stages[0]["alignment/conv1/random_basis_sd"][-1]
        (last,) = pick(rows, variant=variant, quantity="conv1/random_basis", step=400)
        assert last["high"] - last["mean"] == pytest.approx(math.hypot(sd, np.std(means)))
    paths, notes, _ = draw_figure("misalignment", run)
    assert [path.name for path in paths] == ["misalignment.png", "misalignment.csv"]
    assert notes == []


def test_misalignment_that_is_undefined_in_one_run(make_run):
    def few(key, arrays):
        scores = ("data_basis", "random_basis", "random_basis_sd", "floor")
        for name in (*scores, "null_low", "null_mean", "null_high", "p_value"):
            arrays[f"alignment/conv1/{name}"] = np.full(21, np.nan)

    run = make_run(change=few, seeds=(0,))
    assert rows_of("misalignment", run) == []
    notes = draw_figure("misalignment", run).notes
    assert (
        notes[0] == "left out, since not finite: upstream-random-seed0 alignment/conv1/data_basis"
    )


def test_gain_is_the_difference_to_scratch_paired_by_seed(make_run):
    run = make_run(
        variants=WIDE,
        starts=(*STARTS, "covariance"),
        missing=("wide/downstream-true-scratch-seed1",),
    )
    rows = rows_of("widths", run)
    gains = pick(rows, panel="gain", start="pretrained")
    assert [(row["variant"], row["x"]) for row in gains] == [
        ("narrow", 128),
        ("middle", 256),
        ("wide", 512),
    ]
    areas = {
        (start, seed): result(run, "narrow", "true", start, seed)["area_under_train_curve"]
        for start in STARTS
        for seed in range(3)
    }
    expected = [100 * (areas["pretrained", seed] - areas["scratch", seed]) for seed in range(3)]
    assert [gains[0][f"seed_{seed}"] for seed in range(3)] == pytest.approx(expected)
    assert gains[0]["mean"] == pytest.approx(np.mean(expected))
    half = T_TWO_DEGREES * np.std(expected, ddof=1) / math.sqrt(3)
    assert gains[0]["high"] == pytest.approx(np.mean(expected) + half)
    assert (gains[2]["num_seeds"], gains[2]["seed_1"]) == (2, None)
    assert {row["start"] for row in pick(rows, panel="gain")} == {"pretrained", "covariance"}
    notes = draw_figure("widths", run).notes
    assert notes == [
        "variant wide: drawn from 8 of 9 stages; missing: downstream-true-scratch-seed1"
    ]


def test_widths_steps_are_infinite_for_seeds_that_never_get_there(make_run):
    run = make_run(variants="slow: filters=128; fast: filters=256", starts=STARTS, change=slow_down)
    rows = pick(rows_of("widths", run), panel="steps_to_90", start="pretrained")
    assert [(row["x"], row["seed_0"]) for row in rows] == [
        (128, math.inf),
        (256, result(run, "fast", "true", "pretrained", 0)["steps_to_90"]),
    ]
    draw_figure("widths", run)


@pytest.mark.parametrize(
    ("variants", "values", "expected", "differing"),
    [
        ("a: units=32; b: units=8", {}, [8, 32], None),
        ("a: widths=32; b: widths=8", {"model": "mlp"}, [8, 32], None),
        ("a: padding=same; b: padding=valid", {}, [0, 1], "padding"),
        ("a: units=8; b: units=16 filters=64", {}, [0, 1], "filters, units"),
        ("a: downstream_epochs=2; b: downstream_epochs=3", {}, [0, 1], "none"),
        ("a: units=8; b: units=8 padding=same; c: units=16", {}, [0, 1, 2], "padding, units"),
    ],
)
def test_horizontal_axis_is_the_one_setting_with_a_number(
    make_run, variants, values, expected, differing
):
    run = make_run(variants=variants, starts=STARTS, seeds=(0,), **values)
    assert [row["x"] for row in pick(rows_of("widths", run), panel="gain")] == expected
    note = f"widths: drawn by variant, as no single model setting differs. Received: {differing}"
    assert draw_figure("widths", run).notes == ([note] if differing else [])


@pytest.mark.parametrize("name", ACROSS_VARIANTS)
def test_missing_variant_is_noted_and_the_others_are_drawn(make_run, name):
    run = make_run(variants=TWO, seeds=(0,), starts=STARTS)
    for path in (run.path / "slow").glob("stages/*/result.json"):
        path.unlink()
    paths, notes, _ = draw_figure(name, run)
    assert paths == [run.figures_path / f"{name}.png", run.figures_path / f"{name}.csv"]
    assert "variant slow: nothing is finished to draw" in notes
    with open(paths[1], newline="") as file:
        assert {row["variant"] for row in csv.DictReader(file)} == {"fast"}


@pytest.mark.parametrize("name", ["transfer_speed", "misalignment", "widths"])
def test_without_any_finished_variant_nothing_is_drawn(make_run, name):
    run = make_run(variants=TWO, seeds=(0,))
    for path in run.path.glob("*/stages/*/result.json"):
        path.unlink()
    with pytest.raises(UsageError, match="must hold a variant with a finished stage to draw"):
        draw_figure(name, run)


@pytest.mark.parametrize("name", ["transfer_speed", "widths"])
def test_run_without_downstream_stages_is_refused(make_run, name):
    with pytest.raises(UsageError, match="finished downstream stage"):
        draw_figure(name, make_run(starts=("none",), seeds=(0,)))


def test_small_print_tells_where_variants_differ(make_run):
    run = make_run(
        variants="one: alignment_layers=a,b,c,d,e,f,g; other: downstream_split=train[60%:]",
        seeds=(0, 1),
    )
    by_name = read_variants(run)
    assert small_print.about(run.read_config(), by_name, has_bands=False) == (
        "run: natural_patches, simple_cnn, upstream train[:50%] (2048 examples), downstream "
        "train[50%:] (2048 examples) or downstream train[60%:] (2048 examples); probe sets of 512; "
        "seeds 0, 1. Variants: one: alignment_layers=a,b,...,g; other: "
        "downstream_split=train[60%:]."
    )


def test_title_names_the_variant_unless_its_labels_do():
    assert panels.title("Upstream", "true", "wide") == "wide: true labels"
    assert panels.title("Upstream", "true", "true") == "Upstream, true labels"
    assert panels.title("Upstream", "true", "") == "Upstream, true labels"


def test_a_figure_of_one_run_is_drawn_for_each_variant_that_has_results(make_run):
    run = make_run(variants=TWO, seeds=(0,))
    for path in (run.path / "slow").glob("stages/*/result.json"):
        path.unlink()
    draw_all(str(run.path), ("overview",))
    assert [path.parts[-3] for path in run.path.rglob("overview.png")] == ["fast"]
