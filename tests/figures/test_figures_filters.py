"""Pooled filters and their eigenvectors, against numbers worked out here."""

import csv

import numpy as np
import pytest
from made_up import activity_arrays, filter_arrays, write_run

from rl_keras.errors import UsageError
from rl_keras.figures.filters import tile_images
from rl_keras.figures.plotting.drawing import draw_figure, rows_of
from rl_keras.results.pooled_filters import image_shape
from rl_keras.science.alignment import filter_covariance, random_basis_misalignment, sampling_floor
from rl_keras.science.filters import kernel_to_rows
from rl_keras.science.overlap import matched_null
from rl_keras.science.pooling import pool_runs
from rl_keras.settings.experiment import from_values

# Their second moment is diag(2, 4, 1/4): the second axis leads, then the first.
BY_HAND = {0: [[2, 0, 0], [0, 4, 0]], 1: [[-2, 0, 0], [0, 0, 1]]}


def by_hand(_, key):
    values = {
        "step": [0],
        "filters": BY_HAND[key.seed],
        "eigenvalues": [9, 4, 1],
        "eigenvectors": np.eye(3),
    }
    return {f"alignment/conv1/{name}": np.array(value) for name, value in values.items()}


@pytest.fixture
def make(tmp_path):
    def make(arrays, seeds=(0, 1), missing=(), **values):
        values = {"experiment": "fig3", "seeds": seeds, "starts": ("none",), **values}
        return write_run(tmp_path / "run", from_values(values), arrays, missing=missing)

    return make


def pick(rows, *names):
    return [row["value"] for row in rows if (row["panel"], row["quantity"]) == names]


def total(rows, quantity):
    (row,) = (r for r in rows if (r["panel"], r["quantity"]) == ("totals", quantity))
    return row["value"], row["low"], row["high"]


def test_eigenvectors_worked_out_by_hand(make):
    rows = rows_of("filters", make(by_hand))
    assert {row["layer"] for row in rows} == {"conv1"}
    assert pick(rows, "eigenvalues", "filters") == pytest.approx([4, 2, 0.25])
    assert pick(rows, "eigenvalues", "data") == [9, 4, 1]
    matrix = np.reshape(pick(rows, "overlaps", "overlap"), (3, 3))
    np.testing.assert_allclose(matrix, [[0, 1, 0], [1, 0, 0], [0, 0, 1]], atol=1e-12)
    pairs = [(r["filter_rank"], r["data_rank"]) for r in rows if r["panel"] == "matched"]
    assert pairs == [(1, 2), (2, 1), (3, 3)]
    assert pick(rows, "matched", "overlap") == pytest.approx([1, 1, 1])
    assert total(rows, "num_seeds")[0] == 2
    assert total(rows, "num_filters")[0] == 4
    assert total(rows, "overlap_null")[0] == pytest.approx(1 / 3)
    # Aligned; two filters are left without either seed, so there is no interval.
    assert total(rows, "misalignment") == (pytest.approx(0, abs=1e-9), None, None)
    assert total(rows, "floor")[0] == pytest.approx(sampling_floor(4, 3))


def test_misalignment_has_the_jackknife_interval_over_seeds(make):
    run = make(lambda _, key: filter_arrays(key.seed, 40), seeds=(0, 1, 2))
    parts = [filter_arrays(seed, 40) for seed in range(3)]
    vectors, values = (parts[0][f"alignment/conv1/eigen{name}"] for name in ("vectors", "values"))
    runs = [part["alignment/conv1/filters"] for part in parts]
    pooled = pool_runs(runs, vectors @ np.diag(values) @ vectors.T, interval="jackknife")
    rows = rows_of("filters", run)
    expected = (pooled.misalignment, pooled.misalignment_low, pooled.misalignment_high)
    assert total(rows, "misalignment") == pytest.approx(expected)
    assert total(rows, "floor")[0] == pytest.approx(pooled.floor)
    cov = filter_covariance(np.concatenate(runs))
    bases = [random_basis_misalignment(cov, seed) for seed in range(20)]
    assert total(rows, "random_bases")[0] == pytest.approx(np.mean(bases))
    # Made to be aligned, so that flipping runs is as likely as not to lower the score.
    low, high = total(rows, "flipped_runs")[1:]
    assert low < pooled.misalignment < high and 0.05 < total(rows, "p_value")[0] < 0.95
    null = matched_null(27, seeds=range(20))
    spread = (null.mean(), null.mean() - null.std(), null.mean() + null.std())
    assert total(rows, "matched_null") == pytest.approx(spread)


