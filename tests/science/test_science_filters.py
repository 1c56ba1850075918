"""The flattening order, pinned to what a convolution computes."""

import numpy as np
import pytest

from rl_keras.errors import UsageError
from rl_keras.science.filters import kernel_to_rows, rows_to_kernel
from rl_keras.science.patches import PatchMoments

_KERNEL_SHAPE = (2, 3, 4, 5)  # every axis differs, so no exchange of axes goes unnoticed


def _random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def test_order_is_row_column_channel():
    kernel = np.arange(2 * 3 * 2).reshape(2, 3, 2, 1)
    np.testing.assert_array_equal(kernel_to_rows(kernel), [np.arange(12)])


def test_patch_row_times_filter_row_is_the_convolution_by_hand():
    kernel, image = _random(*_KERNEL_SHAPE), _random(6, 8, 4, seed=1)
    row, column = 3, 1
    expected = np.zeros(5)
    for i in range(2):
        for j in range(3):
            for channel in range(4):
                for unit in range(5):
                    pixel = image[row + i, column + j, channel]
                    expected[unit] += pixel * kernel[i, j, channel, unit]
    # The mean over a single patch is that patch.
    patch = PatchMoments((2, 3)).update(image[None, row : row + 2, column : column + 3]).mean
    np.testing.assert_allclose(kernel_to_rows(kernel) @ patch, expected, rtol=1e-12)


@pytest.mark.parametrize("strides", [(1, 1), (2, 3), (3, 1)])
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_moments_of_a_keras_convolution_follow_from_patches_and_rows(strides, padding):
    import keras

    images = _random(3, 7, 10, 4).astype("float32")
    images += np.linspace(0, 2, 10, dtype="float32")[:, None]
    layer = keras.layers.Conv2D(5, (2, 3), strides=strides, padding=padding, use_bias=False)
    outputs = np.asarray(layer(images), dtype=np.float64).reshape(-1, 5)
    rows = kernel_to_rows(layer.kernel.numpy())
    moments = PatchMoments((2, 3), strides, padding).update(images)
    assert moments.count == len(outputs)
    np.testing.assert_allclose(rows @ moments.mean, outputs.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(
        rows @ moments.covariance() @ rows.T, np.cov(outputs.T, bias=True), atol=1e-5
    )


def test_rows_of_a_dense_kernel_are_its_columns():
    kernel, inputs = _random(3, 5), _random(7, 3, seed=1)
    rows = kernel_to_rows(kernel)
    assert rows.shape == (5, 3)
    np.testing.assert_allclose(inputs @ rows.T, inputs @ kernel)


@pytest.mark.parametrize("shape", [_KERNEL_SHAPE, (3, 5)])
def test_rows_to_kernel_is_the_inverse(shape):
    kernel = _random(*shape)
    np.testing.assert_array_equal(rows_to_kernel(kernel_to_rows(kernel), shape), kernel)


def test_rows_are_float64_and_own_their_memory():
    kernel = _random(3, 5).astype("float32")
    rows = kernel_to_rows(kernel)
    rows[:] = 0
    assert rows.dtype == np.float64
    assert kernel.any()


@pytest.mark.parametrize("shape", [(3,), (2, 3, 4), (1, 2, 3, 4, 5)])
def test_other_ranks_are_refused(shape):
    with pytest.raises(UsageError, match=r"must have the shape \(kh, kw, c_in, c_out\)"):
        kernel_to_rows(np.zeros(shape))
    with pytest.raises(UsageError, match=r"must have the shape \(kh, kw, c_in, c_out\)"):
        rows_to_kernel(np.zeros((2, 2)), shape)


def test_rows_that_do_not_fill_the_kernel_are_refused():
    with pytest.raises(UsageError, match=r"needs rows of shape \(5, 24\).*shape=\(24, 5\)"):
        rows_to_kernel(np.zeros((24, 5)), _KERNEL_SHAPE)
