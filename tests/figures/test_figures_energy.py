"""Energy profiles of pooled filters and their fits, against numbers worked out here."""

import numpy as np
import pytest

from rl_keras.figures.plotting.drawing import draw_figure, rows_of
from rl_keras.science.profiles import linear_profile

DIM, SCALE = 12, 3.0


@pytest.fixture(autouse=True)
def fewer_draws(monkeypatch):
    monkeypatch.setattr("rl_keras.results.profiles.NUM_DRAWS", 39)


def linear_filters(key, arrays):
    """Filters whose change has exactly the profile of a linear network, on turned axes."""
    if key.stage != "upstream":
        return
    rng = np.random.default_rng(key.seed)
    vectors = np.linalg.qr(np.random.default_rng(7).standard_normal((DIM, DIM)))[0]
    eigenvalues = np.geomspace(20, 0.001, DIM)
    wanted = linear_profile(np.sqrt(eigenvalues), SCALE)
    initial = rng.standard_normal((40, DIM)).astype(np.float32)
    drawn = np.linalg.qr(rng.standard_normal((40, DIM)))[0] * np.sqrt(40)
    change = drawn * wanted @ vectors.T
    filters = initial + change
    values = {
        "step": np.array([0, 9]),
        "eigenvalues": eigenvalues,
        "eigenvectors": vectors,
        "filters": filters,
        "filters_by_step": np.array([initial, filters], np.float32),
    }
    for name in [name for name in arrays if name.startswith("alignment/")]:
        del arrays[name]
    arrays |= {f"alignment/conv1/{name}": value for name, value in values.items()}


def without_first(key, arrays):
    linear_filters(key, arrays)
    arrays.pop("alignment/conv1/filters_by_step", None)


def pick(rows, panel, quantity):
    return [r for r in rows if (r["panel"], r["quantity"]) == (panel, f"conv1/{quantity}")]


def test_a_planted_profile_is_found_in_the_change_only(make_run):
    rows = rows_of("energy_profile", make_run(change=linear_filters))
    wanted = linear_profile(np.sqrt(np.geomspace(20, 0.001, DIM)), SCALE)
    for quantity in ("profile", "pooled", "linear_network"):
        means = [row["mean"] for row in pick(rows, "change", quantity)]
        np.testing.assert_allclose(means, wanted, rtol=1e-4)
    numbers = {row["quantity"]: row["mean"] for row in rows if row["panel"] == "change"}
    assert numbers["conv1/linear_network_scale"] == pytest.approx(SCALE, rel=1e-3)
    assert numbers["conv1/linear_network_correlation"] == pytest.approx(1, abs=1e-6)
    for rival in ("proportional", "constant", "inverse"):
        assert numbers[f"conv1/{rival}_cosine"] < 0.95
    assert numbers["conv1/rotation_p"] == pytest.approx(1 / 40)
    numbers = {row["quantity"]: row["mean"] for row in rows if row["panel"] == "filters"}
    assert numbers["conv1/linear_network_cosine"] < 0.95


def test_the_pooled_profile_is_that_of_all_filters(make_run):
    by_seed = {}

    def keep(key, arrays):
        linear_filters(key, arrays)
        if key.stage == "upstream":
            by_seed[key.seed] = arrays

    rows = rows_of("energy_profile", make_run(change=keep))
    filters = np.concatenate([by_seed[seed]["alignment/conv1/filters"] for seed in range(3)])
    vectors = by_seed[0]["alignment/conv1/eigenvectors"]
    by_hand = [np.sqrt(np.mean((filters @ vectors[:, i]) ** 2)) for i in range(DIM)]
    np.testing.assert_allclose([r["mean"] for r in pick(rows, "filters", "pooled")], by_hand)
    own = by_seed[1]["alignment/conv1/filters"] @ vectors
    seed_1 = [row["seed_1"] for row in pick(rows, "filters", "profile")]
    np.testing.assert_allclose(seed_1, np.sqrt(np.mean(own**2, axis=0)))


def test_without_the_first_filters_there_is_no_change_and_a_note(make_run):
    run = make_run(change=without_first)
    assert {row["panel"] for row in rows_of("energy_profile", run)} == {"filters"}
    assert draw_figure("energy_profile", run).notes == [
        "energy_profile: the filters before training are not known; set --keep_filters"
    ]


def test_seeds_with_other_data_are_left_out_and_filters_that_never_moved_noted(make_run):
    def change(key, arrays):
        linear_filters(key, arrays)
        if key.stage == "upstream":
            arrays["alignment/conv1/filters_by_step"][:] = arrays["alignment/conv1/filters"]
            arrays["alignment/conv1/filters"] = arrays["alignment/conv1/filters_by_step"][1]
            if key.seed == 1:
                arrays["alignment/conv1/eigenvalues"] *= 2

    run = make_run(change=change)
    notes = draw_figure("energy_profile", run).notes
    assert notes[0] == "energy_profile: left out, since their data differ: seed 1"
    assert notes[1].startswith("energy_profile: no profile of the change: A profile must be finite")
    assert {
        row["num_seeds"] for row in pick(rows_of("energy_profile", run), "filters", "profile")
    } == {2}


def test_runs_without_filters_are_noted(make_run):
    run = make_run(measured=("activity",))
    assert rows_of("energy_profile", run) == []
    assert draw_figure("energy_profile", run).notes == ["energy_profile: no filters were kept"]
