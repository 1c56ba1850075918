"""The plotted numbers, against means and intervals worked out here."""

import math

import numpy as np
import pytest

from rl_keras.errors import UsageError
from rl_keras.figures.plotting.drawing import draw_figure, rows_of
from rl_keras.figures.plotting.small_print import about
from rl_keras.results.runs import Results
from rl_keras.storage.run_folder import RunDirectory, StageKey, read_arrays

T_TWO_DEGREES = 4.302652729911275  # Student's t, 97.5%


def stage(run, stage, labels, start, seed):
    return read_arrays(run.arrays_path(StageKey(stage, labels, start, seed)))


def pick(rows, **wanted):
    return [row for row in rows if all(row[name] == value for name, value in wanted.items())]


@pytest.mark.parametrize("probe", ["train", "test"])
@pytest.mark.parametrize("labels", ["true", "random"])
def test_accuracy_is_mean_and_t_interval_over_seeds(make_run, labels, probe):
    run = make_run(downstream_labels=("true", "random"))
    wanted = {"panel": "accuracy", "labels": labels, "quantity": f"{probe}_probe"}
    rows = pick(rows_of("overview", run), start="covariance", **wanted)
    stages = [stage(run, "downstream", labels, "covariance", seed) for seed in range(3)]
    values = np.array([arrays[f"probe/{probe}/accuracy"] for arrays in stages])
    half = T_TWO_DEGREES * values.std(axis=0, ddof=1) / math.sqrt(3)

    assert [row["step"] for row in rows] == list(range(0, 401, 20))
    assert [row["x"] for row in rows] == list(range(0, 401, 20))
    np.testing.assert_allclose([row["mean"] for row in rows], values.mean(axis=0))
    np.testing.assert_allclose([row["low"] for row in rows], values.mean(axis=0) - half)
    np.testing.assert_allclose([row["high"] for row in rows], values.mean(axis=0) + half)
    by_seed = [[row[f"seed_{seed}"] for row in rows] for seed in range(3)]
    np.testing.assert_array_equal(by_seed, values)


def test_chance_is_one_over_the_classes(make_run):
    rows = pick(rows_of("overview", make_run()), quantity="chance")
    assert [(row["labels"], row["mean"], row["x"], row["step"]) for row in rows] == [
        ("true", 0.1, None, None)
    ]


def test_random_bases_have_the_spread_of_all_bases_of_all_seeds(make_run):
    run = make_run(seeds=(0, 1))
    rows = pick(rows_of("overview", run), quantity="conv1/random_basis", step=400)
    stages = [stage(run, "upstream", "random", "", seed) for seed in range(2)]
    means = [arrays["alignment/conv1/random_basis"][-1] for arrays in stages]
    sds = [arrays["alignment/conv1/random_basis_sd"][-1] for arrays in stages]
    # As many bases as one likes with just these means and deviations.
    bases = [mean + sign * sd for mean, sd in zip(means, sds, strict=True) for sign in (-1, 1)]
    assert rows[0]["mean"] == pytest.approx(np.mean(bases))
    assert rows[0]["high"] - rows[0]["mean"] == pytest.approx(np.std(bases))
    assert rows[0]["mean"] - rows[0]["low"] == pytest.approx(np.std(bases))


def test_data_basis_and_floor(make_run):
    run = make_run()
    stages = [stage(run, "upstream", "random", "", seed) for seed in range(3)]
    for name in ("data_basis", "floor"):
        rows = pick(rows_of("overview", run), quantity=f"conv1/{name}")
        values = np.mean([arrays[f"alignment/conv1/{name}"] for arrays in stages], axis=0)
        np.testing.assert_allclose([row["mean"] for row in rows], values)


def test_transfer_function_first_middle_last(make_run):
    run = make_run()
    rows = pick(rows_of("overview", run), quantity="conv1/transfer")
    stages = [stage(run, "upstream", "random", "", seed) for seed in range(3)]
    values = np.mean([arrays["alignment/conv1/transfer"] for arrays in stages], axis=0)
    assert sorted({row["step"] for row in rows}) == [0, 200, 400]
    for step, index in ((0, 0), (200, 10), (400, 20)):
        curve = pick(rows, step=step)
        np.testing.assert_allclose([row["mean"] for row in curve], values[index])
        eigenvalues = stages[0]["alignment/conv1/eigenvalues"]
        np.testing.assert_allclose([row["x"] for row in curve], eigenvalues)
    level = pick(rows_of("overview", run), quantity="conv1/initial_level")
    assert [row["mean"] for row in level] == [pytest.approx(values[0].mean())]


