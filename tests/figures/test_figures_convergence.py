"""Loss and first steps worked out here; which stages did not fit; what is printed and returned."""

import json
import math

import numpy as np
import pytest

import main
from rl_keras.errors import NotFittedError, UsageError
from rl_keras.figures.plotting import style
from rl_keras.figures.plotting.drawing import draw_all, draw_figure, rows_of
from rl_keras.results.tables import check_fit, fit_text, unfitted
from rl_keras.storage.run_folder import RunDirectory, StageKey

SIX = "; ".join(f"v{number}: upstream_learning_rate=0.0{number}" for number in range(1, 7))
TWO = "true: upstream_labels=true; random: "
T_TWO_DEGREES = 4.302652729911275  # Student's t, 97.5%


def pick(rows, **wanted):
    return [row for row in rows if all(row[name] == value for name, value in wanted.items())]


def write_losses(run, key, values, other=()):
    lines = [{"step": step, "name": "train/loss", "value": value} for step, value in values]
    lines += [{"step": 20, "name": "train_probe/accuracy", "value": 0.05}, *other]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (run.stage_path(key) / "metrics.jsonl").write_text(text)


def key_of(seed, labels="random"):
    return StageKey("upstream", labels, "", seed)


def test_loss_and_first_step_are_those_of_the_log(make_run):
    run = make_run(starts=("none",))
    logged = {
        0: [(10, 2.0), (20, 0.1), (30, 0.4), (40, 0.01)],
        1: [(10, 2.2), (20, 0.3), (30, 0.09), (40, 0.02)],
        2: [(10, 2.4), (20, 0.11), (30, 0.101), (40, 0.1)],
    }
    for seed, values in logged.items():
        write_losses(run, key_of(seed), values)
    rows = rows_of("convergence", run)
    loss = pick(rows, panel="loss", quantity="train_loss")
    assert [row["step"] for row in loss] == [10, 20, 30, 40]
    values = np.array([[value for _, value in own] for own in logged.values()])
    np.testing.assert_allclose([row["mean"] for row in loss], values.mean(axis=0))
    half = T_TWO_DEGREES * values.std(axis=0, ddof=1) / math.sqrt(3)
    np.testing.assert_allclose([row["high"] for row in loss], values.mean(axis=0) + half)
    (first,) = pick(rows, panel="steps_to_0.1")
    assert [first[f"seed_{seed}"] for seed in range(3)] == [20, 30, 40]
    assert first["mean"] == 30


def test_a_seed_that_never_gets_there_is_infinite_and_there_is_no_mean(make_run):
    run = make_run(variants=TWO, starts=("none",))
    own = RunDirectory(run.path / "random")
    for seed, last in enumerate((0.1, 0.11, 0.02)):
        write_losses(own, key_of(seed), [(20, 2.0), (40, last)])
    (first,) = pick(rows_of("convergence", run), variant="random", panel="steps_to_0.1")
    assert [first[f"seed_{seed}"] for seed in range(3)] == [40, math.inf, 40]
    assert (first["mean"], first["low"], first["high"]) == (None, None, None)
    notes = draw_figure("convergence", run).notes
    assert notes == []


def test_six_variants_are_drawn_and_told_apart(make_run):
    run = make_run(variants=SIX, starts=("none",))
    assert {row["variant"] for row in rows_of("convergence", run)} == {f"v{n}" for n in range(1, 7)}
    paths, notes, _ = draw_figure("convergence", run)
    assert [path.name for path in paths] == ["convergence.png", "convergence.csv"]
    assert notes == []
    looks = style.VARIANTS[:6]
    for name in ("color", "line", "marker", "marker_shift"):
        assert len({getattr(look, name) for look in looks}) == 6


def test_a_variant_without_a_logged_loss_is_noted(make_run):
    run = make_run(variants=TWO, seeds=(0,), starts=("none",))
    own = RunDirectory(run.path / "true")
    write_losses(own, key_of(0, "true"), [])
    assert {row["variant"] for row in rows_of("convergence", run)} == {"random"}
    assert draw_figure("convergence", run).notes == ["variant true: no training loss"]


def test_without_a_finished_upstream_stage_nothing_is_drawn(make_run):
    run = make_run(seeds=(0,), missing=("upstream-random-seed0",))
    with pytest.raises(UsageError, match="finished upstream stage"):
        draw_figure("convergence", run)


def reach(accuracies):
    """Returns a `change` after which stages end with these train accuracies, by variant."""

    def change(key, arrays, variant):
        arrays["probe/train/accuracy"] = np.full(21, accuracies[variant, key.seed])

    return change


def test_stages_below_the_wanted_accuracy_are_named(make_run):
    reached = {
        ("true", 0): 0.5,
        ("true", 1): 0.6,
        ("random", 0): 0.98,
        ("random", 1): 0.99,
        ("noise", 0): 1.0,
        ("noise", 1): 0.3,
    }
    run = make_run(
        variants=f"{TWO}; noise: upstream_labels=true input_corruption=gaussian",
        starts=("none",),
        seeds=(0, 1),
        change=reach(reached),
        require_fit=0.99,
    )
    expected = {"random/upstream-random-seed0": 0.98, "noise/upstream-true-seed1": 0.3}
    assert unfitted(run) == expected
    assert fit_text(run)[1:3] == [
        "  random/upstream-random-seed0: 98.0%",
        "  noise/upstream-true-seed1: 30.0%",
    ]
    for line in fit_text(run)[:3]:
        assert line in draw_all(str(run.path), ())
    message = "2 stages did not reach .*--require_fit=0.99.*0.3 in stage noise/upstream-true-seed1"
    with pytest.raises(NotFittedError, match=message):
        check_fit(run)
    assert unfitted(run, 0.2) == unfitted(run, 0.0) == {}
    check_fit(run, 0.2)


@pytest.mark.parametrize(("flags", "status"), [([], 0), (["--require_fit=0.9"], 4)])
def test_drawing_a_run_that_does_not_fit_exits_with_4(make_run, capsys, flags, status):
    change = reach({("run", 0): 0.85})
    run = make_run(starts=("none",), seeds=(0,), change=change)
    arguments = [f"--workdir={run.path}", "--mode=draw", "--figures=convergence", *flags]
    assert main.main(arguments) == status
    text = capsys.readouterr()
    assert ("upstream-random-seed0: 85.0%" in text.out) == (status == 4)
    assert "convergence.png" in text.out
    assert (text.err.count("\n"), text.err.startswith("error: 1 stages did")) == (
        (1, True) if status else (0, False)
    )


def test_a_run_without_noise_is_not_asked_to_fit(make_run):
    change = reach({("run", 0): 0.1})
    run = make_run(
        starts=("none",), seeds=(0,), upstream_labels=("true",), change=change, require_fit=1.0
    )
    assert unfitted(run) == {}
