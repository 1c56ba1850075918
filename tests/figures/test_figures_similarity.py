"""Which networks are compared, and with which values."""

import itertools

import numpy as np
import pytest
from made_up import representation_arrays

from rl_keras.errors import UsageError
from rl_keras.figures.plotting.drawing import draw_figure, rows_of
from rl_keras.science.similarity import linear_cka, maximum_match
from rl_keras.storage.run_folder import StageKey

TWO = "random: upstream_labels=random; real: upstream_labels=true"
SEEDS = (0, 1, 2)


def sample(labels, seed, layer):
    arrays = representation_arrays(StageKey("upstream", labels, "", seed))
    return arrays[f"representation/{layer}/sample"]


def pick(rows, measure, layer, pair):
    return [r for r in rows if (r["measure"], r["layer"], r["pair"]) == (measure, layer, pair)]


@pytest.mark.parametrize(
    ("measure", "compare"),
    [
        ("cka", linear_cka),
        ("match_0.3", lambda x, y: maximum_match(x, y, 0.3).similarity),
        ("match_0.7", lambda x, y: maximum_match(x, y, 0.7).similarity),
    ],
)
def test_pairs_are_compared_layer_by_layer(make_run, measure, compare):
    rows = rows_of("similarity", make_run(variants=TWO, starts=("none",)))
    crossed = list(itertools.product(SEEDS, SEEDS))
    pairs = {
        "random, real: same seed": ("random", "true", [(s, s) for s in SEEDS]),
        "random, real: two seeds": ("random", "true", [p for p in crossed if p[0] != p[1]]),
        "random: two seeds": ("random", "random", [(0, 1), (0, 2), (1, 2)]),
        "real: two seeds": ("true", "true", [(0, 1), (0, 2), (1, 2)]),
    }
    for layer in ("conv1", "dense1"):
        for pair, (first, second, members) in pairs.items():
            values = [
                compare(sample(first, a, layer), sample(second, b, layer)) for a, b in members
            ]
            (row,) = pick(rows, measure, layer, pair)
            cells = row["mean"], row["low"], row["high"], row["num"]
            assert cells == pytest.approx((np.mean(values), min(values), max(values), len(values)))


def test_unrelated_outputs_have_no_unbiased_kernel_alignment(make_run):
    rows = rows_of("similarity", make_run(variants=TWO, starts=("none",)))
    (null,) = pick(rows, "cka", "conv1", "null: shuffled")
    (same,) = pick(rows, "cka", "conv1", "random, real: same seed")
    assert null["low"] < 0 < null["high"] < same["mean"]
    assert pick(rows, "match_0.5", "dense1", "null: gaussian")[0]["num"] == 19


def test_silent_units_are_counted_and_one_network_has_no_pair(make_run):
    def silence(key, arrays):
        arrays["representation/conv1/sample"][:, :2] = 0

    rows = rows_of("similarity", make_run(starts=("none",), seeds=(0,), change=silence))
    assert {row["measure"] for row in rows} == {"active_units"}
    assert [(row["layer"], row["mean"]) for row in rows] == [("conv1", 0.6), ("dense1", 1.0)]


def test_networks_that_saw_other_examples_are_not_compared(make_run):
    def other(key, arrays, variant):
        if variant == "real":
            arrays["representation/ids"] = arrays["representation/ids"][::-1]

    run = make_run(variants=TWO, starts=("none",), change=other)
    with pytest.raises(UsageError, match="the same test examples in all variants"):
        rows_of("similarity", run)


def test_positions_count_as_other_examples(make_run):
    def other(key, arrays):
        arrays["representation/conv1/positions"] += key.seed

    with pytest.raises(UsageError, match="the same test examples"):
        rows_of("similarity", make_run(starts=("none",), change=other))


def test_a_dead_layer_is_left_out(make_run):
    def dead(key, arrays):
        arrays["representation/dense1/sample"][:] = 0

    run = make_run(starts=("none",), change=dead)
    rows = rows_of("similarity", run)
    assert {row["layer"] for row in rows if row["measure"] == "cka"} == {"conv1"}
    assert {row["mean"] for row in rows if row["layer"] == "dense1"} == {0.0}  # active ones too
    assert draw_figure("similarity", run).notes == []


def test_runs_without_representations_are_noted(make_run):
    run = make_run(measured=())
    assert rows_of("similarity", run) == []
    assert draw_figure("similarity", run).notes == [
        "similarity: not measured; set --keep_representations"
    ]
