"""What all tests share: two CPU devices, exact arithmetic, and prepared data."""

import gc
import os
import pathlib

# Set before NumPy is imported: the workers of pytest share the cores, and on small arrays the
# threads would only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pytest

# As in main.py.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("GCS_STAT_CACHE_MAX_AGE", "0")

import cloud

from rl_keras.experiments.start_up import hidden_notices, start_tensorflow
from rl_keras.storage.cloud import CloudPath

tf = start_tensorflow()

# Two devices, for tests of strategies; only possible before TensorFlow does anything.
with hidden_notices():
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
    )
# The modules of TensorFlow are 300,000 objects that live to the end: the garbage collector need
# not walk through them after each of the many small networks.
gc.collect()
gc.freeze()
gc.set_threshold(50_000, 20, 20)

# On a GPU shorter formats would make numeric comparisons inexact.
tf.config.experimental.enable_tensor_float_32_execution(False)

# Files that take long, the longest first: started last, one would leave the other cores idle.
LONG_FILES = (
    "experiments/test_resume.py",
    "experiments/test_multi_worker.py",
    "storage/test_cloud_paths.py",
    "experiments/test_runner.py",
    "experiments/test_kills.py",
    "data/test_imagenet.py",
    "experiments/",
    "test_extending.py",
    "test_readme.py",
    "models/test_normalization.py",
    "models/test_tpu_rules.py",
    "callbacks/test_measuring.py",
)


def pytest_collection_modifyitems(items):
    """Puts the tests of long files first; the others keep their order."""

    def rank(item):
        path = item.path.as_posix()
        return next((n for n, name in enumerate(LONG_FILES) if f"tests/{name}" in path), 99)

    items.sort(key=rank)


def without_autotuner(iterate=tf.data.Dataset.__iter__):
    """Returns an `__iter__` of datasets that keeps the autotuner of tf.data off.

    The autotuner's thread sleeps for up to a minute, and whoever lets go of the iterator waits
    for it. The pipelines of this project run without it, but those that Keras makes of arrays
    do not: where a test makes `fit` raise, the iterator stays until Python collects garbage,
    and any later test then stands still for half a minute.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return lambda dataset: iterate(dataset.with_options(options))


tf.data.Dataset.__iter__ = without_autotuner()


@pytest.fixture(scope="session")
def patches_dir(tmp_path_factory):
    """A data_dir in which `natural_patches` is prepared."""
    from rl_keras.data.sources import open_source

    data_dir = tmp_path_factory.mktemp("tensorflow_datasets")
    open_source("natural_patches", str(data_dir))
    return str(data_dir)


@pytest.fixture(scope="session")
def imagenet_dir(tmp_path_factory):
    """A data_dir in which TFDS's own `imagenet2012` is prepared, with 60 + 20 made-up images.

    Number 0 is grey throughout; number 1 has a red, a green and a blue third.
    """
    import made_up_imagenet as made_up

    from rl_keras.data.sources import open_source

    generator = np.random.default_rng(0)
    synsets = made_up.class_names()[::16][:60]
    names = [f"{synset}_{number}.JPEG" for number, synset in enumerate(synsets)]
    # Landscape, portrait, square, smaller than any target, long and thin.
    sides = [(37, 50), (50, 37), (48, 48), (9, 12), (20, 90)]
    images = [made_up.noise(generator, *sides[number % 5]) for number in range(80)]
    images[0] = np.full((60, 80, 3), 77, np.uint8)
    images[1] = np.repeat(np.uint8([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]]), 96, 1).repeat(96, 0)
    files = [made_up.jpeg(image) for image in images]
    data_dir = tmp_path_factory.mktemp("imagenet")
    made_up.write_archives(data_dir, dict(zip(names, files[:60], strict=True)), files[60:])
    open_source("imagenet2012", str(data_dir), download=True, image_size=32)
    return str(data_dir)


@pytest.fixture(scope="module")
def bucket():
    """A bucket of a Google Cloud Storage on this machine, empty at the beginning of each file."""
    with cloud.running() as environment, pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        yield CloudPath("gs://bucket")
    # Somebody took gs:// for a local path.
    assert not pathlib.Path("gs:").exists()


@pytest.fixture(scope="session")
def cifar10_dir():
    """A data_dir in which CIFAR-10 lies; tests that ask for it are skipped without one."""
    beside = pathlib.Path(__file__).parents[2] / "shared" / "tensorflow_datasets"
    for folder in (os.environ.get("TFDS_DATA_DIR"), beside):
        if folder and (pathlib.Path(folder) / "cifar10" / "3.0.2").is_dir():
            return str(folder)
    pytest.skip("CIFAR-10 is not prepared; name its folder in TFDS_DATA_DIR")
