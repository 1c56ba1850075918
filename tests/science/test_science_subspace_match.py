import itertools
import math

import numpy as np
import pytest
from scipy import stats

from rl_keras.errors import UsageError
from rl_keras.science.alignment import random_basis
from rl_keras.science.similarity import match_test, maximum_match


def _distance(vector, others):
    """Relative distance from a span by least squares."""
    weights = np.linalg.lstsq(others, vector, rcond=None)[0]
    return np.linalg.norm(vector - others @ weights) / np.linalg.norm(vector)


def _is_match(first, second, tolerance):
    return all(
        _distance(vector, others) <= tolerance
        for vectors, others in ((first, second), (second, first))
        for vector in vectors.T
    )


@pytest.mark.parametrize("tolerance", [0.1, 0.3, 0.5, 0.7])
def test_maximum_match_is_the_union_of_all_matches(tolerance):
    generator, sizes = np.random.default_rng(0), set()
    for _ in range(4):
        first, second = generator.standard_normal((2, 7, 4))
        second[:, :2] = first[:, 1:3] @ generator.standard_normal((2, 2))
        second[:, :2] += 0.25 * generator.standard_normal((7, 2))
        union = set(), set()
        subsets = [list(s) for k in (1, 2, 3, 4) for s in itertools.combinations(range(4), k)]
        for left, right in itertools.product(subsets, subsets):
            if _is_match(first[:, left], second[:, right], tolerance):
                union[0].update(left)
                union[1].update(right)
        match = maximum_match(first, second, tolerance)
        assert match.first_units.tolist() == sorted(union[0])
        assert match.second_units.tolist() == sorted(union[1])
        assert match.similarity == (len(union[0]) + len(union[1])) / 8
        sizes.add(match.similarity)
    assert len(sizes) > 1 or tolerance > 0.6 or tolerance < 0.2


def test_units_that_span_the_same_subspace_match_and_others_do_not():
    generator = np.random.default_rng(0)
    common = generator.standard_normal((200, 10))
    first, second = generator.standard_normal((2, 200, 25))
    first[:, 3:15] = common @ generator.standard_normal((10, 12))
    second[:, :11] = common @ generator.standard_normal((10, 11))
    match = maximum_match(first, second, tolerance=0.05)
    assert match.first_units.tolist() == list(range(3, 15))
    assert match.second_units.tolist() == list(range(11))
    assert match.similarity == 23 / 50


def test_match_does_not_depend_on_scales_rotated_examples_or_the_side():
    generator = np.random.default_rng(1)
    first, second = generator.standard_normal((2, 12, 5)) + 1
    match = maximum_match(first, second, 0.7)
    assert 0 < match.similarity < 1
    rotation = random_basis(12, seed=0)
    again = maximum_match(rotation @ first * [1e-3, 1, 5, -1, 1e4], rotation @ second, 0.7)
    assert again.first_units.tolist() == match.first_units.tolist()
    swapped = maximum_match(second, first, 0.7)
    assert swapped.first_units.tolist() == match.second_units.tolist()
    assert swapped.second_units.tolist() == match.first_units.tolist()


def test_a_rotated_layer_matches_fully_and_a_larger_tolerance_never_less():
    generator = np.random.default_rng(0)
    first, second = generator.standard_normal((2, 40, 12))
    assert maximum_match(first, first @ random_basis(12, seed=1), 1e-6).similarity == 1
    second = first + 0.3 * second
    sizes = [maximum_match(first, second, t).similarity for t in np.arange(0.05, 1, 0.05)]
    assert sizes == sorted(sizes)
    assert (sizes[0], sizes[-1]) == (0, 1)


def test_silent_units_match_nothing_but_count():
    layer = np.random.default_rng(0).standard_normal((9, 3))
    silent = np.concatenate([layer, np.zeros((9, 1))], axis=1)
    match = maximum_match(silent, layer, 0.1)
    assert (match.first_units.tolist(), match.similarity) == ([0, 1, 2], 6 / 7)
    nothing = maximum_match(np.zeros((9, 2)), layer, 0.9)
    assert (nothing.first_units.size, nothing.second_units.size, nothing.similarity) == (0, 0, 0)


def test_units_that_are_all_alike_span_no_more_than_one_of_them():
    scales = [1.0, -2.0, 3.0, 0.1, 7.0, 5.0, -0.7, 0.3]
    first, second = np.random.default_rng(0).standard_normal((2, 10, 1)) * scales
    assert maximum_match(first, second, 0.75).similarity == 0
    assert maximum_match(first, first[:, :1], 0.5).similarity == 1


