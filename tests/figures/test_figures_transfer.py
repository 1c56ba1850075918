"""The transfer function: which moments, which seeds, and which values of the paper."""

import math

import numpy as np
import pytest

from rl_keras.figures.plotting.drawing import draw_figure, rows_of
from rl_keras.papers.printed import printed_curve
from rl_keras.settings.experiment import from_values
from rl_keras.storage.run_folder import StageKey, read_arrays

VARIANCES = tuple(np.round(np.linspace(0.1, 3.0, 30) ** 2, 2))
FLAT = tuple(np.round(np.linspace(1.0, 1.9, 10) ** 2, 2))
T_TWO_DEGREES = 4.302652729911275  # Student's t, 97.5%


def pick(rows, **wanted):
    return [row for row in rows if all(row[name] == value for name, value in wanted.items())]


def upstream(run, seed):
    return read_arrays(run.arrays_path(StageKey("upstream", "random", "", seed)))


def without_filters(key, arrays):
    arrays.pop("alignment/conv1/filters")


def test_epochs_of_the_paper_are_taken_where_they_were_measured(make_run):
    rows = rows_of("transfer_function", make_run(upstream_epochs=50, change=without_filters))
    rows = pick(rows, quantity="conv1/transfer")
    # 400 steps are 50 epochs, measured every 20 steps or 2.5 epochs.
    assert sorted({row["step"] for row in rows}) == [40, 80, 160, 320]


@pytest.mark.parametrize("epochs", [10, 40])  # too short; no measurement near the fifth epoch
def test_else_moments_are_spread_over_the_training(make_run, epochs):
    rows = rows_of("transfer_function", make_run(upstream_epochs=epochs, change=without_filters))
    rows = pick(rows, quantity="conv1/transfer")
    assert sorted({row["step"] for row in rows}) == [0, 100, 200, 400]


def test_mean_and_interval_over_seeds(make_run):
    run = make_run()
    rows = pick(rows_of("transfer_function", run), quantity="conv1/transfer", step=200)
    stages = [upstream(run, seed) for seed in range(3)]
    values = np.array([stage["alignment/conv1/transfer"][10] for stage in stages])
    half = T_TWO_DEGREES * values.std(axis=0, ddof=1) / math.sqrt(3)
    np.testing.assert_allclose([row["mean"] for row in rows], values.mean(axis=0))
    np.testing.assert_allclose([row["high"] for row in rows], values.mean(axis=0) + half)
    np.testing.assert_allclose([row["x"] for row in rows], stages[0]["alignment/conv1/eigenvalues"])
    (level,) = pick(rows_of("transfer_function", run), quantity="conv1/initial_level")
    first = [stage["alignment/conv1/transfer"][0].mean() for stage in stages]
    assert level["mean"] == pytest.approx(np.mean(first))


def test_last_filters_of_all_seeds_are_one_set(make_run):
    run = make_run()
    rows = rows_of("transfer_function", run)
    assert pick(rows, quantity="conv1/transfer", step=400) == []
    pooled = pick(rows, quantity="conv1/pooled_transfer", step=400)
    filters = [upstream(run, seed)["alignment/conv1/filters"] for seed in range(3)]
    # The eigenvectors are the axes: f is the root mean square of each entry.
    f = np.sqrt(np.mean(np.concatenate(filters) ** 2, axis=0))
    np.testing.assert_allclose([row["mean"] for row in pooled], f)
    left = [np.concatenate([filters[i] for i in range(3) if i != out]) for out in range(3)]
    left = np.sqrt([np.mean(rows**2, axis=0) for rows in left])
    half = T_TWO_DEGREES * np.sqrt(2 * left.var(axis=0))
    np.testing.assert_allclose([row["high"] for row in pooled], f + half)
    draw_figure("transfer_function", run)


def other_data(key, arrays):
    arrays["alignment/conv1/eigenvalues"] = arrays["alignment/conv1/eigenvalues"] * (1 + key.seed)


def too_few(key, arrays):
    arrays["alignment/conv1/filters"] = arrays["alignment/conv1/filters"][:5]