def test_transfer_function_leaves_out_directions_of_rounding(make_run):
    def flatten(key, arrays):
        arrays["alignment/conv1/eigenvalues"][-2:] = (1e-17, -1e-18)

    rows = pick(rows_of("overview", make_run(change=flatten)), quantity="conv1/transfer", step=400)
    assert len(rows) == 25


def test_activity_sorts_units_of_the_last_layer_within_each_seed(make_run):
    run = make_run()
    moments = (
        ("upstream", "random", "", 400, -1),
        ("downstream", "true", "pretrained", 0, 0),
        ("downstream", "true", "pretrained", 400, -1),
        ("downstream", "true", "scratch", 0, 0),
    )
    all_rows = pick(rows_of("overview", run), panel="activity")
    assert {row["quantity"].partition("/")[0] for row in all_rows} == {"dense1"}
    for kind, labels, start, step, index in moments:
        stages = [stage(run, kind, labels, start, seed) for seed in range(3)]
        units = [arrays["activity/dense1/fraction_active"][index] for arrays in stages]
        expected = np.mean([sorted(values, reverse=True) for values in units], axis=0)
        rows = pick(all_rows, start=start, step=step, quantity="dense1/fraction_active")
        np.testing.assert_allclose([row["mean"] for row in rows], expected)
        assert (rows[0]["x"], rows[-1]["x"]) == (50 / 48, 100 - 50 / 48)
        rare = pick(all_rows, start=start, step=step, quantity="dense1/share_rarely_active")
        expected = np.mean([arrays["activity/dense1/rarely_active"][index] for arrays in stages])
        assert [row["mean"] for row in rare] == [pytest.approx(expected)]
    assert len(all_rows) == 4 * (48 + 1)


def test_steps_to_80_where_every_seed_gets_there(make_run):
    run = make_run()
    rows = pick(rows_of("initialisations", run), panel="steps_to_80", start="pretrained")
    cells = [
        run.read_result(StageKey("downstream", "true", "pretrained", seed))["summary"]
        for seed in range(3)
    ]
    steps = [cell["steps_to_80"] for cell in cells]
    assert [rows[0][f"seed_{seed}"] for seed in range(3)] == steps
    assert rows[0]["mean"] == pytest.approx(np.mean(steps))


def test_steps_to_80_has_no_mean_when_a_seed_never_gets_there(make_run):
    def slow(key, arrays):
        if key.seed == 1:
            arrays["probe/train/accuracy"] = np.full(21, 0.5)

    rows = pick(rows_of("initialisations", make_run(change=slow)), panel="steps_to_80")
    assert [row["seed_1"] for row in rows] == [math.inf] * 4
    assert {row["mean"] for row in rows} == {row["low"] for row in rows} == {None}
    assert all(math.isfinite(row["seed_0"]) for row in rows)


def test_one_seed_has_no_interval(make_run):
    rows = pick(rows_of("overview", make_run(seeds=(7,))), quantity="train_probe", step=0)
    assert [(row["low"], row["high"], row["num_seeds"]) for row in rows] == [(None, None, 1)] * 4
    assert rows[0]["mean"] == rows[0]["seed_7"]


def test_unfinished_seed_leaves_an_empty_cell_and_a_note(make_run):
    run = make_run(missing=("downstream-true-scratch-seed1", "upstream-random-seed2"))
    rows = pick(rows_of("overview", run), quantity="train_probe", start="scratch", step=400)
    assert (rows[0]["num_seeds"], rows[0]["seed_1"]) == (2, None)
    assert rows[0]["mean"] == pytest.approx((rows[0]["seed_0"] + rows[0]["seed_2"]) / 2)
    notes = draw_figure("overview", run).notes
    assert notes == [
        "drawn from 13 of 15 stages; missing: downstream-true-scratch-seed1, upstream-random-seed2"
    ]
    notes = draw_figure("initialisations", run).notes
    assert notes == ["drawn from 11 of 12 stages; missing: downstream-true-scratch-seed1"]


