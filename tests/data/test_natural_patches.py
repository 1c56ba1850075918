import hashlib
import pathlib

import numpy as np
import pytest

from rl_keras.data import natural_patches
from rl_keras.data.examples import load_examples
from rl_keras.data.sources import open_source
from rl_keras.errors import UsageError


@pytest.fixture(scope="module")
def patches(patches_dir):
    return open_source("natural_patches", patches_dir)


@pytest.fixture(scope="module")
def splits(patches):
    return {split: load_examples(patches, split) for split in ("train", "test")}


def sha256(rows):
    return hashlib.sha256(b"".join(rows)).hexdigest()


def box_of(identity):
    _, name, corner = identity.decode().split("/")
    top, left = map(int, corner.split("_"))
    return name, top, left


def test_shape_classes_and_balance(patches, splits):
    assert patches.image_shape == (32, 32, 3)
    assert patches.class_names == [
        *("astronaut", "chelsea", "coffee", "hubble_deep_field", "ihc", "retina", "rocket")
    ]
    assert patches.splits == {"train": 3500, "test": 700}
    assert np.bincount(splits["train"].true).tolist() == [500] * 7
    assert np.bincount(splits["test"].true).tolist() == [100] * 7


@pytest.mark.parametrize(
    ("split", "expected"),
    [
        ("train", "ce71b9393439bfe5b9449790b742c1df701ec16782b69ddde88dd37d8a384865"),
        ("test", "f4782018218cf9b7bfda8a926b5153e1adf7155e1db739899671a05d4fd0625b"),
    ],
)
def test_pinned_ids(splits, split, expected):
    ids = splits[split].ids
    assert len(np.unique(ids)) == len(ids)
    assert sha256(np.sort(ids).tolist()) == expected


@pytest.mark.parametrize(
    ("split", "expected"),
    [
        ("train", "5114bc7bd4e2b5501bdc151994af730c58c3aa0dfd8940a0f91b595c265a3a28"),
        ("test", "99945f8f5e33117db85cb3e653af49aa528c24d8c0e74b6f211b4789dac7da5c"),
    ],
)
def test_pinned_pixels_of_the_lossless_photographs(splits, split, expected):
    # JPEG decoders may differ in the last bit, so only PNG files are pinned.
    png = {pathlib.Path(name).stem for name in natural_patches.PHOTOGRAPHS if name.endswith("png")}
    examples = splits[split]
    rows = [
        examples.ids[index] + examples.images[index].tobytes()
        for index in np.argsort(examples.ids)
        if box_of(examples.ids[index])[0] in png
    ]
    assert len(rows) == 4 * natural_patches.NUM_CROPS[split]
    assert sha256(rows) == expected


def test_pixels_are_those_of_the_photograph(splits):
    photographs = {
        pathlib.Path(name).stem: natural_patches.read_photograph(name)
        for name in natural_patches.PHOTOGRAPHS
    }
    for examples in splits.values():
        for index in range(0, len(examples.ids), 50):
            name, top, left = box_of(examples.ids[index])
            crop = photographs[name][top : top + 32, left : left + 32]
            assert (examples.images[index] == crop).all()


def test_no_pixel_is_in_both_splits(splits):
    covered = {}
    for split, examples in splits.items():
        for name, top, left in map(box_of, examples.ids.tolist()):
            mask = covered.setdefault((name, split), np.zeros((1500, 1500), bool))
            mask[top : top + 32, left : left + 32] = True
    for name in {name for name, _ in covered}:
        assert not (covered[name, "train"] & covered[name, "test"]).any()


def test_every_crop_shows_something(splits):
    for examples in splits.values():
        contrast = examples.images.std(axis=(1, 2)).mean(axis=1)
        assert contrast.min() >= natural_patches.MIN_CONTRAST


def test_too_few_crops_are_reported():
    flat = np.zeros((512, 512, 3), np.uint8)
    with pytest.raises(RuntimeError, match="'wall' has 0 crops.*'train'; 500 are needed"):
        natural_patches.choose_crops(flat, "wall", "train")


def test_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "natural_patches").write_text("a file where the folder should go")
    with pytest.raises(UsageError, match="cannot be prepared in .*written with --data_dir"):
        open_source("natural_patches", str(tmp_path))
