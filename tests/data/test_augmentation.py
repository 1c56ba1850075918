"""Random crops, mirrors and turns: what is done to an image, and what it may depend on."""

import math

import numpy as np
import pytest
import tensorflow as tf

from rl_keras.data.augmentation import MAX_ANGLE, Augmentation, _transforms
from rl_keras.data.examples import load_examples
from rl_keras.data.pipeline import streaming_dataset, train_dataset
from rl_keras.data.scaling import fit_scaling
from rl_keras.errors import UsageError
from rl_keras.settings.experiment import from_values

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (50, 8, 9, 3), dtype=np.uint8)
SIZE, SPEC, NUM = 5, "train[:103]", 103


def changed(augmentation, images=IMAGES, epoch=0):
    return augmentation(tf.constant(images), augmentation.changes(images.shape, epoch)).numpy()


def turned_slowly(image, top, left, sign, angle, size):
    """Bilinear interpolation, pixel by pixel, of a square turned about its centre."""
    height, width, _ = image.shape
    middle, cut = (size - 1) / 2, np.empty((size, size, image.shape[2]))
    for row in range(size):
        for column in range(size):
            right, down = sign * (column - middle), row - middle
            x = left + middle + right * math.cos(angle) - down * math.sin(angle)
            y = top + middle + right * math.sin(angle) + down * math.cos(angle)
            x, y = min(max(x, 0), width - 1), min(max(y, 0), height - 1)
            x0, y0 = min(int(x), width - 2), min(int(y), height - 2)
            u, v = x - x0, y - y0
            corner = image[y0 : y0 + 2, x0 : x0 + 2].astype(float)
            rows = corner[:, 0] * (1 - u) + corner[:, 1] * u
            cut[row, column] = rows[0] * (1 - v) + rows[1] * v
    return cut


def test_crops_are_windows_of_the_image_all_alike_likely():
    places = np.arange(72, dtype=np.uint8).reshape(1, 8, 9, 1).repeat(4000, axis=0)
    squares = changed(Augmentation("crop", SIZE, seed=1), places)
    corners, counts = np.unique(squares[:, 0, 0, 0], return_counts=True)
    assert corners.tolist() == [9 * top + left for top in range(4) for left in range(5)]
    assert np.sum((counts - 200) ** 2 / 200) < 43.8  # chi squared, 19 degrees of freedom, 99.9%
    for corner, square in zip(squares[:, 0, 0, 0], squares, strict=True):
        top, left = divmod(int(corner), 9)
        np.testing.assert_array_equal(square, places[0, top : top + SIZE, left : left + SIZE])


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_without_an_angle_a_square_is_cut_out_or_mirrored_exactly(sign):
    how = Augmentation("full", SIZE, seed=0)
    top, left = np.meshgrid(np.arange(4.0), np.arange(5.0), indexing="ij")
    top, left = (np.float32(array.ravel()) for array in (top, left))
    changes = _transforms(top, left, np.full(20, sign, np.float32), np.zeros(20, "float32"), SIZE)
    squares = how(tf.constant(IMAGES[:20]), changes).numpy()
    for image, row, column, square in zip(IMAGES, top, left, squares, strict=False):
        window = image[int(row) : int(row) + SIZE, int(column) : int(column) + SIZE]
        np.testing.assert_array_equal(square, window[:, :: int(sign)])


def test_turned_squares_are_those_of_the_slow_implementation():
    how = Augmentation("full", SIZE, seed=0)
    top, left = np.float32(RNG.integers(0, 4, 50)), np.float32(RNG.integers(0, 5, 50))
    sign = np.float32(RNG.choice([-1, 1], 50))
    angle = np.float32(RNG.uniform(-MAX_ANGLE, MAX_ANGLE, 50))
    squares = how(tf.constant(IMAGES), _transforms(top, left, sign, angle, SIZE)).numpy()
    numbers = zip(IMAGES, top, left, sign, angle, strict=True)
    expected = np.array([turned_slowly(*each, SIZE) for each in numbers])
    # Rounded to whole numbers, and float32 before that.
    assert np.abs(squares - expected).max() < 0.51


