import hashlib
import subprocess
import sys

import numpy as np
import pytest

from rl_keras.data.labels import LabelMap
from rl_keras.errors import UsageError


def make_ids(num):
    return np.array([f"train_{index}" for index in range(num)], dtype=np.bytes_)


def make_true(num, num_classes=10):
    return np.random.default_rng(0).integers(num_classes, size=num)


def slow_hash(identity, seed, family):
    digest = hashlib.blake2b(identity, digest_size=8, key=b"%d" % seed, person=family)
    return int.from_bytes(digest.digest(), "little")


def slow_label(label_map, identity, true):
    """A second implementation, one example at a time, in Python's own integers."""
    drawn = slow_hash(identity, label_map.seed, b"rl_keras label")
    if label_map.kind == "random":
        return drawn * label_map.num_classes >> 64
    coin = slow_hash(identity, label_map.seed, b"rl_keras coin") >> 11
    if coin / 2**53 >= label_map.corruption:
        return true
    if label_map.corruption_kind == "redraw":
        return drawn * label_map.num_classes >> 64
    others = [(true + 1 + step) % label_map.num_classes for step in range(label_map.num_classes)]
    return others[drawn * (label_map.num_classes - 1) >> 64]


@pytest.mark.parametrize(
    ("seed", "num_classes", "expected"),
    [
        (0, 10, [6, 0, 8, 5, 2, 3, 5, 3, 3, 9]),
        (1, 10, [5, 0, 1, 3, 4, 3, 1, 1, 9, 1]),
        (2147483647, 10, [4, 4, 4, 5, 8, 7, 3, 5, 9, 5]),
        (0, 2, [1, 0, 1, 1, 0, 0, 1, 0, 0, 1]),
        (0, 1000, [614, 70, 835, 500, 223, 357, 565, 350, 385, 999]),
    ],
)
def test_pinned_labels(seed, num_classes, expected):
    given = LabelMap("random", seed, num_classes).apply(make_ids(10), None)
    assert given.dtype == np.int64
    assert given.tolist() == expected


def test_pinned_partial_and_permuted_labels():
    ids, true = make_ids(10), np.arange(10)
    pinned = {
        LabelMap("partial", 3, 10, 0.5): [6, 9, 2, 5, 4, 5, 7, 3, 7, 9],
        LabelMap("partial", 3, 10, 0.5, "flip"): [6, 0, 2, 9, 4, 5, 3, 1, 5, 9],
        LabelMap("permuted", 3, 10): [4, 9, 8, 3, 5, 0, 7, 2, 6, 1],
    }
    assert {key: key.apply(ids, true).tolist() for key in pinned} == pinned


@pytest.mark.parametrize(
    "label_map",
    [
        LabelMap("random", 0, 10),
        LabelMap("random", 5, 3),
        LabelMap("random", -7, 2**31 - 1),
        LabelMap("partial", 0, 10, 0.3),
        LabelMap("partial", 1, 10, 0.3, "flip"),
        LabelMap("partial", 1, 10, 1.0, "flip"),
        LabelMap("partial", 1, 10, 0.0),
    ],
)
def test_equals_the_slow_implementation(label_map):
    ids, true = make_ids(500), make_true(500)
    slow = [slow_label(label_map, *pair) for pair in zip(ids.tolist(), true.tolist(), strict=True)]
    assert label_map.apply(ids, true).tolist() == slow


@pytest.mark.parametrize("num_classes", [2, 7, 10])
def test_random_labels_are_uniform(num_classes):
    given = LabelMap("random", 0, num_classes).apply(make_ids(20_000), None)
    expected = 20_000 / num_classes
    statistic = np.sum((np.bincount(given, minlength=num_classes) - expected) ** 2) / expected
    degrees = num_classes - 1
    assert abs(statistic - degrees) < 4 * np.sqrt(2 * degrees)


def test_another_seed_changes_the_expected_share():
    ids = make_ids(20_000)
    first, second = (LabelMap("random", seed, 10).apply(ids, None) for seed in (0, 1))
    assert abs(np.mean(first != second) - 0.9) < 4 * np.sqrt(0.09 / 20_000)


