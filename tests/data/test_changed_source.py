"""Cropped and corrupted data sets: the same images however they are read, and nothing else new."""

import numpy as np
import pytest
import tensorflow as tf

from rl_keras.data.changed_source import ChangedSource, change_source
from rl_keras.data.corruptions import InputCorruption
from rl_keras.data.examples import load_examples
from rl_keras.data.label_table import label_table
from rl_keras.data.labels import LabelMap
from rl_keras.data.scaling import fit_scaling
from rl_keras.data.sources import open_source
from rl_keras.errors import UsageError
from rl_keras.settings.data import DataConfig
from rl_keras.settings.experiment import from_values

SPLIT = "train[:90]"
CHANGES = [
    {"crop_size": 5},
    *({"input_corruption": kind} for kind in ("shuffled_pixels", "random_pixels", "gaussian")),
    {"crop_size": 5, "input_corruption": "random_pixels", "input_corruption_channels": "apart"},
    {"crop_size": 5, "input_corruption": "gaussian", "input_corruption_seed": 3},
]


def changed(source, **settings):
    return change_source(source, DataConfig(**settings), SPLIT)


@pytest.fixture(scope="module")
def grey(tiny_dir):
    return open_source("tiny_grey", tiny_dir)


def test_without_settings_the_source_is_untouched(tiny):
    assert changed(tiny) is tiny


def test_crop_is_the_centre(tiny, grey):
    original = load_examples(tiny, "train+test")
    for size, first in ((8, 0), (5, 1), (4, 2), (1, 3)):
        source = changed(tiny, crop_size=size)
        assert source.image_shape == (size, size, 3)
        examples = load_examples(source, "train+test")
        last = first + size
        np.testing.assert_array_equal(examples.images, original.images[:, first:last, first:last])
        np.testing.assert_array_equal(examples.ids, original.ids)
        np.testing.assert_array_equal(examples.true, original.true)
    images = load_examples(grey, "train").images  # 4x6
    examples = load_examples(changed(grey, crop_size=3), "train").images
    np.testing.assert_array_equal(examples, images[:, 0:3, 1:4])


def test_a_crop_larger_than_the_images_is_refused(grey):
    message = "--crop_size must not exceed the images of --dataset=tiny_grey, 4x6. Received: 5"
    with pytest.raises(UsageError, match=message):
        changed(grey, crop_size=5)


@pytest.mark.parametrize("settings", CHANGES, ids=str)
def test_what_is_read_is_the_reference_on_the_centre(tiny, settings):
    source, whole = changed(tiny, **settings), load_examples(tiny, "train+test")
    images = load_examples(changed(tiny, crop_size=settings.get("crop_size", 0)), "train+test")
    expected = images.images
    data = DataConfig(**settings)
    if data.input_corruption != "none":
        pixels = expected[:90].reshape(-1, 3).astype(np.float64)
        how = InputCorruption(
            data.input_corruption,
            data.input_corruption_seed,
            data.input_corruption_channels,
            pixels.mean(axis=0),
            np.sqrt(np.mean((pixels - pixels.mean(axis=0)) ** 2, axis=0)),
        )
        expected = how.apply(expected, whole.ids)
        assert (expected != images.images).any(axis=(1, 2, 3)).all()
    examples = load_examples(source, "train+test")
    np.testing.assert_array_equal(examples.images, expected)
    np.testing.assert_array_equal(examples.ids, whole.ids)
    np.testing.assert_array_equal(examples.true, whole.true)


@pytest.mark.parametrize("settings", CHANGES, ids=str)
def test_an_image_is_the_same_in_every_slice(tiny, settings):
    source = changed(tiny, **settings)
    whole = {split: load_examples(source, split).images for split in ("train", "test")}
    for spec, expected in (
        ("train[30:60]", whole["train"][30:60]),
        ("test[5:]+train[:7]", np.concatenate([whole["test"][5:], whole["train"][:7]])),
    ):
        np.testing.assert_array_equal(load_examples(source, spec).images, expected)
        streamed = [row["image"] for row in source.read(spec).as_numpy_iterator()]
        np.testing.assert_array_equal(np.stack(streamed), expected)


def test_labels_are_those_of_the_data_set(tiny):
    source = changed(tiny, crop_size=5, input_corruption="gaussian")
    for kind in ("true", "random"):
        tables = [label_table(s, SPLIT, LabelMap(kind, 0, 3)) for s in (tiny, source)]
        assert tables[0].sha256 == tables[1].sha256


def test_shapes_are_static(tiny):
    source = changed(tiny, crop_size=5, input_corruption="random_pixels")
    assert source.read("train").element_spec["image"] == tf.TensorSpec((5, 5, 3), tf.uint8)
    assert ChangedSource(tiny, 5).read("train").element_spec["image"].shape == (5, 5, 3)


def test_gaussian_moments_are_those_of_the_upstream_slice(tiny):
    settings = DataConfig(input_corruption="gaussian")
    one, other = (change_source(tiny, settings, spec) for spec in ("train[:20]", "train[20:]"))
    pairs = zip(*(load_examples(source, "test").images for source in (one, other)), strict=True)
    assert any((first != second).any() for first, second in pairs)


def test_per_image_scaling_acts_on_the_crop(tiny):
    source = changed(tiny, crop_size=5)
    images = load_examples(source, "train").images
    scaled = fit_scaling("per_image", images).apply_numpy(images)
    expected = tf.image.per_image_standardization(load_examples(tiny, "train").images[:, 1:6, 1:6])
    np.testing.assert_allclose(scaled, expected, atol=2e-6)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"crop_size": 4, "image_size": 3}, "--crop_size must not exceed --image_size=3. Rec.*4"),
        (
            {"input_corruption_channels": "apart"},
            "--input_corruption_channels=apart has an effect only with .*Received: none",
        ),
        ({"input_corruption_seed": 2}, "--input_corruption_seed has no effect without"),
        ({"input_corruption": "noise"}, "--input_corruption must be one of none, shuffled_pixels"),
        ({"dataset": "gaussian", "crop_size": 2}, "--crop_size has no effect on --dataset=gauss"),
        (
            {"dataset": "gaussian", "input_corruption": "random_pixels"},
            "--input_corruption has no effect on --dataset=gaussian.*Received: random_pixels",
        ),
    ],
)
def test_contradictions_are_refused_by_the_name_of_the_flag(settings, message):
    if settings.get("dataset") == "gaussian":
        settings = {**settings, "scaling": "none", "gaussian_variances": (1.0, 2.0)}
    with pytest.raises(UsageError, match=message):
        from_values(settings)
