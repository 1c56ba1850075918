"""Streaming patch moments against patches that are really collected."""

import tracemalloc

import numpy as np
import pytest

from rl_keras.errors import UsageError
from rl_keras.science import patches
from rl_keras.science.patches import PatchMoments


def extract_patches(images, kernel_size, strides, padding):
    """Slow reference: one Python loop per image, output row and output column."""
    (kh, kw), (sh, sw) = kernel_size, strides
    images = np.asarray(images, dtype=np.float64)
    if padding == "same":
        margins = []
        for size, kernel, stride in zip(images.shape[1:3], kernel_size, strides, strict=True):
            if size % stride == 0:
                total = max(kernel - stride, 0)
            else:
                total = max(kernel - size % stride, 0)
            margins.append((total // 2, total - total // 2))
        images = np.pad(images, [(0, 0), *margins, (0, 0)])
    rows = []
    for image in images:
        for top in range(0, image.shape[0] - kh + 1, sh):
            for left in range(0, image.shape[1] - kw + 1, sw):
                rows.append(image[top : top + kh, left : left + kw].ravel())
    return np.array(rows)


def _images(*shape, seed=0):
    """Integer images whose mean and spread differ along every axis."""
    generator = np.random.default_rng(seed)
    images = generator.integers(0, 60, shape)
    images += 5 * np.arange(shape[1])[:, None, None] + 3 * np.arange(shape[2])[:, None]
    return (images * (1 + np.arange(shape[3])) % 256).astype(np.uint8)


_LAYERS = [
    # kernel size, strides, image (h, w, c)
    ((3, 3), (1, 1), (8, 9, 3)),
    ((5, 5), (1, 1), (7, 6, 3)),
    ((2, 3), (1, 1), (5, 8, 2)),
    ((3, 2), (2, 3), (9, 11, 2)),
    ((4, 1), (3, 2), (10, 5, 1)),
    ((1, 1), (1, 1), (4, 5, 3)),
    ((1, 1), (2, 3), (7, 8, 2)),
    ((2, 2), (3, 5), (9, 12, 2)),
    ((5, 4), (2, 2), (5, 4, 2)),
    ((3, 3), (1, 1), (6, 70, 1)),
    ((7, 7), (2, 2), (12, 45, 3)),
    ((3, 3), (1, 1), (4, 7, 20)),
]


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize(("kernel_size", "strides", "shape"), _LAYERS)
def test_moments_equal_those_of_collected_patches(kernel_size, strides, shape, padding):
    images = _images(5, *shape)
    rows = extract_patches(images, kernel_size, strides, padding)
    moments = PatchMoments(kernel_size, strides, padding).update(images)
    assert (moments.count, moments.dim, moments.num_examples) == (*rows.shape, 5)
    # Integers: the sums are exact, so only the division rounds, and it is the same division.
    np.testing.assert_array_equal(moments.mean, rows.sum(axis=0) / len(rows))
    np.testing.assert_array_equal(moments.covariance(centered=False), rows.T @ rows / len(rows))
    expected = np.cov(rows.T, bias=True).reshape(moments.dim, moments.dim)
    np.testing.assert_allclose(moments.covariance(), expected, rtol=0, atol=1e-10 * 255**2)


@pytest.mark.parametrize("kernel_size", [(6, 3), (3, 7)])
def test_same_padding_lets_images_be_smaller_than_the_kernel(kernel_size):
    images = _images(2, 4, 5, 2)
    rows = extract_patches(images, kernel_size, (1, 1), "same")
    moments = PatchMoments(kernel_size, 1, "same").update(images)
    np.testing.assert_array_equal(moments.covariance(centered=False), rows.T @ rows / len(rows))


@pytest.mark.parametrize("kernel_size", [3, None])
def test_merge_and_any_chunking_equal_one_pass(kernel_size, monkeypatch):
    images = _images(11, 6, 7, 3)
    whole = PatchMoments(kernel_size).update(images)
    batches = PatchMoments(kernel_size)
    for start in range(0, 11, 4):
        batches.update(images[start : start + 4])
    merged = PatchMoments(kernel_size).merge(PatchMoments(kernel_size).update(images[:3]))
    merged.merge(PatchMoments(kernel_size).update(images[3:])).merge(PatchMoments(kernel_size))
    monkeypatch.setattr(patches, "_CHUNK_BYTES", 2 * 8 * 6 * 7 * 3)
    monkeypatch.setattr(patches, "_MIN_STRIP", 1)
    chunks = PatchMoments(kernel_size).update(images)
    for other in (batches, merged, chunks):
        assert (other.count, other.num_examples) == (whole.count, whole.num_examples)
        np.testing.assert_array_equal(other.mean, whole.mean)
        np.testing.assert_array_equal(other.covariance(), whole.covariance())


def test_merge_leaves_the_other_alone():
    first, second = PatchMoments(2).update(_images(2, 4, 4, 1)), PatchMoments(2)
    second.merge(first).update(_images(3, 4, 4, 1, seed=1))
    assert (first.count, second.count) == (2 * 9, 5 * 9)
    again = PatchMoments(2).update(_images(2, 4, 4, 1))
    np.testing.assert_array_equal(first.covariance(), again.covariance())


def test_image_sizes_may_differ_between_batches():
    small, large = _images(2, 4, 5, 2), _images(3, 7, 6, 2)
    rows = np.concatenate([extract_patches(x, (3, 2), (1, 1), "valid") for x in (small, large)])
    moments = PatchMoments((3, 2)).update(small).update(large)
    np.testing.assert_array_equal(moments.covariance(centered=False), rows.T @ rows / len(rows))


def test_vectors_are_flattened_examples():
    inputs = np.random.default_rng(0).standard_normal((20, 2, 3)) + np.arange(3)
    rows = inputs.reshape(20, 6)
    moments = PatchMoments().update(inputs)
    assert (moments.count, moments.dim) == (20, 6)
    np.testing.assert_allclose(moments.mean, rows.mean(axis=0))
    np.testing.assert_allclose(moments.covariance(), np.cov(rows.T, bias=True), atol=1e-12)


@pytest.mark.parametrize("dtype", ["bool", "int64", "float16", "float32", "float64"])
def test_every_real_dtype_is_summed_in_float64(dtype):
    images = (_images(4, 6, 5, 2) // 2).astype(dtype)
    moments = PatchMoments(3).update(images)
    rows = extract_patches(images, (3, 3), (1, 1), "valid")
    np.testing.assert_array_equal(moments.covariance(centered=False), rows.T @ rows / len(rows))


def test_floating_point_images_agree_with_collected_patches():
    images = np.random.default_rng(0).standard_normal((6, 9, 8, 3)).cumsum(axis=1)
    moments = PatchMoments((4, 3), 1, "same").update(images)
    rows = extract_patches(images, (4, 3), (1, 1), "same")
    np.testing.assert_allclose(moments.covariance(), np.cov(rows.T, bias=True), atol=1e-12)


def test_covariance_is_symmetric_and_positive():
    covariance = PatchMoments(3).update(_images(30, 8, 8, 3) / 255).covariance()
    np.testing.assert_array_equal(covariance, covariance.T)
    assert np.linalg.eigvalsh(covariance).min() > 1e-6


def test_patches_are_not_collected():
    images = np.zeros((2000, 32, 32, 3), np.uint8)
    tracemalloc.start()
    try:
        PatchMoments(3).update(images)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 40 * 2**20  # 2000 images have 371 MiB of patches


def test_integer_and_pair_settings_are_the_same():
    moments = PatchMoments(3, 2, "same").merge(PatchMoments((3, 3), [2, 2], "same"))
    assert (moments.kernel_size, moments.strides, moments.count) == ((3, 3), (2, 2), 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kernel_size": 0}, r"kernel_size must be a positive integer or a pair.*Received: .*=0"),
        ({"kernel_size": (3, 3, 3)}, r"kernel_size must be .* a pair"),
        ({"kernel_size": 3, "strides": 1.5}, r"strides must be .*Received: strides=1.5"),
        ({"kernel_size": 3, "padding": "full"}, r'"valid" or "same"\. Received: padding=\'full\''),
    ],
)
def test_bad_settings_are_refused(arguments, message):
    with pytest.raises(UsageError, match=message):
        PatchMoments(**arguments)


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (np.zeros((2, 4, 2, 3)), r"as large as the kernel \(3, 3\).*Received: images of 4 x 2"),
        (np.zeros((4, 4, 3)), r"shape \(n, h, w, c\).*Received: shape=\(4, 4, 3\)"),
        (np.zeros((0, 4, 4, 3)), r"without empty axes.*Received: shape=\(0, 4, 4, 3\)"),
        (np.zeros((2, 4, 4, 3), complex), r"finite real numbers.*dtype=complex128"),
        (np.full((2, 4, 4, 3), "a"), r"finite real numbers.*dtype=<U1"),
        (np.full((2, 4, 4, 3), np.nan), r"finite real numbers.*NaN"),
        (np.full((2, 4, 4, 3), np.inf, "float32"), r"finite real numbers.*infinity"),
    ],
)
def test_bad_batches_are_refused_and_change_nothing(batch, message):
    moments = PatchMoments(3)
    with pytest.raises(UsageError, match=message):
        moments.update(batch)
    assert moments.count == 0


