import itertools
import math

import numpy as np
import pytest
from scipy import stats

from rl_keras.errors import UsageError
from rl_keras.science.alignment import random_basis
from rl_keras.science.similarity import (
    MinibatchCKA,
    check_same_examples,
    linear_cka,
    match_test,
    maximum_match,
)


def _layers(num, units, others, shared, seed=0):
    """Two layers that share a part of what they respond to."""
    generator = np.random.default_rng(seed)
    common = generator.standard_normal((num, 2))
    first = generator.standard_normal((num, units)) + shared * common @ np.ones((2, units))
    second = generator.standard_normal((num, others)) + shared * common @ np.ones((2, others))
    return first + 5, second - 3


def _slow_hsic(first, second):
    """Song et al.: the U-statistic over all quadruples of different examples."""
    k, m = first @ first.T, second @ second.T
    terms = [
        k[i, j] * (m[i, j] + m[q, r] - 2 * m[i, q])
        for i, j, q, r in itertools.permutations(range(len(k)), 4)
    ]
    return sum(terms) / len(terms)


def _hsic_of_matrices(first, second):
    """Song et al., HSIC_1, as printed."""
    num = len(first)
    k, m = (x @ x.T - np.diag((x**2).sum(axis=1)) for x in (first, second))
    ones = np.ones(num)
    total = np.trace(k @ m) + (ones @ k @ ones) * (ones @ m @ ones) / (num - 1) / (num - 2)
    return (total - 2 / (num - 2) * ones @ k @ m @ ones) / num / (num - 3)


@pytest.mark.parametrize(("units", "others"), [(2, 3), (9, 4), (30, 40)])
def test_unbiased_cka_equals_quadruples_and_the_printed_formula(units, others):
    first, second = _layers(7, units, others, shared=1.0)
    for hsic in (_slow_hsic, _hsic_of_matrices):
        both, one, other = hsic(first, second), hsic(first, first), hsic(second, second)
        expected = both / math.sqrt(one * other)
        assert linear_cka(first, second) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("units", "others"), [(2, 3), (30, 40)])
def test_biased_cka_is_the_correlation_of_centred_gram_matrices(units, others):
    first, second = _layers(7, units, others, shared=1.0)
    center = np.eye(7) - 1 / 7
    k, m = (center @ x @ x.T @ center for x in (first, second))
    expected = (k * m).sum() / np.linalg.norm(k) / np.linalg.norm(m)
    assert linear_cka(first, second, unbiased=False) == pytest.approx(expected)


@pytest.mark.parametrize("unbiased", [True, False])
def test_cka_is_one_for_the_same_layer_rotated_scaled_and_shifted(unbiased):
    first, second = _layers(20, 6, 9, shared=1.0)
    assert linear_cka(first, first, unbiased) == pytest.approx(1)
    turned = -0.01 * first @ random_basis(6, seed=0) + np.arange(6)
    assert linear_cka(first, turned, unbiased) == pytest.approx(1)
    value = linear_cka(first, second, unbiased)
    assert 0 < value < 1
    assert linear_cka(turned, second, unbiased) == pytest.approx(value)
    assert linear_cka(second, first, unbiased) == pytest.approx(value)
    order = np.random.default_rng(0).permutation(20)
    assert linear_cka(first[order], second[order], unbiased) == pytest.approx(value)
    stretched = first * np.arange(1, 7)
    assert linear_cka(first, stretched, unbiased) < 0.999  # not any linear map


def test_shuffled_rows_give_zero_without_bias_and_a_high_value_with_it():
    generator = np.random.default_rng(0)
    first, _ = _layers(50, 200, 1, shared=0.3)
    unbiased, biased = np.array(
        [
            [linear_cka(first, first[order], kind) for kind in (True, False)]
            for order in (generator.permutation(50) for _ in range(200))
        ]
    ).T
    assert abs(unbiased.mean()) < 4 * unbiased.std() / math.sqrt(200)
    assert abs(unbiased).max() < 0.25
    assert (unbiased < 0).any()
    assert biased.min() > 0.3


