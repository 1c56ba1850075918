import numpy as np
import pytest
import tensorflow as tf

from rl_keras.data.scaling import fit_scaling
from rl_keras.errors import UsageError
from rl_keras.settings.data import SCALINGS


@pytest.fixture(scope="module")
def images():
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (300, 8, 6, 3), dtype=np.uint8)
    images[..., 1] //= 3  # channels and images differ, as in photographs
    images[:100] //= 5
    images[0] = 7
    return images


def as_dataset(images):
    return tf.data.Dataset.from_tensor_slices({"image": images})


def test_standardize_gives_each_channel_mean_0_and_deviation_1(images):
    scaling = fit_scaling("standardize", images)
    assert scaling.mean.dtype == np.float64
    np.testing.assert_allclose(scaling.mean, images.mean(axis=(0, 1, 2)), rtol=1e-14)
    np.testing.assert_allclose(scaling.std, images.std(axis=(0, 1, 2)), rtol=1e-12)
    scaled = scaling.apply_numpy(images).astype(np.float64)
    np.testing.assert_allclose(scaled.mean(axis=(0, 1, 2)), 0, atol=1e-6)
    np.testing.assert_allclose(scaled.std(axis=(0, 1, 2)), 1, rtol=1e-6)


def test_streamed_moments_are_bitwise_equal(images):
    resident, streamed = (fit_scaling("standardize", x) for x in (images, as_dataset(images)))
    assert (resident.mean == streamed.mean).all()
    assert (resident.std == streamed.std).all()


def test_minus_one_one_reaches_both_ends():
    images = np.array([0, 255, 51], np.uint8).reshape(1, 1, 1, 3)
    scaled = fit_scaling("minus_one_one", images).apply_numpy(images)
    np.testing.assert_array_equal(scaled.ravel(), np.float32([-1, 1, -0.6]))


def test_per_image_is_that_of_tensorflow(images):
    scaled = fit_scaling("per_image", images).apply_numpy(images)
    np.testing.assert_allclose(scaled, tf.image.per_image_standardization(images), atol=2e-6)
    assert (scaled[0] == 0).all()  # a flat image


def test_none_keeps_the_values(images):
    scaled = fit_scaling("none", images).apply_numpy(images)
    assert scaled.dtype == np.float32
    assert (scaled == images).all()
    vectors = np.random.default_rng(0).normal(size=(5, 7)).astype(np.float32)
    scaling = fit_scaling("none", vectors)
    assert (scaling.apply_numpy(vectors) == vectors).all()
    assert (scaling(tf.constant(vectors)).numpy() == vectors).all()


@pytest.mark.parametrize("kind", SCALINGS)
def test_eager_dataset_and_numpy_are_bitwise_equal(images, kind):
    scaling = fit_scaling(kind, images)
    expected = scaling.apply_numpy(images)
    assert expected.dtype == np.float32
    np.testing.assert_array_equal(scaling(tf.constant(images)), expected)
    dataset = tf.data.Dataset.from_tensor_slices(images).batch(64).map(scaling)
    assert dataset.element_spec.shape[1:] == images.shape[1:]
    np.testing.assert_array_equal(np.concatenate([*dataset.as_numpy_iterator()]), expected)


def test_per_image_does_not_depend_on_the_batch(images):
    scaling = fit_scaling("per_image", images)
    np.testing.assert_array_equal(
        scaling.apply_numpy(images)[3:5], scaling.apply_numpy(images[3:5])
    )


def test_grey_images(images):
    grey = images[..., :1]
    assert fit_scaling("standardize", grey).mean.shape == (1,)
    assert fit_scaling("standardize", grey).apply_numpy(grey).shape == grey.shape


def test_constant_channel_is_refused(images):
    images = images.copy()
    images[..., 2] = 9
    with pytest.raises(UsageError, match="Channel 2 has the same value.*--scaling=minus_one_one"):
        fit_scaling("standardize", images)


@pytest.mark.parametrize("kind", ["standardize", "minus_one_one", "per_image"])
def test_vectors_are_not_scaled(kind):
    vectors = np.ones((4, 2), np.float32)
    for data in (vectors, as_dataset(vectors)):
        with pytest.raises(UsageError, match=f"use --scaling=none. Received: --scaling={kind}"):
            fit_scaling(kind, data)


def test_unknown_kind_is_refused(images):
    with pytest.raises(UsageError, match="--scaling must be one of standardize.*'zca'"):
        fit_scaling("zca", images)