@pytest.mark.parametrize(("aligned", "sign"), [(True, 1), (False, -1)])
def test_matched_overlaps_tell_alignment_from_chance(make, aligned, sign):
    run = make(lambda _, key: filter_arrays(key.seed, 96, aligned=aligned), seeds=range(3))
    rows = rows_of("filters", run)
    highest = total(rows, "matched_null")[0] + 0.1
    assert sign * (total(rows, "matched_overlap")[0] - highest) > 0


def test_one_seed_has_no_interval_and_one_missing_is_noted(make):
    run = make(lambda _, key: filter_arrays(key.seed, 40), missing=("upstream-random-seed1",))
    rows = rows_of("filters", run)
    assert total(rows, "num_seeds")[0] == 1
    assert total(rows, "misalignment")[1:] == (None, None)
    paths, notes, _ = draw_figure("filters", run)
    assert notes == ["drawn from 1 of 2 stages; missing: upstream-random-seed1"]
    with open(paths[1], newline="") as file:
        written = list(csv.DictReader(file))
    assert len(written) == len(rows) == 8 + 2 * 27 + 27 + 27 * 27


def test_too_few_filters_are_drawn_without_misalignment(make):
    run = make(lambda _, key: filter_arrays(key.seed, 16, side=5))
    assert pick(rows_of("filters", run), "totals", "misalignment") == []
    notes = draw_figure("filters", run).notes
    assert notes == [
        "filters: 32 filters in 75 dimensions leave 43 eigenvectors undetermined and the "
        "misalignment undefined; raise --seeds"
    ]


def test_other_data_and_divergence_are_noted(make):
    def arrays(_, key):
        changed = filter_arrays(key.seed, 40)
        if key.seed == 1:
            changed["alignment/conv1/filters"][0, 0] = np.nan
        if key.seed == 2:
            changed["alignment/conv1/eigenvalues"] *= 1.01
        return changed

    run = make(arrays, seeds=(0, 1, 2))
    notes = draw_figure("filters", run).notes
    assert notes == [
        "left out, since not finite: upstream-random-seed1 alignment/conv1/filters",
        "filters: the data eigenvectors are those of seed 0; the data of seed 2 differ",
    ]
    assert total(rows_of("filters", run), "num_seeds")[0] == 2


@pytest.mark.parametrize("layers", [["stem", "conv1"], ["conv1"]])
def test_only_the_first_layer_is_shown_as_images(make, layers):
    def arrays(_, key):
        return filter_arrays(key.seed, 40) | activity_arrays(key, layers)

    notes = draw_figure("filters", make(arrays)).notes
    assert len(notes) == len(layers) - 1
    assert all("conv1 cannot be shown as images" in note for note in notes)


def test_nothing_to_show(make):
    run = make(lambda *_: {})
    assert rows_of("filters", run) == []
    notes = draw_figure("filters", run).notes
    assert notes == ["filters: there are none to show; measure the alignment of a layer"]


def test_large_filters_are_refused_with_a_note(make):
    values = {"step": [0], "filters": np.ones((2, 432))}
    values |= {"eigenvalues": np.ones(432), "eigenvectors": np.eye(432)}
    run = make(lambda *_: {f"alignment/fc1/{name}": np.array(v) for name, v in values.items()})
    notes = draw_figure("filters", run).notes
    assert notes == ["filters: those of fc1 have 432 entries; at most 400 can be shown"]


def test_run_without_finished_stage_is_refused(make):
    run = make(by_hand, missing=("upstream-random-seed0", "upstream-random-seed1"))
    with pytest.raises(UsageError, match="must hold a finished upstream stage"):
        draw_figure("filters", run)


def test_shapes_of_images():
    shapes = [image_shape(dim) for dim in (27, 75, 147, 9, 25, 30, 2)]
    assert shapes == [(3, 3, 3), (5, 5, 3), (7, 7, 3), (3, 3, 1), (5, 5, 1), None, None]


def test_tiles_have_the_order_of_kernels_and_grey_for_zero():
    kernel = np.random.default_rng(0).normal(size=(3, 3, 3, 2))
    images = tile_images(kernel_to_rows(kernel), (3, 3, 3))
    peaks = np.abs(kernel).max(axis=(0, 1, 2))
    np.testing.assert_allclose(images, 0.5 + 0.5 * np.moveaxis(kernel / peaks, -1, 0))
    assert (tile_images(np.zeros((2, 4)), (2, 2, 1)) == np.full((2, 2, 2), 0.5)).all()
