import math

import numpy as np
import pytest

from rl_keras.errors import UsageError
from rl_keras.science.alignment import (
    eigenspaces,
    filter_covariance,
    misalignment,
    random_basis,
    sampling_floor,
)
from rl_keras.science.pooling import pool_runs, shrinkage_intensity, shrunk
from rl_keras.science.summaries import mean_interval
from rl_keras.science.transfer import transfer_function

_BASIS = random_basis(4, seed=0)
_DATA_COV = (_BASIS * [9.0, 4.0, 4.0, 1.0]) @ _BASIS.T  # with a repeated eigenspace


def _runs(num=5, sizes=(12, 7, 9, 20, 8), dim=4, seed=0):
    generator = np.random.default_rng(seed)
    mixing = generator.standard_normal((dim, dim)) + 2 * np.eye(dim)
    return [generator.standard_normal((sizes[i % 5], dim)) @ mixing + 0.3 for i in range(num)]


@pytest.mark.parametrize("centered", [False, True])
def test_pooled_measurements_are_those_of_all_filters_together(centered):
    runs = _runs()
    pooled = pool_runs(runs, _DATA_COV, np.random.default_rng(0), resamples=20, centered=centered)
    cov = filter_covariance(np.concatenate(runs), centered)
    np.testing.assert_allclose(pooled.covariance, cov)
    np.testing.assert_allclose(pooled.curve.values, transfer_function(_DATA_COV, cov).values)
    assert pooled.misalignment == pytest.approx(misalignment(_DATA_COV, cov))
    assert (pooled.num_filters, pooled.num_runs, pooled.intensity) == (56, 5, 0.0)
    assert pooled.floor == sampling_floor(56, 4, centered)
    assert (pooled.curve_low <= pooled.curve_high).all()
    assert 0 <= pooled.misalignment_low <= pooled.misalignment_high


@pytest.mark.parametrize("centered", [False, True])
def test_bootstrap_equals_a_slow_loop_over_copied_filters(centered):
    runs, generator = _runs(), np.random.default_rng(3)
    pooled = pool_runs(runs, _DATA_COV, generator, resamples=30, confidence=0.8, centered=centered)
    curves, scores = [], []
    for counts in np.random.default_rng(3).multinomial(5, [0.2] * 5, 30):
        rows = np.concatenate([run for run, n in zip(runs, counts, strict=True) for _ in range(n)])
        cov = filter_covariance(rows, centered)
        curves.append(transfer_function(_DATA_COV, cov).values)
        scores.append(misalignment(_DATA_COV, cov))
    np.testing.assert_allclose(pooled.curve_low, np.quantile(curves, 0.1, axis=0))
    np.testing.assert_allclose(pooled.curve_high, np.quantile(curves, 0.9, axis=0))
    moved = np.array(scores) - np.mean(scores) + pooled.misalignment
    assert pooled.misalignment_low == pytest.approx(max(np.quantile(moved, 0.1), 0))
    assert pooled.misalignment_high == pytest.approx(np.quantile(moved, 0.9))


def test_jackknife_equals_a_slow_loop():
    runs = _runs()
    pooled = pool_runs(runs, _DATA_COV, interval="jackknife")
    curves, scores = [], []
    for left_out in range(5):
        rows = np.concatenate([run for i, run in enumerate(runs) if i != left_out])
        curves.append(transfer_function(_DATA_COV, filter_covariance(rows)).values)
        scores.append(misalignment(_DATA_COV, filter_covariance(rows)))
    quantile = 2.7764451052  # of Student's t with four degrees of freedom
    error = math.sqrt(4 * np.var(scores))
    assert pooled.misalignment_high - pooled.misalignment == pytest.approx(quantile * error)
    error = np.sqrt(4 * np.var(curves, axis=0))
    np.testing.assert_allclose(pooled.curve_high - pooled.curve.values, quantile * error)


def test_jackknife_of_a_mean_is_the_student_interval():
    # One direction, runs of one size: f^2 is the mean of the second moments of the runs.
    runs = [np.full((6, 1), level) for level in (1.0, 1.01, 0.99, 1.02, 0.98)]
    pooled = pool_runs(runs, np.eye(1), interval="jackknife")
    squares = mean_interval([run[0, 0] ** 2 for run in runs])
    np.testing.assert_allclose(pooled.curve_low**2, squares.low, rtol=1e-3)
    np.testing.assert_allclose(pooled.curve_high**2, squares.high, rtol=1e-3)
    assert (pooled.misalignment, pooled.misalignment_high) == (0.0, 0.0)