def test_batches_of_one_part_are_unbiased_over_all_choices_of_it():
    # The mean of a U-statistic over all subsets of a size is that over everything.
    first, second = _layers(7, 3, 5, shared=1.0)
    cka = MinibatchCKA()
    for rows in itertools.combinations(range(7), 5):
        cka.update(first[list(rows)], second[list(rows)])
    assert cka.value == pytest.approx(linear_cka(first, second))


def test_batches_of_two_sizes_add_up_as_printed():
    first, second = _layers(12, 3, 5, shared=1.0)
    cka, sums = MinibatchCKA(), np.zeros(3)
    for rows in (slice(0, 5), slice(5, 12)):
        x, y = first[rows], second[rows]
        cka.update(x, y)
        sums += [_hsic_of_matrices(*pair) for pair in ((x, y), (x, x), (y, y))]
    assert cka.value == pytest.approx(sums[0] / math.sqrt(sums[1] * sums[2]))


def test_many_batches_come_near_the_value_of_all_examples_whatever_their_size():
    first, second = _layers(6000, 8, 5, shared=0.7)
    whole = linear_cka(first, second)
    for size in (6, 60, 6000):
        cka = MinibatchCKA()
        for start in range(0, 6000, size):
            batch = slice(start, start + size)
            ids = np.arange(6000)[batch]
            cka.update(first[batch], second[batch], ids, ids)
        assert cka.value == pytest.approx(whole, abs=0.03)
    means = [
        linear_cka(first[start : start + 6], second[start : start + 6], unbiased=False)
        for start in range(0, 6000, 6)
    ]
    assert np.mean(means) > whole + 0.05  # what averaging a biased one would give


def test_same_ids_pass_and_others_are_refused():
    layer = np.random.default_rng(0).standard_normal((4, 2))
    ids = np.array([b"train_0", b"train_1", b"train_2", b"train_3"])
    assert linear_cka(layer, layer, True, ids, ids.copy()) == pytest.approx(1)
    with pytest.raises(UsageError, match="sort both by id. Received: b'train_1' and b'train_2' in"):
        linear_cka(layer, layer, True, ids, ids[[0, 2, 1, 3]])
    with pytest.raises(UsageError, match=r"Received: 0 and 7 in row 0"):
        MinibatchCKA().update(layer, layer, np.arange(4), np.arange(4) + 7)
    with pytest.raises(UsageError, match=r"or both be left out. Received: shapes \(4,\) and \(\)"):
        linear_cka(layer, layer, first_ids=ids)
    with pytest.raises(UsageError, match=r"each of the 4 examples.*shapes \(3,\) and \(3,\)"):
        check_same_examples(4, ids[:3], ids[:3])


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (np.eye(4), np.eye(5), "the same examples, at least 4. Received: 4 and 5 examples"),
        (np.eye(3), np.eye(3), "at least 4. Received: 3 and 3 examples"),
        (np.ones(4), np.ones(4), r"must be a finite matrix.*Received: shape=\(4,\)"),
        (np.full((4, 1), np.nan), np.ones((4, 1)), "must be a finite matrix"),
        (np.full((4, 1), 0.1), np.arange(4.0)[:, None], "is it dead. Received: HSIC 0.0 of the fi"),
        # Examples that are all equally unlike.
        (np.arange(5.0)[:, None], np.eye(5), "must not all look alike"),
        (np.arange(5.0)[:, None], 3 * random_basis(5, seed=0), "must not all look alike"),
    ],
)
def test_what_cannot_be_compared_is_refused(first, second, message):
    with pytest.raises(UsageError, match=message):
        linear_cka(first, second)


def test_no_batches_have_no_similarity():
    with pytest.raises(UsageError, match="call `update`. Received: 0 batches"):
        _ = MinibatchCKA().value


# The maximum match of subspaces.


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
def test_bad_input_of_the_match_is_refused(call, message):
    with pytest.raises(UsageError, match=message):
        call(np.ones((4, 2)))
