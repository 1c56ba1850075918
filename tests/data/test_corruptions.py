"""Corrupted inputs against slow second implementations, and what they may depend on."""

import math

import numpy as np
import pytest
import tensorflow as tf

from rl_keras.data.changed_source import corrupt
from rl_keras.data.corruptions import InputCorruption, permutations
from rl_keras.data.hashing import random_words

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (40, 6, 5, 3), dtype=np.uint8)
IDS = np.array([f"train/{number}" for number in range(40)], np.bytes_)
MEAN, STD = np.array([120.0, 20.0, 127.5]), np.array([60.0, 30.0, 0.0])
KINDS = [
    ("shuffled_pixels", "together"),
    ("shuffled_pixels", "apart"),
    ("random_pixels", "together"),
    ("random_pixels", "apart"),
    ("gaussian", "together"),
]


def corruption(kind, channels="together", seed=0):
    return InputCorruption(kind, seed, channels, MEAN, STD)


def words_of(key, count):
    """SplitMix64 in Python's integers, from its published code."""
    words, full = [], 2**64 - 1
    for _ in range(count):
        key = (key + 0x9E3779B97F4A7C15) & full
        word = ((key ^ (key >> 30)) * 0xBF58476D1CE4E5B9) & full
        word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & full
        words.append(word ^ (word >> 31))
    return words


def slowly(how, image, key):
    """One image, value by value."""
    channels = image.shape[-1]
    if how.kind == "gaussian":
        flat = []
        for position, word in enumerate(words_of(key, image.size)):
            share, level = (word >> 32) / 2**32, 0
            while level < 255 and share >= normal_cdf(level + 0.5, position % channels):
                level += 1
            flat.append(level)
        return np.reshape(flat, image.shape)
    units = image.reshape(-1, 1 if how.channels == "apart" else channels).tolist()
    words = [word >> 1 for word in words_of(key, len(units))]
    order = sorted(range(len(units)), key=lambda position: words[position])
    return np.reshape([units[position] for position in order], image.shape)


def normal_cdf(x, channel):
    if not STD[channel]:
        return float(x > MEAN[channel])
    return 0.5 * (1 + math.erf((x - MEAN[channel]) / (STD[channel] * math.sqrt(2))))


@pytest.mark.parametrize(("kind", "channels"), KINDS)
def test_reference_is_the_slow_implementation(kind, channels):
    how = corruption(kind, channels)
    corrupted, keys = how.apply(IMAGES, IDS), how.keys(IDS).tolist()
    for image, key, one in zip(IMAGES, keys, corrupted, strict=True):
        np.testing.assert_array_equal(one, slowly(how, image, key))


@pytest.mark.parametrize(("kind", "channels"), KINDS)
@pytest.mark.parametrize("shape", [(6, 5, 3), (28, 28, 3)])
def test_graph_gives_the_bytes_of_the_reference(kind, channels, shape):
    how = corruption(kind, channels)
    images = RNG.integers(0, 256, (20, *shape), dtype=np.uint8)

    @tf.function
    def in_graph(image, key):
        return corrupt(how, tf.ensure_shape(image, shape), key)

    keys = how.keys(IDS[:20])
    corrupted = [in_graph(image, key) for image, key in zip(images, keys, strict=True)]
    np.testing.assert_array_equal(np.stack(corrupted), how.apply(images, IDS[:20]))


@pytest.mark.parametrize(("kind", "channels"), KINDS)
def test_an_image_depends_on_its_id_and_the_seed_alone(kind, channels):
    how = corruption(kind, channels)
    corrupted, some = how.apply(IMAGES, IDS), RNG.permutation(40)[:7]
    np.testing.assert_array_equal(how.apply(IMAGES[some], IDS[some]), corrupted[some])
    again = corruption(kind, channels).apply(IMAGES, IDS)
    np.testing.assert_array_equal(again, corrupted)
    other = corruption(kind, channels, seed=1).apply(IMAGES, IDS)
    assert all((one != two).any() for one, two in zip(other, corrupted, strict=True))