def test_unrelated_layers_jump_to_a_full_match_at_the_stated_tolerance():
    generator = np.random.default_rng(0)
    first, second = generator.standard_normal((2, 200, 60))
    threshold = math.sqrt(1 - 60 / 200)
    assert maximum_match(first, second, threshold - 0.1).similarity == 0
    assert maximum_match(first, second, threshold + 0.1).similarity == 1


# Tests against chance.


@pytest.mark.parametrize("null", ["gaussian", "shuffled"])
def test_a_shared_subspace_is_found_and_chance_is_not(null):
    generator = np.random.default_rng(0)
    first, second = generator.standard_normal((2, 60, 12))
    shared = second.copy()
    shared[:, :6] = first[:, :6] @ generator.standard_normal((6, 6))
    test = match_test(first, shared, 0.3, 49, generator, null)
    assert (test.observed, test.p_value, test.draws.max()) == (0.5, 0.02, 0.0)
    assert match_test(first, second, 0.3, 49, generator, null).p_value == 1.0
    wide = match_test(first, shared, 0.98, 49, generator, null)
    assert wide.observed == 1.0
    assert wide.p_value > 0.5  # chance matches nearly all as well


@pytest.mark.parametrize("null", ["gaussian", "shuffled"])
def test_p_values_of_unrelated_gaussian_layers_are_not_too_small(null):
    generator, p_values = np.random.default_rng(1), []
    for _ in range(120):
        first, second = generator.standard_normal((2, 16, 5))
        p_values.append(match_test(first, second, 0.8, 19, generator, null).p_value)
    assert len(set(p_values)) > 5  # not all ties
    for level in (0.05, 0.1, 0.25, 0.5):
        share = np.mean(np.array(p_values) <= level)
        assert share <= level + 4 * math.sqrt(level * (1 - level) / 120)


def test_a_common_mean_matches_by_itself_as_only_shuffling_tells():
    generator, units = np.random.default_rng(0), 8
    rectified = [np.abs(generator.standard_normal((80, units))) for _ in range(2)]
    assert match_test(*rectified, 0.65, 39, generator).p_value == 1 / 40
    assert match_test(*rectified, 0.65, 39, generator, "shuffled").p_value > 0.05


@pytest.mark.parametrize(("num", "units"), [(16, 5), (6, 4)])
def test_gaussian_null_is_the_law_of_layers_drawn_at_length(num, units):
    generator, layer = np.random.default_rng(0), np.ones((num, units))
    tolerance = 0.8 if num > 2 * units else 0.5
    slow = [
        maximum_match(*generator.standard_normal((2, num, units)), tolerance).similarity
        for _ in range(300)
    ]
    draws = match_test(layer, layer, tolerance, 1000, generator).draws
    assert 0.05 < np.mean(slow) < 0.95
    assert stats.ks_2samp(slow, draws).statistic < 1.95 * math.sqrt(1 / 300 + 1 / 1000)


def test_silent_units_stay_silent_in_the_gaussian_null():
    layer = np.random.default_rng(0).standard_normal((4, 4))
    half = layer * [1, 1, 0, 0]
    draws = match_test(half, half, 0.99999, 9, np.random.default_rng(0)).draws
    assert draws.tolist() == [0.5] * 9


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: maximum_match(x, x[:3], 0.1), "the same examples. Received: 4 and 3"),
        (lambda x: maximum_match(x[0], x[0], 0.1), r"finite matrix.*Received: shape=\(2,\)"),
        (lambda x: maximum_match(x * np.nan, x, 0.1), "finite matrix"),
        (lambda x: maximum_match(x, x, 0.0), "between 0 and 1. Received: tolerance=0.0"),
        (lambda x: maximum_match(x, x, 1.0), "Received: tolerance=1.0"),
        (lambda x: maximum_match(x, x, 0.1, range(4), [0, 2, 1, 3]), "sort both by id.*row 1"),
        (lambda x: match_test(x, x, 0.1, 9, np.random.default_rng(0), "uniform"), "null='uniform'"),
        (lambda x: match_test(x, x, 0.1, 0, np.random.default_rng(0)), "Received: draws=0"),
        (lambda x: match_test(x, x, 0.1, 9, 0), "must be a np.random.Generator"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(UsageError, match=message):
        call(np.ones((4, 2)))
