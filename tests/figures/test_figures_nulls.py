"""The band of aligned filters and its p-values, also of runs that recorded neither."""

import numpy as np
import pytest

from rl_keras.figures import overview
from rl_keras.figures.plotting import panels, style
from rl_keras.figures.plotting.drawing import draw_figure, rows_of
from rl_keras.figures.plotting.small_print import p_value_text
from rl_keras.results import quantities
from rl_keras.results.runs import Results
from rl_keras.science.alignment import filter_covariance, random_basis
from rl_keras.science.alignment import misalignment as misalignment_of
from rl_keras.science.eigenspaces import Eigenspaces
from rl_keras.storage.run_folder import StageKey, read_arrays

NULL = ("null_low", "null_mean", "null_high", "p_value", "group_sizes")


@pytest.fixture(autouse=True)
def _few_draws(monkeypatch):
    monkeypatch.setattr(quantities, "_POOLED_DRAWS", 79)  # for speed


def forget(key, arrays):
    """Leaves what a run of an older version has."""
    for name in NULL:
        arrays.pop(f"alignment/conv1/{name}", None)


def pick(rows, **wanted):
    return [row for row in rows if all(row[name] == value for name, value in wanted.items())]


@pytest.mark.parametrize("figure", ["overview", "misalignment"])
def test_band_is_the_mean_of_the_bounds_over_seeds(make_run, figure):
    run = make_run()
    keys = [StageKey("upstream", "random", "", seed) for seed in range(3)]
    stages = [read_arrays(run.arrays_path(key)) for key in keys]
    rows = pick(rows_of(figure, run), quantity="conv1/null")
    assert [row["step"] for row in rows] == list(range(0, 401, 20))
    for cell, name in (("mean", "null_mean"), ("low", "null_low"), ("high", "null_high")):
        expected = np.mean([stage[f"alignment/conv1/{name}"] for stage in stages], axis=0)
        np.testing.assert_allclose([row[cell] for row in rows], expected)
    (row,) = pick(rows_of(figure, run), quantity="conv1/p_value")
    expected = [stage["alignment/conv1/p_value"][-1] for stage in stages]
    assert [row[f"seed_{seed}"] for seed in range(3)] == expected
    assert (row["step"], row["x"], row["mean"], row["low"]) == (400, None, None, None)
    assert pick(rows_of(figure, run), quantity="conv1/pooled_p_value") == []


def test_a_diverged_band_and_one_not_drawn_are_left_out_without_a_note(make_run):
    def undraw(key, arrays):
        if key.name != "upstream-random-seed0":
            for name in NULL[:-1]:
                arrays[f"alignment/conv1/{name}"] = np.full(21, np.nan)

    run = make_run(change=undraw)
    rows = rows_of("overview", run)
    assert {row["num_seeds"] for row in pick(rows, quantity="conv1/null")} == {1}
    (row,) = pick(rows, quantity="conv1/p_value")
    assert row["seed_0"] is not None and row["seed_1"] is row["seed_2"] is None
    assert draw_figure("overview", run).notes == []


def test_older_runs_have_a_p_value_from_their_filters_and_no_band(make_run):
    def shape(key, arrays):
        forget(key, arrays)
        if key.seed == 1:  # filters that are aligned with other axes than those of the data
            filters = arrays["alignment/conv1/filters"] * np.linspace(1, 6, 27)
            arrays["alignment/conv1/filters"] = filters @ random_basis(27, seed=3).T

    run = make_run(change=shape)
    for name in ("overview", "misalignment"):
        rows = rows_of(name, run)
        assert pick(rows, quantity="conv1/null") == []
        (row,) = pick(rows, quantity="conv1/p_value")
        assert row["seed_1"] == 0.01 and min(row["seed_0"], row["seed_2"]) > 0.01
        assert draw_figure(name, run).notes == [] and rows_of(name, run) == rows


def test_older_runs_without_filters_or_with_too_few_have_none(make_run):
    def fewer(key, arrays):
        forget(key, arrays)
        if key.seed == 0:
            del arrays["alignment/conv1/filters"]
        else:
            arrays["alignment/conv1/filters"] = arrays["alignment/conv1/filters"][:27]

    rows = rows_of("overview", make_run(change=fewer))
    assert pick(rows, quantity="conv1/p_value") == []