@pytest.mark.parametrize("change", [without_filters, other_data, too_few])
def test_filters_that_are_not_one_set_are_not_pooled(make_run, change):
    run = make_run(change=change)
    names = {row["quantity"] for row in rows_of("transfer_function", run)}
    assert names == {"conv1/transfer", "conv1/initial_level"}
    draw_figure("transfer_function", run)


def test_one_seed_has_no_interval(make_run):
    rows = pick(rows_of("transfer_function", make_run(seeds=(4,))), step=400)
    assert {(row["quantity"], row["low"]) for row in rows} == {("conv1/transfer", None)}


def test_each_variant_has_its_own(make_run):
    run = make_run(variants="random: ; true: upstream_labels=true", starts=("none",))
    rows = pick(rows_of("transfer_function", run), quantity="conv1/initial_level")
    assert [(row["variant"], row["labels"]) for row in rows] == [
        ("random", "random"),
        ("true", "true"),
    ]


SYNTHETIC = {"dataset": "gaussian", "model": "mlp", "scaling": "none"}
RISING = {**SYNTHETIC, "gaussian_variances": VARIANCES}
NARROW = {**SYNTHETIC, "gaussian_variances": FLAT}
CIFAR = {"dataset": "cifar10", "model": "simple_cnn"}


@pytest.mark.parametrize(
    ("values", "source"),
    [
        ({**NARROW, "widths": (2048, 256)}, "Figure 20, left"),
        ({**RISING, "widths": (2048, 256)}, "Figure 20, middle"),
        ({**RISING, "widths": (256, 256)}, "Figure 20, right"),
        ({**RISING, "gaussian_variances": VARIANCES[::-1]}, "Figure 20, middle"),
        ({**NARROW, "widths": (256, 256)}, None),
        ({**SYNTHETIC, "gaussian_variances": (1.0, 2.0)}, None),
        (CIFAR, "Figure 4, centre, epoch 40"),
        ({**CIFAR, "upstream_labels": ("true",)}, "Figure 4, right, epoch 40"),
        ({**CIFAR, "upstream_labels": ("permuted",)}, None),
        ({**CIFAR, "kernel_size": 5}, None),
        ({**CIFAR, "scaling": "per_image"}, None),
        ({}, None),
    ],
)
def test_panel_of_the_paper_belongs_to_inputs_network_and_labels(values, source):
    panel = printed_curve(from_values({"starts": ("none",), **values}))
    assert (panel and panel.source) == source


def test_published_synthetic_values_are_drawn_as_they_are(make_run):
    def synthetic(key, arrays):
        arrays["alignment/conv1/eigenvalues"] = np.linspace(3.0, 0.1, 27) ** 2

    run = make_run(starts=("none",), change=synthetic, **RISING, widths=(256, 256))
    rows = pick(rows_of("transfer_function", run), quantity="paper (Figure 20, right)")
    assert [row["x"] for row in rows] == [0.1, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0]
    assert [row["mean"] for row in rows] == [0.183, 0.203, 0.226, 0.239, 0.249, 0.253, 0.254]
    assert {(row["num_seeds"], row["step"], row["seed_0"]) for row in rows} == {(0, None, None)}
    measured = pick(rows_of("transfer_function", run), quantity="conv1/transfer", step=0)
    assert measured[0]["x"] == pytest.approx(3.0)  # sigma, not the eigenvalue
    draw_figure("transfer_function", run)


def test_published_cifar_values_start_at_our_initial_level(make_run):
    run = make_run(starts=("none",), **CIFAR)
    rows = rows_of("transfer_function", run)
    (level,) = pick(rows, quantity="conv1/initial_level")
    name = "paper (Figure 4, centre, epoch 40), its baseline at our initial level"
    (peak,) = pick(rows, quantity=name, x=0.27)
    unit = level["mean"] / 0.0018
    assert peak["low"] == pytest.approx(0.095 * unit)
    assert peak["mean"] == pytest.approx(0.1 * unit)
    draw_figure("transfer_function", run)
