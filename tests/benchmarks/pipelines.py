"""Images a second that our input pipelines give, against a bare read of the same files by TFDS.

The small images are CIFAR-10's if TFDS_DATA_DIR names a folder in which it is prepared, else those
of `natural_patches`, which have the same size. The large ones are made-up JPEG files of ImageNet's
size, prepared as TFDS's `imagenet2012` in a temporary folder. The pipelines take turns. Nothing is
trained.

Run it as python -m tests.benchmarks.pipelines. Not a test: speed depends on the machine.
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import made_up_imagenet as made_up
import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from rl_keras.data.changed_source import ChangedSource
from rl_keras.data.corruptions import InputCorruption
from rl_keras.data.examples import load_examples
from rl_keras.data.label_table import label_table
from rl_keras.data.labels import LabelMap
from rl_keras.data.options import pipeline_options
from rl_keras.data.pipeline import streaming_dataset, train_dataset
from rl_keras.data.scaling import fit_scaling
from rl_keras.data.sources import open_source
from tests.benchmarks.results import Result, command, compared, take_turns

CLASSES = 1000
JPEGS, JPEG_BATCH = 320, 32
SMALL_SPLIT, SMALL_BATCH, SMALL_EPOCHS = "train[:3500]", 250, 4
BARE = "TFDS alone"


def measure(repeats: int) -> Iterator[Result]:
    with tempfile.TemporaryDirectory() as data_dir:
        prepare_jpegs(data_dir)
        open_source("imagenet2012", data_dir, download=True, image_size=224)
        pipelines = jpeg_pipelines(data_dir)
        seconds = take_turns({n: exhaust(d) for n, d in pipelines.items()}, repeats)
        yield from compared(seconds, BARE, JPEGS, "images/s", prefix="500x375 JPEG: ")
        small = small_images(data_dir)
        pipelines, num = small_pipelines(*small)
        seconds = take_turns({n: exhaust(d) for n, d in pipelines.items()}, repeats)
        yield from compared(seconds, BARE, num, "images/s", prefix=f"{small[0]}: ")
        maps = {name: seconds[f"streamed, {name} labels"] for name in ("true", "random")}
        yield from compared(
            maps, "true", num, "images/s", {"random": ">= 0.95"}, "label map, streamed: "
        )


def exhaust(dataset):
    def read():
        for _ in dataset:
            pass

    return read


def prepare_jpegs(data_dir):
    """Prepares `imagenet2012` with images of 500x375, each fourth upright."""
    generator = np.random.default_rng(0)
    sides = [(375, 500)] * 3 + [(500, 375)]
    files = [made_up.jpeg(made_up.noise(generator, *sides[n % 4])) for n in range(JPEGS)]
    synset = made_up.class_names()[0]
    names = [f"{synset}_{number}.JPEG" for number in range(JPEGS)]
    made_up.write_archives(data_dir, dict(zip(names, files, strict=True)), files[:1])


def small_images(data_dir) -> tuple[str, str]:
    """Returns the name of a data set of 32x32 images and the folder that it is in."""
    folder = os.environ.get("TFDS_DATA_DIR", "")
    if folder and (Path(folder) / "cifar10").is_dir():
        return "cifar10", folder
    return "natural_patches", data_dir


def bare_read(name, data_dir, epochs, spec="train"):
    """Returns what TFDS decodes, without its cache and the autotuner: heights, in batches."""
    config = tfds.ReadConfig(try_autocache=False)
    builder = tfds.builder(name, data_dir=data_dir)
    dataset = builder.as_dataset(split=spec, read_config=config)
    heights = dataset.map(lambda example: tf.shape(example["image"])[0])
    return heights.batch(50).repeat(epochs).with_options(pipeline_options())


def jpeg_pipelines(data_dir):
    """Returns datasets of all the files, by name."""
    source = open_source("imagenet2012", data_dir, image_size=224)
    table = label_table(source, "train", LabelMap("random", 0, CLASSES))
    scaling = fit_scaling("standardize", source.read("train").take(100))
    common = (scaling, JPEG_BATCH, JPEGS // JPEG_BATCH, 0)
    return {
        BARE: bare_read("imagenet2012", data_dir, 1),
        "streamed at 224x224": streaming_dataset(source, "train", table.given, *common),
    }


def small_pipelines(name, data_dir):
    """As `jpeg_pipelines`, for images of 32x32 and several epochs, and their number."""
    source = open_source(name, data_dir)
    tables = {
        "true": label_table(source, SMALL_SPLIT, LabelMap("true", 0, source.num_classes)),
        "random": label_table(source, SMALL_SPLIT, LabelMap("random", 0, CLASSES)),
    }
    examples = load_examples(source, SMALL_SPLIT)
    num = len(examples.images)
    scaling = fit_scaling("standardize", examples.images)
    common = (scaling, SMALL_BATCH, num // SMALL_BATCH * SMALL_EPOCHS, 0)
    streams = {
        f"streamed, {name} labels": streaming_dataset(source, SMALL_SPLIT, table.given, *common)
        for name, table in tables.items()
    }
    for kind in ("shuffled_pixels", "random_pixels", "gaussian"):
        moments = {"mean": np.full(3, 120.0), "std": np.full(3, 60.0)}
        corruption = InputCorruption(kind, 0, **(moments if kind == "gaussian" else {}))
        corrupted = ChangedSource(source, corruption=corruption)
        given = tables["true"].given
        streams[f"streamed, {kind}"] = streaming_dataset(corrupted, SMALL_SPLIT, given, *common)
    return {
        BARE: bare_read(name, data_dir, SMALL_EPOCHS, SMALL_SPLIT),
        **streams,
        "from memory": train_dataset(examples, tables["random"].given, *common),
    }, num * SMALL_EPOCHS


if __name__ == "__main__":
    command(measure, __doc__, repeats=3)
