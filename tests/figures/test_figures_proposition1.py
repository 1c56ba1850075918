"""Filters of all seeds along the way, against numbers worked out here."""

import csv

import numpy as np
import pytest
from made_up import STEPS, run_arrays, write_run

from rl_keras.errors import UsageError
from rl_keras.figures.plotting.drawing import draw_figure, rows_of
from rl_keras.science.alignment import filter_covariance, misalignment, random_basis
from rl_keras.science.nulls import sign_flip_null
from rl_keras.seeds import derive_seed
from rl_keras.settings.experiment import from_values

TWO = "sgd: ; adam: upstream_optimizer=adam"


def summary(key):
    return {"final_train_accuracy": 0.9 + 0.01 * key.seed}


@pytest.fixture
def make(tmp_path):
    def make(arrays, seeds=range(8), missing=(), **values):
        values = {"experiment": "run", "seeds": tuple(seeds), "starts": ("none",), **values}
        config = from_values({**values, "workdir": str(tmp_path / "run")})
        return write_run(tmp_path / "run", config, arrays, summary=summary, missing=missing)

    return make


def pick(rows, quantity, variant=""):
    return [r for r in rows if (r["quantity"], r["variant"]) == (quantity, variant)]


def values(rows, quantity, variant=""):
    return [row["value"] for row in pick(rows, quantity, variant)]


def test_scores_are_those_of_the_filters_of_all_seeds(make):
    rows = rows_of("proposition1", make(lambda _, key: run_arrays(key.seed), random_bases=3))
    parts = [run_arrays(seed) for seed in range(8)]
    vectors = parts[0]["alignment/dense1/eigenvectors"]
    data = vectors @ np.diag(parts[0]["alignment/dense1/eigenvalues"]) @ vectors.T
    bases = [random_basis(6, derive_seed(0, "pooled_bases", name)) for name in range(3)]
    for index, step in enumerate(STEPS):
        pooled = np.concatenate([part["alignment/dense1/filters_by_step"][index] for part in parts])
        cov = filter_covariance(pooled)
        row = pick(rows, "data_basis")[index]
        assert (row["step"], row["num_seeds"], row["layer"]) == (step, 8, "dense1")
        assert row["value"] == pytest.approx(misalignment(data, cov), rel=1e-6)
        axes = np.diag(np.arange(6, 0, -1))
        scores = [misalignment(basis @ axes @ basis.T, cov) for basis in bases]
        row = pick(rows, "random_bases")[index]
        assert row["value"] == pytest.approx(np.mean(scores), rel=1e-6)
        ends = np.quantile(scores, [0.025, 0.975])
        assert (row["low"], row["high"]) == pytest.approx(tuple(ends), rel=1e-6)
        runs = np.repeat(np.arange(8), 20)
        draws = sign_flip_null(pooled, data, 2000, np.random.default_rng(0), runs=runs)
        row = pick(rows, "null")[index]
        assert row["value"] == pytest.approx(draws.mean(), rel=0.1)
        assert row["high"] == pytest.approx(np.quantile(draws, 0.975), rel=0.2)
    assert values(rows, "num_filters") == [160]
    assert values(rows, "train_accuracy") == [pytest.approx(0.935)]
    assert values(rows, "smallest_p_value") == [min(values(rows, "p_value"))]


def test_runs_that_break_the_symmetry_leave_the_null_and_others_do_not(make):
    def arrays(name, key):
        return run_arrays(key.seed, broken=name == "adam")

    run = make(arrays, seeds=range(12), variants=TWO)
    rows = rows_of("proposition1", run)
    assert values(rows, "overall_p_value", "sgd")[0] > 0.05
    assert values(rows, "random_bases_rejected", "sgd") == [1.0]
    assert values(rows, "overall_p_value", "adam")[0] < 0.01
    assert values(rows, "p_value", "adam")[-1] == pytest.approx(1 / 501)
    paths, notes, _ = draw_figure("proposition1", run)
    assert notes == []
    with open(paths[1], newline="") as file:
        written = list(csv.DictReader(file))
    assert len(written) == len(rows) == 2 * (4 * len(STEPS) + 5)


def test_filters_that_grow_alike_in_all_directions_leave_no_null(make):
    rows = rows_of("proposition1", make(lambda _, key: run_arrays(key.seed, isotropic=True)))
    assert values(rows, "overall_p_value")[0] > 0.05
    assert values(rows, "random_bases_rejected")[0] < 0.5


def test_one_seed_has_no_null(make):
    run = make(
        lambda _, key: run_arrays(key.seed), missing=("upstream-random-seed1",), seeds=(0, 1)
    )
    rows = rows_of("proposition1", run)
    assert {row["quantity"] for row in rows} == {
        *("data_basis", "random_bases", "num_filters", "train_accuracy"),
    }
    assert draw_figure("proposition1", run).notes == [
        "drawn from 1 of 2 stages; missing: upstream-random-seed1",
    ]


def test_filters_that_were_not_kept_are_noted(make):
    def arrays(name, key):
        changed = run_arrays(key.seed)
        if name == "adam":
            del changed["alignment/dense1/filters_by_step"]
        return changed

    run = make(arrays, variants=TWO)
    notes = draw_figure("proposition1", run).notes
    assert notes == [
        "variant adam: proposition1: no filters were kept along the way; set --keep_filters"
    ]
    assert {row["variant"] for row in rows_of("proposition1", run)} == {"sgd"}


def test_nothing_to_show(make):
    run = make(lambda *_: {})
    assert rows_of("proposition1", run) == []
    notes = draw_figure("proposition1", run).notes
    assert notes == ["proposition1: no filters were kept along the way; set --keep_filters"]


def test_other_data_and_divergence_are_noted(make):
    def arrays(_, key):
        changed = run_arrays(key.seed)
        if key.seed == 1:
            changed["alignment/dense1/filters_by_step"][0, 0, 0] = np.nan
        if key.seed == 2:
            changed["alignment/dense1/eigenvalues"] *= 1.01
        return changed

    run = make(arrays, seeds=range(4))
    notes = draw_figure("proposition1", run).notes
    assert notes == [
        "left out, since not finite: upstream-random-seed1 alignment/dense1/filters_by_step",
        "proposition1: the data eigenvectors are those of seed 0; the data of seed 2 differ",
    ]
    assert pick(rows_of("proposition1", run), "data_basis")[0]["num_seeds"] == 3


@pytest.mark.parametrize(("num", "dim"), [(2, 5), (200, 151)])
def test_too_few_filters_and_too_many_dimensions_are_noted(make, num, dim):
    values = {
        "step": STEPS,
        "filters_by_step": np.ones((len(STEPS), num, dim), np.float32),
        "eigenvalues": np.arange(dim, 0.0, -1.0),
        "eigenvectors": np.eye(dim),
    }
    run = make(lambda *_: {f"alignment/fc1/{k}": v for k, v in values.items()}, seeds=(0, 1))
    notes = draw_figure("proposition1", run).notes
    assert notes == [
        f"proposition1: fc1 has {2 * num} filters in {dim} dimensions; it needs more filters than "
        "dimensions, of which there may be 150"
    ]


def test_run_without_finished_stage_is_refused(make):
    missing = [f"upstream-random-seed{seed}" for seed in range(8)]
    with pytest.raises(UsageError, match="must hold a finished upstream stage"):
        draw_figure("proposition1", make(lambda *_: {}, missing=missing))