def share_a_direction(key, arrays):
    """All filters of a run lean to one direction of their own, the same for all its filters."""
    rng = np.random.default_rng(key.seed)
    filters = rng.standard_normal((96, 27)) + rng.standard_normal((96, 1)) * rng.normal(size=27)
    arrays["alignment/conv1/filters"] = filters


def test_pooled_p_value_needs_five_seeds_and_allows_for_dependent_filters(make_run):
    def old(key, arrays):
        forget(key, arrays)
        share_a_direction(key, arrays)

    runs = [make_run(f"of{n}", seeds=tuple(range(n)), change=old) for n in (4, 5)]
    rows = [rows_of("misalignment", run) for run in runs]
    assert pick(rows[0], quantity="conv1/pooled_p_value") == []
    (pooled,) = pick(rows[1], quantity="conv1/pooled_p_value")
    (single,) = pick(rows[1], quantity="conv1/p_value")
    # Filter by filter the shared direction looks like misalignment, run by run it does not.
    assert {single[f"seed_{seed}"] for seed in range(5)} == {0.01}
    assert pooled["mean"] > 0.05 and pooled["seed_0"] is None
    text = p_value_text(quantities.null_curves(*_of(runs[1])))
    assert text.startswith("p of the data basis at the end: 0.01, 0.01, 0.01, 0.01, 0.01 (single")
    assert f"{pooled['mean']:.2g} (all seeds, whole runs flipped)" in text


def _of(run):
    results = Results(run)
    return results, results.keys("upstream", "random"), "conv1"


def test_runs_on_different_data_are_not_pooled(make_run):
    def differ(key, arrays):
        if key.seed == 2:
            arrays["alignment/conv1/eigenvalues"] = arrays["alignment/conv1/eigenvalues"] * 1.1

    run = make_run(seeds=tuple(range(5)), change=differ)
    assert pick(rows_of("misalignment", run), quantity="conv1/pooled_p_value") == []


def test_stored_groups_are_the_eigenspaces(make_run):
    sizes = np.array([2, 20, 5])
    values, vectors = np.arange(27.0, 0, -1), random_basis(27, seed=5)
    arrays = {"a/eigenvalues": values, "a/eigenvectors": vectors, "a/group_sizes": sizes}
    spaces = quantities.stored_eigenspaces(arrays, "a")
    groups = (slice(0, 2), slice(2, 22), slice(22, 27))
    assert spaces.groups == groups
    cov = filter_covariance(np.random.default_rng(0).standard_normal((60, 27)))
    expected = misalignment_of(Eigenspaces(values, vectors, groups), cov)
    assert misalignment_of(spaces, cov) == expected
    del arrays["a/group_sizes"]
    assert [group.stop for group in quantities.stored_eigenspaces(arrays, "a").groups] == list(
        range(1, 28)
    )


def test_many_p_values_are_summed_up(make_run):
    text = p_value_text(quantities.null_curves(*_of(make_run(seeds=tuple(range(8))))), "wide")
    assert text.startswith("p of the data basis at the end, wide: ") and ", median " in text


def test_band_is_grey_and_behind_the_lines(make_run):
    results = Results(make_run())
    curves = [c for c in overview.read(results) if c.panel == "misalignment"]
    with style.context():
        _, axes = style.subplots(1, rows=[(2, 1)])
        panels.misalignment(axes[0, 0], curves)
    texts = axes[0, 0].get_legend_handles_labels()[1]
    assert "aligned filters (sign flips), 95%" in texts and len(texts) == 4
    regions = axes[0, 0].collections
    (grey,) = [r for r in regions if r.get_label() == "aligned filters (sign flips), 95%"]
    red, green, blue, _ = grey.get_facecolor()[0]
    assert red == green == blue
    others = [*axes[0, 0].lines, *(r for r in regions if r is not grey)]
    assert all(grey.get_zorder() < other.get_zorder() for other in others)
