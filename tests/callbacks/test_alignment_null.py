"""The band of aligned filters that `CovarianceAlignment` records, and grouped eigenvalues."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from rl_keras.callbacks import CovarianceAlignment, MetricLog, every
from rl_keras.callbacks.alignment import FIELDS, draws_for, grouped_floor, null_band
from rl_keras.models import simple_cnn
from rl_keras.science.alignment import (
    eigenspaces,
    filter_covariance,
    misalignment,
    random_basis,
    sampling_floor,
)
from rl_keras.science.eigenspaces import Eigenspaces, sampled_eigenspaces
from rl_keras.science.filters import kernel_to_rows
from rl_keras.science.patches import PatchMoments
from rl_keras.seeds import derive_seed

RNG = np.random.default_rng(0)
IMAGES = (RNG.normal(size=(64, 6, 6, 1)) * np.linspace(1, 2, 6)[:, None, None]).astype("float32")
LABELS = RNG.integers(0, 3, 64)
DIM = 9


def model_of(filters=40):
    model = simple_cnn((6, 6, 1), classes=3, filters=filters, units=4)
    model.compile(
        keras.optimizers.SGD(0.05, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    return model


def dataset():
    return tf.data.Dataset.from_tensor_slices((IMAGES, LABELS)).batch(8)


def fitted(model=None, writers=(), measure_every=4, **settings):
    model = model or model_of()
    settings = {"num_random_bases": 2, "seed": 7, **settings}
    alignment = CovarianceAlignment(
        dataset(), schedule=every(measure_every), writers=writers, **settings
    )
    model.fit(dataset(), epochs=2, verbose=0, callbacks=[alignment])
    return alignment, model


def flipped_by_hand(rows, vectors, draws, rng):
    """Filter by filter and sign by sign; the generator is asked in the order of the science."""
    signs = [1.0 - 2.0 * rng.integers(0, 2, (draws, 1, len(rows)), dtype=np.int8) for _ in rows.T]
    scores = []
    for draw in range(draws):
        turned = np.zeros_like(rows)
        for number, row in enumerate(rows):
            for axis, vector in enumerate(vectors.T):
                turned[number] += signs[axis][draw, 0, number] * (row @ vector) * vector
        cov = turned.T @ turned / len(turned)
        inverse = np.linalg.inv(cov)
        products = [(v @ cov @ v) * (v @ inverse @ v) for v in vectors.T]
        scores.append(np.sqrt(products).sum() - len(vectors))
    return np.array(scores)


def test_band_equals_flipping_by_hand():
    log = MetricLog()
    alignment, model = fitted(writers=[log], null_draws=41)
    rows = kernel_to_rows(model.get_layer("conv1").kernel.numpy()).astype(np.float64)
    spaces = eigenspaces(PatchMoments(3).update(IMAGES).covariance())
    rng = np.random.default_rng(derive_seed(7, "sign_flips", 16))
    draws = flipped_by_hand(rows, spaces.vectors, 41, rng)
    last = alignment.records[-1]
    ordered = np.sort(draws)  # of 41, the second from either end leaves 2.5% outside
    expected = [ordered[1], draws.mean(), ordered[-2]]
    found = [last[name] for name in ("null_low", "null_mean", "null_high")]
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert last["p_value"] == (1 + np.sum(draws >= last["data_basis"])) / 42
    logged = {row["name"]: row["value"] for row in log.rows if row["step"] == 16}
    assert [logged[f"alignment/conv1/{name}"] for name in FIELDS] == [last[n] for n in FIELDS]


def test_fresh_filters_lie_in_the_band_as_often_as_it_says():
    spaces = Eigenspaces(np.arange(5, 0.0, -1), np.eye(5), tuple(slice(i, i + 1) for i in range(5)))
    inside = 0
    for seed in range(200):
        rows = np.random.default_rng(seed).normal(size=(30, 5))
        band = null_band(rows, spaces, 100, seed, step=0)
        score = misalignment(spaces, filter_covariance(rows))
        inside += band["null_low"] <= score <= band["null_high"]
    # Of 95% expected, 4 standard deviations of a count.
    assert abs(inside - 190) < 4 * np.sqrt(200 * 0.95 * 0.05)


def test_weights_are_bitwise_equal_with_and_without_flips():
    bare = model_of()
    bare.fit(dataset(), epochs=2, verbose=0)
    for draws in (0, 20):
        _, measured = fitted(null_draws=draws)
        for one, other in zip(bare.get_weights(), measured.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)


def test_a_step_has_the_same_band_whatever_else_was_measured():
    often, seldom = (fitted(measure_every=n, null_draws=20)[0].records for n in (2, 8))
    common = np.isin(often["step"], seldom["step"])
    np.testing.assert_array_equal(often[common], seldom)
    assert len(set(often["null_mean"])) == len(often)


def test_records_are_the_same_after_a_resume():
    whole = fitted(null_draws=20)[0].records
    model, rows = model_of(), None
    for _ in range(2):  # each an epoch of 8 steps, so that its end falls on the schedule
        alignment = CovarianceAlignment(
            dataset(), schedule=every(4), num_random_bases=2, seed=7, null_draws=20
        )
        if rows:
            alignment.resume(rows)
        model.fit(dataset(), verbose=0, callbacks=[alignment])
        rows = alignment.rows
    np.testing.assert_array_equal(alignment.records, whole)


def test_without_draws_the_fields_are_nan_and_reach_no_writer():
    log = MetricLog()
    alignment, _ = fitted(writers=[log], null_draws=0)
    assert np.isnan([alignment.records[name] for name in FIELDS]).all()
    assert not any("null" in row["name"] or "p_value" in row["name"] for row in log.rows)
    assert "NaN" not in json.dumps(log.rows)


def test_too_few_filters_have_no_band():
    alignment, _ = fitted(model_of(filters=DIM), few_filters=True)
    assert np.isnan([alignment.records[name] for name in FIELDS]).all()


def test_default_draws_are_left_out_in_many_dimensions():
    assert [draws_for(*case) for case in ((100, 100), (100, 101), (99, 101), (0, 5))] == [
        *(100, 0, 99, 0)
    ]


@pytest.fixture(scope="module")
def spiked():
    """Two eigenvalues, each of several dimensions, along random axes."""
    basis = random_basis(DIM, seed=1)
    deviations = np.repeat([3.0, 1.0], [2, 7])
    return (RNG.normal(size=(2000, DIM)) * deviations @ basis.T).astype("float32")


def grouped(data, **settings):
    keras.utils.set_random_seed(0)
    layers = [keras.Input((DIM,)), keras.layers.Dense(40, activation="relu", name="first")]
    model = keras.Sequential([*layers, keras.layers.Dense(3)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    settings = {"num_random_bases": 3, "seed": 7, "null_draws": 20, **settings}
    alignment = CovarianceAlignment(data, schedule=every(50), **settings)
    images = data if isinstance(data, np.ndarray) else RNG.normal(size=(64, DIM))
    model.fit(images[:64], LABELS, verbose=0, callbacks=[alignment])
    return alignment


def test_eigenvalues_within_their_sampling_error_are_one(spiked):
    alignment, apart = grouped(spiked, group_eigenvalues=True), grouped(spiked)
    cov = np.cov(spiked.T.astype(np.float64), bias=True)
    groups = (slice(0, 2), slice(2, DIM))
    assert alignment.spaces.groups == groups == sampled_eigenspaces(cov, 2000).groups
    assert len(apart.spaces.groups) == DIM
    record, filters = alignment.records[-1], filter_covariance(alignment.filter_rows())
    assert record["data_basis"] == pytest.approx(misalignment(alignment.spaces, filters))
    inverse, random = np.linalg.inv(filters), []
    for number in range(3):
        basis = random_basis(DIM, derive_seed(7, "random_basis", number))
        turned, back = basis.T @ filters @ basis, basis.T @ inverse @ basis
        products = [np.trace(turned[g, g]) * np.trace(back[g, g]) for g in groups]
        random.append(np.sqrt(products).sum() - DIM)
    assert record["random_basis"] == pytest.approx(np.mean(random))
    assert record["floor"] == grouped_floor(40, alignment.spaces)
    assert np.ptp(record["transfer"][groups[1]]) == 0 < np.ptp(record["transfer"])


def test_ready_moments_are_grouped_like_their_examples(spiked):
    ready = grouped(PatchMoments().update(spiked), group_eigenvalues=True)
    assert ready.spaces.groups == grouped(spiked, group_eigenvalues=True).spaces.groups


def test_few_examples_tell_fewer_eigenvalues_apart(spiked):
    # 20 examples: a standard deviation of each eigenvalue is 32%.
    alignment = grouped(spiked, group_eigenvalues=True, max_examples=20)
    assert len(alignment.spaces.groups) < 2


def test_images_count_once_however_many_patches_they_have():
    # A grey level of each image gives one direction 2.4 times the variance of all others.
    rng = np.random.default_rng(2)
    images = (rng.normal(size=(64, 6, 6, 1)) + 0.4 * rng.normal(size=(64, 1, 1, 1))).astype("f4")
    moments = PatchMoments(3).update(images)
    assert (moments.num_examples, moments.count) == (64, 64 * 16)
    by_images, by_patches = (
        sampled_eigenspaces(moments.covariance(), num).groups for num in (64, 64 * 16)
    )
    assert len(by_images) == 1 < len(by_patches)
    for data in (images, moments):
        alignment = CovarianceAlignment(data, num_random_bases=1, group_eigenvalues=True)
        model_of().fit(dataset(), verbose=0, callbacks=[alignment])
        assert alignment.spaces.groups == by_images


def test_floor_of_groups_lies_above_that_of_single_directions():
    # Unequal sample variances within a group count: about (d - groups) / n more.
    one = Eigenspaces(np.ones(5), np.eye(5), (slice(0, 5),))
    singles = Eigenspaces(np.ones(5), np.eye(5), tuple(slice(i, i + 1) for i in range(5)))
    floor = sampling_floor(500, 5)
    assert grouped_floor(500, singles) == pytest.approx(floor, rel=0.15)
    assert grouped_floor(500, one) == pytest.approx(14 / 500, rel=0.15)
    assert floor < 11 / 500