def test_long_note_is_cut(make_run):
    names = [f"downstream-true-scratch-seed{seed}" for seed in range(3)]
    names += [f"downstream-true-covariance-seed{seed}" for seed in range(3)]
    names += ["downstream-true-pretrained-seed0", "downstream-true-pretrained-seed1"]
    (note,) = Results(make_run(missing=names)).notes
    assert note.startswith("drawn from 7 of 15 stages; missing: ")
    assert note.endswith(", and 2 more")


def test_seed_that_diverged_is_left_out_and_named(make_run):
    def diverge(key, arrays):
        if key.name == "upstream-random-seed1":
            arrays["alignment/conv1/transfer"][-1, 0] = np.nan

    run = make_run(change=diverge)
    rows = pick(rows_of("overview", run), quantity="conv1/transfer")
    assert {row["num_seeds"] for row in rows} == {2}
    notes = draw_figure("overview", run).notes
    assert notes == ["left out, since not finite: upstream-random-seed1 alignment/conv1/transfer"]


def test_seeds_are_stacked_at_their_common_steps(make_run):
    def shorten(key, arrays):
        if key.seed == 2:
            for name in ("step", "accuracy"):
                arrays[f"probe/train/{name}"] = arrays[f"probe/train/{name}"][::2]

    run = make_run(change=shorten)
    rows = pick(rows_of("overview", run), quantity="train_probe", start="scratch")
    assert [row["step"] for row in rows] == list(range(0, 401, 40))
    first = stage(run, "downstream", "true", "scratch", 0)["probe/train/accuracy"]
    assert [row["seed_0"] for row in rows] == first[::2].tolist()


def test_what_was_not_measured_has_no_rows(make_run):
    run = make_run(measured=())
    assert {row["panel"] for row in rows_of("overview", run)} == {"accuracy"}
    paths, notes, _ = draw_figure("overview", run)
    assert [path.name for path in paths] == ["overview.png", "overview.csv"]
    assert notes == []


def test_upstream_alone_is_drawn_but_has_no_initialisations(make_run):
    starts = ("scratch", "pretrained", "pretrained_unscaled", "covariance")
    missing = [f"downstream-true-{start}-seed{seed}" for start in starts for seed in range(3)]
    run = make_run(missing=missing)
    panels = {row["panel"] for row in rows_of("overview", run)}
    assert panels == {"misalignment", "transfer", "activity"}
    draw_figure("overview", run)
    with pytest.raises(UsageError, match="finished downstream stage .*12 are not finished"):
        rows_of("initialisations", run)


def test_one_label_kind_without_finished_stage_is_drawn(make_run):
    starts = ("scratch", "pretrained", "pretrained_unscaled", "covariance")
    missing = [f"downstream-random-{start}-seed0" for start in starts]
    run = make_run(missing=missing, seeds=(0,), downstream_labels=("true", "random"))
    assert {row["labels"] for row in rows_of("initialisations", run)} == {"true"}
    draw_figure("overview", run)
    draw_figure("initialisations", run)


@pytest.mark.parametrize("name", ["overview", "initialisations"])
def test_run_without_finished_stage_is_refused(make_run, name):
    run = make_run()
    for path in run.path.glob("stages/*/result.json"):
        path.unlink()
    with pytest.raises(UsageError, match="must hold a finished .*run it first without --mode=draw"):
        draw_figure(name, run)
    assert not run.figures_path.exists()


def test_folder_without_run_is_refused(tmp_path):
    with pytest.raises(UsageError, match="holds no run"):
        draw_figure("overview", RunDirectory(tmp_path / "nothing"))


def test_small_print_tells_data_and_seeds(make_run):
    results = Results(make_run(seeds=(0, 4)))
    assert about(results.config, {"": results}) == (
        "run: natural_patches, simple_cnn, upstream train[:50%] (2048 examples), downstream "
        "train[50%:] (2048 examples); probe sets of 512; seeds 0, 4. Bands: 95% interval of the "
        "mean over seeds; thin lines: single seeds."
    )