@pytest.mark.parametrize(("kind", "rate"), [("redraw", 0.4 * 0.9), ("flip", 0.4)])
def test_corruption_has_the_expected_rate_and_is_unbiased(kind, rate):
    ids, true = make_ids(20_000), make_true(20_000)
    given = LabelMap("partial", 0, 10, 0.4, kind).apply(ids, true)
    wrong = given != true
    assert abs(wrong.mean() - rate) < 4 * np.sqrt(rate * (1 - rate) / 20_000)
    offsets = np.bincount((given - true)[wrong] % 10, minlength=10)[1:]
    expected = wrong.sum() / 9
    assert abs(np.sum((offsets - expected) ** 2) / expected - 8) < 4 * np.sqrt(16)


def test_extreme_probabilities():
    ids, true = make_ids(1000), make_true(1000)
    assert (LabelMap("partial", 0, 10, 0.0).apply(ids, true) == true).all()
    assert (LabelMap("partial", 0, 10, 1.0, "flip").apply(ids, true) != true).all()
    random = LabelMap("random", 0, 10).apply(ids, None)
    assert (LabelMap("partial", 0, 10, 1.0).apply(ids, true) == random).all()


def test_less_corruption_is_contained_in_more():
    ids, true = make_ids(1000), make_true(1000)
    less, more = (LabelMap("partial", 0, 10, p, "flip").apply(ids, true) for p in (0.2, 0.6))
    changed = less != true
    assert (less[changed] == more[changed]).all()


@pytest.mark.parametrize("kind", ["true", "random", "partial", "permuted"])
def test_order_of_examples_does_not_matter(kind):
    ids, true = make_ids(200), make_true(200)
    label_map = LabelMap(kind, 0, 10, 0.5 if kind == "partial" else 0.0)
    order = np.random.default_rng(1).permutation(200)
    given = label_map.apply(ids, true)
    assert (label_map.apply(ids[order], true[order]) == given[order]).all()
    if kind != "permuted":  # which is defined on whole splits
        assert (label_map.apply(ids[50:60], true[50:60]) == given[50:60]).all()


def test_permuted_keeps_class_counts_and_forgets_the_image():
    ids, true = make_ids(20_000), make_true(20_000, 4)
    given = LabelMap("permuted", 0, 4).apply(ids, true)
    assert (np.bincount(given) == np.bincount(true)).all()
    assert abs(np.mean(given != true) - 0.75) < 0.02
    assert (given != LabelMap("permuted", 1, 4).apply(ids, true)).any()


def test_same_labels_in_another_process():
    code = (
        "import numpy as np; from rl_keras.data.labels import LabelMap; import sys;"
        "ids = np.array([b'a', b'bb', b'ccc']);"
        "print(LabelMap('random', 4, 1000).apply(ids, None).tolist());"
        "print('tensorflow' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    here = LabelMap("random", 4, 1000).apply(np.array([b"a", b"bb", b"ccc"]), None).tolist()
    assert result.stdout.split("\n")[:2] == [str(here), "False"]


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"kind": "noisy"}, "kind must be one of true, random.*Received: 'noisy'"),
        ({"corruption_kind": "swap"}, "corruption_kind must be one of redraw, flip"),
        ({"num_classes": 1}, "at least 2 classes. Received: 1"),
        ({"corruption": 1.5}, "from 0 to 1. Received: 1.5"),
        ({"corruption": float("nan")}, "from 0 to 1. Received: nan"),
    ],
)
def test_bad_settings_are_refused(settings, text):
    with pytest.raises(UsageError, match=text):
        LabelMap(**{"kind": "partial", "seed": 0, "num_classes": 10, **settings})


def test_absent_true_labels_are_refused():
    for kind in ("true", "partial", "permuted"):
        with pytest.raises(UsageError, match=f"'{kind}' needs true labels.*Use labels 'random'"):
            LabelMap(kind, 0, 10).apply(make_ids(3), None)
    with pytest.raises(UsageError, match="from 0 to 9 .* Received: -1 for 'train_1', and 2 such"):
        LabelMap("true", 0, 10).apply(make_ids(3), np.array([3, -1, -1]))


def test_ids_must_be_bytes():
    with pytest.raises(ValueError, match="bytes array"):
        LabelMap("random", 0, 10).apply(np.array(["text"]), None)
