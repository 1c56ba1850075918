"""Images a second that our input pipelines give, against a bare read of the same files by TFDS.

Run it as python tests/benchmarks/input_pipeline.py.

Not a test: speed depends on the machine. Two data sets are prepared in a temporary
folder: TFDS's `imagenet2012` from made-up JPEG files of ImageNet's size, and
`natural_patches`, whose images have the size of CIFAR-10's. The pipelines take turns,
several times, and each is compared with the bare read of the same turn, so that a
drift of the machine's speed cancels. Nothing is trained.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[2]))

import made_up_imagenet as made_up
import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from rl_keras.data.examples import load_examples
from rl_keras.data.label_table import label_table
from rl_keras.data.labels import LabelMap
from rl_keras.data.options import pipeline_options
from rl_keras.data.pipeline import streaming_dataset, train_dataset
from rl_keras.data.scaling import fit_scaling
from rl_keras.data.sources import open_source

CLASSES = 1000


def prepare_jpegs(data_dir, num_images):
    """Prepares `imagenet2012` with images of 500x375, each fourth upright."""
    generator = np.random.default_rng(0)
    sides = [(375, 500)] * 3 + [(500, 375)]
    files = [made_up.jpeg(made_up.noise(generator, *sides[n % 4])) for n in range(num_images)]
    synset = made_up.class_names()[0]
    names = [f"{synset}_{number}.JPEG" for number in range(num_images)]
    made_up.write_archives(data_dir, dict(zip(names, files, strict=True)), files[:1])
    kilobytes = np.mean([len(content) for content in files]) / 1000
    print(f"{num_images} JPEG files of {kilobytes:.0f} kB on average")


def bare_read(name, data_dir, epochs):
    """Returns what TFDS decodes, without its cache and the autotuner: heights, in batches."""
    config = tfds.ReadConfig(try_autocache=False)
    builder = tfds.builder(name, data_dir=data_dir)
    dataset = builder.as_dataset(split="train", read_config=config)
    heights = dataset.map(lambda example: tf.shape(example["image"])[0])
    return heights.batch(50).repeat(epochs).with_options(pipeline_options())


def jpeg_pipelines(data_dir, num_images, batch):
    """Returns datasets of `num_images` images by name, the bare read first."""
    source = open_source("imagenet2012", data_dir, image_size=224)
    table = label_table(source, "train", LabelMap("random", 0, CLASSES))
    scaling = fit_scaling("standardize", source.read("train").take(100))
    common = (scaling, batch, num_images // batch, 0)
    return {
        "500x375 JPEG, TFDS alone": bare_read("imagenet2012", data_dir, 1),
        "500x375 JPEG, streamed at 224x224": streaming_dataset(
            source, "train", table.given, *common
        ),
    }


def small_pipelines(data_dir, batch, epochs):
    """As `jpeg_pipelines`, for images of 32x32; these are also held in memory."""
    source = open_source("natural_patches", data_dir)
    table = label_table(source, "train", LabelMap("random", 0, CLASSES))
    examples = load_examples(source, "train")
    num_images = len(examples.images)
    common = (fit_scaling("standardize", examples.images), batch, num_images // batch * epochs, 0)
    return {
        "32x32 PNG, TFDS alone": bare_read("natural_patches", data_dir, epochs),
        "32x32 PNG, streamed": streaming_dataset(source, "train", table.given, *common),
        "32x32 PNG, from memory": train_dataset(examples, table.given, *common),
    }, num_images * epochs


def measure(pipelines, num_images, repeats):
    """Prints images a second, and the ratio to the first pipeline in the same turn."""
    seconds = {name: [] for name in pipelines}
    for repeat in range(repeats + 1):
        for name, dataset in pipelines.items():
            begin = time.perf_counter()
            for _ in dataset:
                pass
            if repeat:  # the first turn brings the files into the system's cache
                seconds[name].append(time.perf_counter() - begin)
    bare = next(iter(seconds.values()))
    for name, times in seconds.items():
        rates = sorted(num_images / time for time in times)
        ratios = sorted(one / other for one, other in zip(bare, times, strict=True))
        print(
            f"{name:34s} {statistics.median(rates):8.0f} images/s ({rates[0]:.0f} to "
            f"{rates[-1]:.0f})   ratio to TFDS alone: median {statistics.median(ratios):.2f}, "
            f"from {ratios[0]:.2f} to {ratios[-1]:.2f}"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=320)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    if arguments.images % arguments.batch:
        raise SystemExit("--images must be a multiple of --batch.")
    with tempfile.TemporaryDirectory() as data_dir:
        prepare_jpegs(data_dir, arguments.images)
        open_source("imagenet2012", data_dir, download=True, image_size=224)
        small, num_small = small_pipelines(data_dir, 250, arguments.epochs)
        large = jpeg_pipelines(data_dir, arguments.images, arguments.batch)
        print(f"\n{arguments.repeats} turns, {os.cpu_count()} cores")
        measure(large, arguments.images, arguments.repeats)
        measure(small, num_small, arguments.repeats)


if __name__ == "__main__":
    main()
