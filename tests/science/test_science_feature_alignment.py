import math

import numpy as np
import pytest
from scipy import stats

from rl_keras.errors import UsageError
from rl_keras.science.alignment import random_basis
from rl_keras.science.feature_alignment import (
    GradientMoments,
    feature_alignment,
    gradient_outer_product,
    unit_permutation_test,
)

_KS_LIMIT = 1.95  # of sqrt(n) times the distance; exceeded by chance once in a thousand


class _TinyNetwork:
    """A 2x2 convolution with n filters, tanh, and a dense layer with two outputs."""

    def __init__(self, generator, side=4, channels=2, units=5):
        self.rows = generator.standard_normal((units, 4 * channels))
        self.positions = list(np.ndindex(side - 1, side - 1))
        self.head = generator.standard_normal((len(self.positions) * units, 2))

    def patches(self, image):
        return np.array([image[i : i + 2, j : j + 2].ravel() for i, j in self.positions])

    def outputs(self, patches):
        return np.tanh(patches @ self.rows.T).ravel() @ self.head

    def deltas(self, image):
        """Gradients of both outputs at the pre-activations: (positions, outputs, units)."""
        slopes = 1 - np.tanh(self.patches(image) @ self.rows.T) ** 2
        head = self.head.reshape(*slopes.shape, 2)
        return (slopes[:, :, None] * head).transpose(0, 2, 1)

    def patch_gradients(self, image, step=1e-5):
        """The same at the patches, by finite differences: (positions, outputs, entries)."""
        patches = self.patches(image)
        gradients = np.zeros((len(patches), 2, patches.shape[1]))
        for position, entry in np.ndindex(patches.shape):
            ends = []
            for sign in (1, -1):
                moved = patches.copy()
                moved[position, entry] += sign * step
                ends.append(self.outputs(moved))
            gradients[position, :, entry] = (ends[0] - ends[1]) / (2 * step)
        return gradients


@pytest.fixture(scope="module")
def network():
    return _TinyNetwork(np.random.default_rng(0))


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(1).standard_normal((6, 4, 4, 2))


@pytest.mark.parametrize("centered", [False, True])
def test_outer_product_equals_that_of_patch_gradients_by_finite_differences(
    network, images, centered
):
    gradients = np.concatenate([network.patch_gradients(image) for image in images])
    if centered:
        gradients = gradients - gradients.mean(axis=0)
    slow = sum(np.outer(g, g) for position in gradients for g in position) / len(gradients)
    moments = GradientMoments()
    for image in images:
        moments.update(network.deltas(image))
    assert moments.count == 6 * 9
    moment = moments.moment(centered)
    np.testing.assert_allclose(gradient_outer_product(network.rows, moment), slow, atol=1e-7)
    gram = network.rows.T @ network.rows
    cosine = (gram * slow).sum() / np.linalg.norm(gram) / np.linalg.norm(slow)
    assert feature_alignment(network.rows, moment).observed == pytest.approx(cosine, abs=1e-7)
    traceless = [m - np.trace(m) / 8 * np.eye(8) for m in (gram, slow)]
    cosine = (traceless[0] * traceless[1]).sum()
    cosine /= np.linalg.norm(traceless[0]) * np.linalg.norm(traceless[1])
    alignment = feature_alignment(network.rows, moment, without_isotropic=True)
    assert alignment.observed == pytest.approx(cosine, abs=1e-6)


def test_moments_do_not_depend_on_batches_dtype_or_chunks(network, images, monkeypatch):
    deltas = np.concatenate([network.deltas(image) for image in images])
    whole = GradientMoments().update(deltas)
    monkeypatch.setattr("rl_keras.science.feature_alignment._CHUNK_BYTES", 200)
    parts = GradientMoments().update(deltas[:7]).update(deltas[7:])
    for centered in (False, True):
        np.testing.assert_allclose(parts.moment(centered), whole.moment(centered), atol=1e-12)
    single = GradientMoments().update(deltas.astype(np.float32))
    np.testing.assert_allclose(single.moment(), whole.moment(), atol=1e-6)
    assert parts.count == whole.count == len(deltas)