def test_runs_that_agree_leave_no_interval_and_the_generator_decides():
    alike = [_runs(1)[0]] * 4
    pooled = pool_runs(alike, _DATA_COV, np.random.default_rng(0), resamples=10)
    np.testing.assert_allclose(pooled.curve_low, pooled.curve_high)
    assert pooled.misalignment_high == pytest.approx(pooled.misalignment_low)
    first, again, other = (
        pool_runs(_runs(), _DATA_COV, np.random.default_rng(seed)) for seed in (0, 0, 1)
    )
    assert first.misalignment_high == again.misalignment_high != other.misalignment_high


def _coverage(interval, num_runs, root, repetitions=120):
    """How often the intervals contain f and the expectation of the pooled misalignment."""
    dim, generator = len(root), np.random.default_rng(num_runs)
    spaces = eigenspaces(np.diag(np.arange(dim, 0.0, -1)))
    truth = transfer_function(spaces, root @ root.T).values
    draws = generator.standard_normal((800, num_runs * 16, dim)) @ root.T
    expected = np.mean([misalignment(spaces, filter_covariance(rows)) for rows in draws])
    curve, score = [], []
    for _ in range(repetitions):
        runs = list(generator.standard_normal((num_runs, 16, dim)) @ root.T)
        pooled = pool_runs(runs, spaces, generator, interval=interval, resamples=200)
        curve.append((pooled.curve_low < truth) & (truth < pooled.curve_high))
        score.append(pooled.misalignment_low < expected < pooled.misalignment_high)
    return np.mean(curve), np.mean(score)


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize(
    ("interval", "num_runs", "least"), [("bootstrap", 20, 0.87), ("jackknife", 5, 0.91)]
)
def test_intervals_contain_the_truth_nearly_as_often_as_they_say(
    interval, num_runs, least, aligned
):
    root = np.diag([1.0, 3.0, 2.0])
    if not aligned:
        root = np.linalg.cholesky(np.eye(3) + 0.6 * np.ones((3, 3)))
    for share in _coverage(interval, num_runs, root):
        assert share >= least


def test_resample_without_inverse_leaves_no_interval_of_the_misalignment():
    # Two runs of three filters: six are enough for four dimensions, three are not.
    runs = [rows[:3] for rows in _runs(2)]
    for interval in ("bootstrap", "jackknife"):
        pooled = pool_runs(runs, _DATA_COV, np.random.default_rng(0), interval=interval)
        assert pooled.misalignment > 0
        assert math.isnan(pooled.misalignment_low)
        assert math.isnan(pooled.misalignment_high)
        assert (pooled.curve_high > pooled.curve_low).all()


# Shrinkage.


def test_ledoit_wolf_equals_a_slow_loop():
    rows = _runs(1)[0]
    cov, dim = rows.T @ rows / 12, 4
    target = np.trace(cov) / dim * np.eye(dim)
    error = sum(((np.outer(row, row) - cov) ** 2).sum() for row in rows) / 12**2
    intensity = shrinkage_intensity(rows, "ledoit_wolf")
    assert 0 < intensity < 1
    assert intensity == pytest.approx(error / ((cov - target) ** 2).sum())
    expected = (1 - intensity) * cov + intensity * target
    np.testing.assert_allclose(shrunk(cov, intensity), expected)
    np.testing.assert_allclose(shrunk(np.array([cov, target]), intensity), [expected, target])


def test_ledoit_wolf_brings_the_covariance_nearer_the_truth():
    generator, truth = np.random.default_rng(0), np.diag([1.0, 2.0, 3.0, 4.0, 5.0])
    before, after = 0.0, 0.0
    for _ in range(50):
        rows = generator.standard_normal((10, 5)) * np.sqrt(truth.diagonal())
        cov = filter_covariance(rows)
        before += ((cov - truth) ** 2).sum()
        after += ((shrunk(cov, shrinkage_intensity(rows, "ledoit_wolf")) - truth) ** 2).sum()
    assert after < 0.8 * before