def test_scalars_are_no_batch_of_vectors():
    with pytest.raises(UsageError, match=r"shape \(n, \.\.\.\).*Received: shape=\(3,\)"):
        PatchMoments().update(np.zeros(3))


def test_another_number_of_channels_is_refused():
    moments = PatchMoments(3).update(_images(1, 4, 4, 2))
    with pytest.raises(UsageError, match="must have 2 channels.*Received: 3 channels"):
        moments.update(_images(1, 4, 4, 3))
    with pytest.raises(UsageError, match="expected dim=18. Received: dim=27"):
        moments.merge(PatchMoments(3).update(_images(1, 4, 4, 3)))


@pytest.mark.parametrize(
    ("other", "name"),
    [
        (PatchMoments((3, 2)), "kernel_size"),
        (PatchMoments(3, 2), "strides"),
        (PatchMoments(3, padding="same"), "padding"),
    ],
)
def test_merging_other_settings_is_refused(other, name):
    with pytest.raises(UsageError, match=f"only for the same layer; expected {name}="):
        PatchMoments(3).merge(other)


@pytest.mark.parametrize("read", ["dim", "mean"])
def test_nothing_can_be_read_before_the_first_batch(read):
    with pytest.raises(UsageError, match="There are no patches yet"):
        getattr(PatchMoments(3), read)
    with pytest.raises(UsageError, match="There are no patches yet"):
        PatchMoments(3).covariance()
