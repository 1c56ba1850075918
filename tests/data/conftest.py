"""Two small data sets as a user would prepare them: no feature `id`, two files, and a grey one."""

import numpy as np
import pytest
import tensorflow_datasets as tfds

from rl_keras.data.sources import open_source


def prepare(data_dir, name, features, examples, **info):
    """Writes examples (split to list) as data set `name`; TFDS's code registry learns nothing."""
    features = tfds.features.FeaturesDict(features)

    def _info(self):
        return tfds.core.DatasetInfo(builder=self, features=features, **info)

    def _split_generators(self, _):
        return {split: enumerate(rows) for split, rows in examples.items()}

    members = {
        "VERSION": tfds.core.Version("1.0.0"),
        "_info": _info,
        "_split_generators": _split_generators,
        "_generate_examples": None,
    }
    cls = type(name, (tfds.core.GeneratorBasedBuilder,), members, skip_registration=True)
    config = tfds.download.DownloadConfig(num_shards=2)
    cls(data_dir=data_dir).download_and_prepare(download_config=config)


def image_rows(num_rows, shape, num_classes, seed):
    generator = np.random.default_rng(seed)
    return [
        {
            "image": generator.integers(0, 256, shape, dtype=np.uint8),
            "label": int(generator.integers(num_classes)),
        }
        for _ in range(num_rows)
    ]


@pytest.fixture(scope="session", name="prepare")
def prepare_fixture():
    """The function `prepare`, for tests that need a data set of their own."""
    return prepare


@pytest.fixture(scope="session")
def tiny_dir(tmp_path_factory):
    """A data_dir with `tiny_colour` (120 + 30 images of 8x8x3) and `tiny_grey` (20 of 4x6x1)."""
    data_dir = str(tmp_path_factory.mktemp("tiny"))
    tfds.disable_progress_bar()
    label = tfds.features.ClassLabel(names=["ant", "bee", "cow"])
    prepare(
        data_dir,
        "TinyColour",
        {"image": tfds.features.Image(shape=(8, 8, 3)), "label": label},
        {"train": image_rows(120, (8, 8, 3), 3, 0), "test": image_rows(30, (8, 8, 3), 3, 1)},
        supervised_keys=("image", "label"),
    )
    prepare(
        data_dir,
        "TinyGrey",
        {"image": tfds.features.Image(shape=(4, 6, 1)), "label": label},
        {"train": image_rows(20, (4, 6, 1), 3, 2)},
        supervised_keys=("image", "label"),
    )
    return data_dir


@pytest.fixture(scope="session")
def tiny(tiny_dir):
    return open_source("tiny_colour", tiny_dir)