def test_shrinkage_lowers_the_floor_of_isotropic_filters_and_is_never_silent():
    generator, dim = np.random.default_rng(0), 27
    data_cov = np.diag(np.arange(dim, 0.0, -1))
    runs = list(generator.standard_normal((4, 64, dim)))
    plain, fixed, chosen = (
        pool_runs(runs, data_cov, interval="jackknife", shrinkage=shrinkage)
        for shrinkage in (None, 0.3, "ledoit_wolf")
    )
    assert plain.misalignment == pytest.approx(plain.floor, abs=0.4)
    # Correlations shrink by 1 - intensity, and the misalignment is nearly their square.
    assert fixed.misalignment == pytest.approx(0.7**2 * plain.misalignment, rel=0.1)
    assert chosen.intensity > 0.8
    assert chosen.misalignment < 0.1 * plain.misalignment
    assert (plain.intensity, fixed.intensity) == (0.0, 0.3)
    assert math.isnan(fixed.floor)
    assert math.isnan(chosen.floor)


def test_shrinkage_of_lopsided_filters_hides_less_and_lowers_true_misalignment_too():
    generator, basis = np.random.default_rng(0), random_basis(6, seed=1)
    runs = list(generator.standard_normal((4, 64, 6)) @ (basis * np.linspace(1, 8, 6)).T)
    data_cov = np.diag(np.arange(6.0, 0, -1))
    plain = pool_runs(runs, data_cov, interval="jackknife")
    chosen = pool_runs(runs, data_cov, interval="jackknife", shrinkage="ledoit_wolf")
    assert 0 < chosen.intensity < 0.1
    assert 0.3 * plain.misalignment < chosen.misalignment < 0.95 * plain.misalignment


def test_named_shrinkage_allows_fewer_filters_than_dimensions():
    runs = [rows[:1] for rows in _runs(3)]
    pooled = pool_runs(runs, _DATA_COV, np.random.default_rng(0), shrinkage=0.5)
    assert pooled.num_filters == 3
    assert pooled.misalignment_low <= pooled.misalignment <= pooled.misalignment_high


# Refusals.


@pytest.mark.parametrize(
    ("shape", "centered", "message"),
    [
        ((2, 16, 75), False, r"dimensions \(75\), which .* 5 seeds; raise --seeds. Received: 32 f"),
        ((5, 15, 75), False, r"which at this width takes 6 seeds.*75 filters of 5 seeds"),
        ((1, 27, 27), False, r"which at this width takes 2 seeds.*27 filters of 1 seeds"),
        ((4, 19, 75), True, r"\(75 and one more for the mean\).* 5 seeds.*76 filters of 4 seeds"),
        ((1, 256, 27), False, "at least 2 of them; raise --seeds. Received: 1 run"),
    ],
)
def test_too_few_runs_are_refused_with_the_number_needed(shape, centered, message):
    runs = list(np.random.default_rng(0).standard_normal(shape))
    with pytest.raises(UsageError, match=message):
        pool_runs(runs, np.eye(shape[2]), np.random.default_rng(0), centered=centered)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"interval": "t"}, '"bootstrap" or "jackknife",.*Received: interval=\'t\', conf'),
        ({"confidence": 95}, "confidence between 0 and 1.*confidence=95"),
        ({"shrinkage": "ridge"}, "\"ledoit_wolf\" or an intensity.*Received: shrinkage='ridge'"),
        ({"shrinkage": 0.0}, "above 0 and up to 1. Received: shrinkage=0.0"),
        ({"rng": 3}, r"default_rng\(seed\). Received: int"),
        ({"resamples": 0}, "positive integer. Received: draws=0"),
        ({"runs": []}, r"same layer of every run. Received: shapes \[\]"),
        ({"runs": [np.ones((5, 4)), np.ones((5, 3))]}, r"shapes \[\(5, 4\), \(5, 3\)\]"),
        ({"data_cov": np.eye(3)}, "same dimension, 3;.*Received: 4 for filters"),
    ],
)
def test_bad_input_is_refused(settings, message):
    settings = {"runs": _runs(), "data_cov": _DATA_COV, "rng": np.random.default_rng(0)} | settings
    with pytest.raises(UsageError, match=message):
        pool_runs(**settings)