def test_shuffled_pixels_share_a_permutation_and_random_pixels_do_not():
    places = np.broadcast_to(np.arange(30, dtype=np.uint8).reshape(1, 6, 5, 1), (40, 6, 5, 1))
    orders = {
        kind: {image.tobytes() for image in InputCorruption(kind, 0).apply(places, IDS)}
        for kind in ("shuffled_pixels", "random_pixels")
    }
    assert len(orders["shuffled_pixels"]) == 1 and len(orders["random_pixels"]) == 40
    for order in orders["shuffled_pixels"] | orders["random_pixels"]:
        assert sorted(order) == list(range(30))


@pytest.mark.parametrize("kind", ["shuffled_pixels", "random_pixels"])
def test_colours_of_a_pixel_stay_together_unless_they_are_to_go_apart(kind):
    def pixels(images):
        return [sorted(map(tuple, image.reshape(-1, 3).tolist())) for image in images]

    together, apart = (corruption(kind, how).apply(IMAGES, IDS) for how in ("together", "apart"))
    assert pixels(together) == pixels(IMAGES)
    assert all(one != two for one, two in zip(pixels(apart), pixels(IMAGES), strict=True))
    for image, one in zip(IMAGES, apart, strict=True):
        assert sorted(one.ravel()) == sorted(image.ravel())


def test_permutations_are_uniform():
    # Each of the 24 orders of four pixels: chi squared with 23 degrees of freedom.
    orders = permutations(np.arange(24_000, dtype=np.uint64) * np.uint64(977), 4)
    _, counts = np.unique(orders, axis=0, return_counts=True)
    assert len(counts) == 24
    assert np.sum((counts - 1000) ** 2 / 1000) < 49.7  # 99.9%


def test_gaussian_pixels_have_the_moments_of_the_cut_off_normal():
    ids = np.array([f"{number}" for number in range(400)], np.bytes_)
    drawn = corruption("gaussian").apply(np.zeros((400, 10, 10, 3), np.uint8), ids)
    levels = np.arange(256)
    for channel in range(3):
        ends = [normal_cdf(level + 0.5, channel) for level in range(255)]
        shares = np.diff([0.0, *ends, 1.0])
        values = drawn[..., channel].astype(float)
        mean = shares @ levels
        sd = math.sqrt(shares @ (levels - mean) ** 2)
        assert abs(values.mean() - mean) <= 4 * sd / 200
        assert abs(values.std() - sd) <= 4 * sd / 200
    # Nothing of the image is left, and values do not go together.
    other = corruption("gaussian").apply(np.full((400, 10, 10, 3), 255, np.uint8), ids)
    np.testing.assert_array_equal(other, drawn)
    rows = drawn[..., :2].reshape(400, -1).astype(float)
    shared = np.corrcoef(rows.T)[np.triu_indices(200, 1)]
    assert abs(shared.mean()) < 0.005 and abs(shared).max() < 5.5 / math.sqrt(400)


def test_bytes_are_pinned():
    # A change would give other inputs to runs that go on.
    words = random_words(np.uint64([1]), 2)
    assert words.tolist() == [[10451216379200822465, 13757245211066428519]]
    image = np.arange(12, dtype=np.uint8).reshape(1, 2, 2, 3)
    values = [corruption(*how).apply(image, IDS[:1]).ravel().tolist() for how in KINDS]
    assert values == [
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11],
        [8, 7, 6, 11, 4, 10, 0, 1, 2, 9, 5, 3],
        [0, 1, 2, 6, 7, 8, 9, 10, 11, 3, 4, 5],
        [9, 8, 0, 4, 11, 2, 5, 6, 7, 3, 1, 10],
        [155, 0, 128, 142, 30, 128, 112, 20, 128, 189, 0, 128],
    ]


def test_wrong_kinds_are_refused():
    with pytest.raises(ValueError, match="`kind` must be one of shuffled_pixels.*Received: 'none'"):
        InputCorruption("none", 0)
    with pytest.raises(ValueError, match="needs `mean` and `std`"):
        InputCorruption("gaussian", 0)