def test_several_outputs_add_up_and_random_projections_agree_on_average(network, images):
    deltas = np.concatenate([network.deltas(image) for image in images])
    both = GradientMoments().update(deltas)
    alone = [GradientMoments().update(deltas[:, output]) for output in (0, 1)]
    for centered in (False, True):
        total = sum(moments.moment(centered) for moments in alone)
        np.testing.assert_allclose(both.moment(centered), total)
    projections = np.random.default_rng(0).standard_normal((6000, 2))
    projected = GradientMoments()
    for projection in projections:
        projected.update(np.einsum("pon,o->pn", deltas[:9], projection))
    expected = GradientMoments().update(deltas[:9]).moment()
    np.testing.assert_allclose(projected.moment(), expected, atol=0.1 * np.abs(expected).max())


# What is built into the comparison.


def test_an_identity_moment_gives_one_whatever_the_filters():
    generator = np.random.default_rng(0)
    for shape in ((3, 8), (8, 3)):
        rows = generator.standard_normal(shape) * np.arange(1, shape[1] + 1)
        alignment = feature_alignment(rows, 7 * np.eye(shape[0]))
        assert alignment.observed == pytest.approx(1)
        assert alignment.identity == pytest.approx(1)
        assert feature_alignment(rows, np.eye(shape[0]), None, True).identity == pytest.approx(1)


def test_own_gram_is_the_correlation_with_the_square_by_singular_values():
    rows = np.random.default_rng(0).standard_normal((9, 4)) * [1, 2, 3, 9]
    squares = np.linalg.svd(rows, compute_uv=False) ** 2
    expected = (squares**3).sum() / math.sqrt((squares**2).sum() * (squares**4).sum())
    alignment = feature_alignment(rows, np.eye(9))
    assert alignment.own_gram == pytest.approx(expected)
    gram = rows.T @ rows
    correlation = (gram * (gram @ gram)).sum() / np.linalg.norm(gram) / np.linalg.norm(gram @ gram)
    assert alignment.own_gram == pytest.approx(correlation)
    assert feature_alignment(rows, rows @ rows.T).observed == pytest.approx(expected)


def test_alignment_with_one_gradient_direction_has_a_closed_form():
    # Orthonormal filters and delta = a: W' W = I on their span, W' M W = g g' with g = W' a.
    rows = random_basis(6, seed=0)[:4]
    a = np.array([1.0, 2.0, 0.0, -1.0])
    alignment = feature_alignment(rows, np.outer(a, a))
    assert alignment.observed == pytest.approx(1 / math.sqrt(4))


def test_alignment_does_not_depend_on_scales_or_the_basis_of_the_patches():
    generator = np.random.default_rng(0)
    rows, initial, deltas = (generator.standard_normal(s) * 1.0 for s in ((7, 4), (7, 4), (20, 7)))
    moment, rotation = GradientMoments().update(deltas).moment(), random_basis(4, seed=0)
    for subtracted in (None, initial):
        for option in (False, True):
            alignment = feature_alignment(rows, moment, subtracted, option)
            turned = None if subtracted is None else 3 * subtracted @ rotation
            again = feature_alignment(3 * rows @ rotation, 5 * moment, turned, option)
            assert again.observed == pytest.approx(alignment.observed)
            assert again.identity == pytest.approx(alignment.identity)
            assert again.own_gram == pytest.approx(alignment.own_gram)


def test_initial_filters_are_subtracted_in_the_gram_matrix_only():
    generator = np.random.default_rng(0)
    rows, initial = generator.standard_normal((2, 7, 4))
    moment = GradientMoments().update(generator.standard_normal((20, 7))).moment()
    gram = (rows - initial).T @ (rows - initial)
    for values, matrix in (
        ("observed", moment),
        ("identity", np.eye(7)),
        ("own_gram", rows @ rows.T),
    ):
        product = rows.T @ matrix @ rows
        expected = (gram * product).sum() / np.linalg.norm(gram) / np.linalg.norm(product)
        alignment = feature_alignment(rows, moment, initial)
        assert getattr(alignment, values) == pytest.approx(expected)
    assert alignment.identity < 0.95
    assert math.isnan(feature_alignment(rows, moment, rows).observed)