def test_half_of_the_squares_are_mirrored_and_angles_fill_25_degrees():
    shape = (4000, 8, 9, 3)
    changes = Augmentation("full", SIZE, seed=3).changes(shape, epoch=0).numpy()
    a, b, _, d, e = changes[:, :5].T  # s cos, -sin, x, s sin, cos
    mirrored = np.sign(a) < 0
    assert abs(mirrored.mean() - 0.5) < 4 * 0.5 / math.sqrt(4000)
    angles = np.degrees(np.arctan2(-b, e))
    assert 24.5 < angles.max() <= 25 and -25 <= angles.min() < -24.5
    assert abs(angles.mean()) < 4 * angles.std() / math.sqrt(4000)
    assert abs(angles.std() - 50 / math.sqrt(12)) < 0.5
    np.testing.assert_allclose(a**2 + b**2, 1, atol=1e-6)
    np.testing.assert_allclose(d, np.where(mirrored, b, -b), atol=1e-6)


@pytest.mark.parametrize("kind", ["crop", "full"])
def test_every_epoch_and_seed_draws_anew_and_again_the_same(kind):
    first = changed(Augmentation(kind, SIZE, seed=0))
    np.testing.assert_array_equal(changed(Augmentation(kind, SIZE, seed=0)), first)
    for other in (
        changed(Augmentation(kind, SIZE, 1)),
        changed(Augmentation(kind, SIZE, 0), epoch=1),
    ):
        assert np.mean((other != first).any(axis=(1, 2, 3))) > 0.8


@pytest.fixture(scope="module")
def examples(tiny):
    return load_examples(tiny, SPEC)


def by_row(examples, tiny, kind, batch_size, num_steps, start_step=0, streamed=False):
    """Batches as pairs of images and rows, the scaled images unscaled."""
    scaling = fit_scaling("none", examples.images)
    common = (np.arange(NUM), scaling, batch_size, num_steps, 7, start_step)
    how = Augmentation(kind, SIZE, seed=2)
    if streamed:
        dataset = streaming_dataset(tiny, SPEC, *common, shuffle_buffer=200, augmentation=how)
    else:
        dataset = train_dataset(examples, *common, augmentation=how)
    return list(dataset.as_numpy_iterator())


@pytest.mark.parametrize("kind", ["crop", "full"])
@pytest.mark.parametrize("streamed", [False, True])
def test_pipelines_give_each_example_its_own_square(examples, tiny, kind, streamed):
    how = Augmentation(kind, SIZE, seed=2)
    expected = [changed(how, examples.images, epoch) for epoch in range(2)]
    for batch_size, steps in ((10, 10), (32, 3)):
        batches = by_row(examples, tiny, kind, batch_size, 2 * steps, streamed=streamed)
        for step, (images, rows) in enumerate(batches):
            np.testing.assert_array_equal(images, expected[step // steps][rows])


@pytest.mark.parametrize("kind", ["crop", "full"])
@pytest.mark.parametrize("streamed", [False, True])
def test_resumed_pipelines_go_on_with_the_same_bytes(examples, tiny, kind, streamed):
    whole = by_row(examples, tiny, kind, 10, 25, streamed=streamed)
    rest = by_row(examples, tiny, kind, 10, 25, start_step=14, streamed=streamed)
    assert len(rest) == 11
    for one, other in zip(whole[14:], rest, strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])


def test_order_is_that_without_augmentation(examples, tiny):
    plain = train_dataset(examples, np.arange(NUM), fit_scaling("none", examples.images), 10, 25, 7)
    augmented = by_row(examples, tiny, "full", 10, 25)
    for one, other in zip(plain.as_numpy_iterator(), augmented, strict=True):
        np.testing.assert_array_equal(one[1], other[1])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"upstream_augmentation": "crop"},
            "--upstream_augmentation=crop needs --crop_size.*Received: --crop_size=0",
        ),
        (
            {"downstream_augmentation": "full", "crop_size": 4, "input_corruption": "gaussian"},
            "--downstream_augmentation=full would act on corrupted images.*=gaussian",
        ),
        ({"upstream_augmentation": "flip"}, "--upstream_augmentation must be one of none, crop"),
    ],
)
def test_contradictions_are_refused_by_the_name_of_the_flag(settings, message):
    with pytest.raises(UsageError, match=message):
        from_values(settings)


def test_wrong_kind_is_refused():
    with pytest.raises(ValueError, match="`kind` must be one of crop, full. Received: 'none'"):
        Augmentation("none", 5, 0)