def test_isotropic_filters_score_one_and_nothing_without_that_part():
    rows = np.concatenate([random_basis(3, seed=0), random_basis(3, seed=1)])
    moment = np.eye(6) + 0.1
    assert feature_alignment(rows, moment).observed > 0.9
    assert math.isnan(feature_alignment(rows, moment, without_isotropic=True).observed)


# Chance.


def _material(generator, num=12, dim=4):
    rows = generator.standard_normal((num, dim)) * [1, 1, 2, 4]
    strengths = generator.exponential(size=num)
    deltas = generator.standard_normal((50, num)) * strengths
    return rows, GradientMoments().update(deltas).moment()


def test_p_values_of_gradients_unrelated_to_the_filters_are_uniform():
    generator, p_values = np.random.default_rng(0), []
    for _ in range(200):
        rows, moment = _material(generator)
        p_values.append(unit_permutation_test(rows, moment, 49, generator).p_value)
    assert stats.kstest(p_values, "uniform").statistic < _KS_LIMIT / math.sqrt(200) + 0.02


def test_a_high_correlation_is_built_in():
    generator = np.random.default_rng(0)
    rows, moment = _material(generator, num=400)
    test = unit_permutation_test(rows, moment, 49, generator)
    assert test.draws.min() > 0.9
    assert test.observed > 0.9


def test_filters_that_grew_along_their_gradients_are_found():
    # A step of gradient descent adds delta x' to the filters, for one direction of delta.
    generator = np.random.default_rng(0)
    rows, direction = generator.standard_normal((60, 6)), generator.standard_normal(60)
    moment = 3 * np.outer(direction, direction) + np.eye(60)
    grown = rows + np.outer(direction, generator.standard_normal(6))
    for initial, option in ((None, False), (None, True), (rows, False)):
        test = unit_permutation_test(grown, moment, 99, generator, initial, option)
        assert test.p_value == 0.01
        assert test.observed > 0.9
    assert unit_permutation_test(rows, moment, 99, generator).p_value > 0.05


def test_permutations_equal_those_of_the_moment():
    generator = np.random.default_rng(0)
    rows, moment = _material(generator, num=3)
    initial = generator.standard_normal(rows.shape)
    orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]]
    slow = [feature_alignment(rows, moment[np.ix_(o, o)], initial).observed for o in orders]
    test = unit_permutation_test(rows, moment, 300, generator, initial)
    scores = np.unique(test.draws.round(9))
    np.testing.assert_allclose(scores, np.unique(np.round(slow, 9)))
    assert test.observed == pytest.approx(slow[0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: GradientMoments().moment(), "call `update`. Received: 0 batches"),
        (lambda: GradientMoments().update([1.0]), r"\(num_positions, n\).*Received: shape=\(1,\)"),
        (lambda: GradientMoments().update([[np.nan]]), "must be finite; has training diverged"),
        (
            lambda: GradientMoments().update(np.ones((5, 3))).update(np.ones((5, 2, 3))),
            r"of one layer with \(num_outputs, n\) = \(1, 3\). Received: shape=\(5, 2, 3\)",
        ),
        (lambda: gradient_outer_product(np.ones((2, 3)), np.eye(3)), "filters, 2. Received: 3"),
        (lambda: gradient_outer_product(np.ones(3), np.eye(3)), r"finite matrix.*shape=\(3,\)"),
        (lambda: gradient_outer_product(np.eye(2), [[1, 2], [3, 4]]), "moment must be symmetric"),
        (
            lambda: feature_alignment(np.eye(2), np.eye(2), np.ones((3, 2))),
            r"trained and initial ones of one shape.*Received: shape=\(3, 2\)",
        ),
        (
            lambda: unit_permutation_test(np.eye(2), np.eye(2), 0, np.random.default_rng(0)),
            "Received: draws=0",
        ),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(UsageError, match=message):
        call()


def test_a_refused_update_changes_nothing():
    moments = GradientMoments().update([[1.0, 2.0]])
    before = moments.moment()
    with pytest.raises(UsageError, match="must be finite"):
        moments.update([[1.0, np.inf]])
    np.testing.assert_array_equal(moments.moment(), before)
    assert moments.count == 1
