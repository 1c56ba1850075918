"""How much of a bare `model.fit` on resident arrays is left to our pipeline and callbacks.

Run it as python tests/benchmarks/training_throughput.py, and with --model=vgg16
--images=640 --batch=64 --steps=20 --repeats=3 for the VGG16 of Figure 1 at full width.

Not a test: speed depends on the machine. The variants take turns, several times,
and each is compared with the bare fit of the same turn, so that a drift of the
machine's speed cancels. What is timed is `fit` alone, after a warm-up that
traces everything.
"""

import argparse
import os
import statistics
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
sys.path.insert(0, str(Path(__file__).parents[2]))

import keras
import numpy as np

from rl_keras.callbacks import ActivationTracker, CovarianceAlignment, every
from rl_keras.callbacks.progress import Progress, RunProgress
from rl_keras.data.examples import Examples
from rl_keras.data.pipeline import train_dataset
from rl_keras.data.scaling import fit_scaling
from rl_keras.models import simple_cnn, vgg16
from rl_keras.science.patches import PatchMoments

BUILDERS = {"simple_cnn": simple_cnn, "vgg16": vgg16}


def compiled_model(name):
    model = BUILDERS[name](init_scale=0.372)
    model.compile(
        keras.optimizers.SGD(0.01, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


def make_variants(name, num_images, batch, num_steps):
    """Returns functions that train one model for `num_steps` steps, by name."""
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (num_images, 32, 32, 3), dtype=np.uint8)
    labels = generator.integers(0, 10, num_images)
    examples = Examples(images, np.arange(num_images).astype("S"), labels)
    scaling = fit_scaling("standardize", images)
    scaled = scaling.apply_numpy(images)
    moments = PatchMoments(3).update(scaled[:2000])
    model = compiled_model(name)
    epochs, rest = divmod(num_steps * batch, num_images)

    def bare():
        model.fit(scaled, labels, batch_size=batch, epochs=epochs, verbose=0)

    def ours(*callbacks):
        dataset = train_dataset(examples, labels, scaling, batch, num_steps, seed=0)
        steps_per_epoch = num_images // batch
        progress = Progress(RunProgress(1, 1), "benchmark", batch, steps_per_epoch, num_steps)
        model.fit(dataset, epochs=1, verbose=0, shuffle=False, callbacks=[progress, *callbacks])

    def measured():
        ours(
            CovarianceAlignment(moments, schedule=every(20)),
            ActivationTracker(scaled[:256], schedule=every(20)),
        )

    if rest or num_images % batch:
        raise SystemExit("--steps times --batch must be a multiple of --images, itself of --batch.")
    return {"bare fit": bare, "our loop": ours, "our loop, measured every 20": measured}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=BUILDERS, default="simple_cnn")
    parser.add_argument("--images", type=int, default=2560)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    name, batch, steps = arguments.model, arguments.batch, arguments.steps
    variants = make_variants(name, arguments.images, batch, steps)
    seconds = {variant: [] for variant in variants}
    for repeat in range(arguments.repeats + 1):
        for variant, train in variants.items():
            begin = time.perf_counter()
            train()
            if repeat:  # the first turn traces
                seconds[variant].append(time.perf_counter() - begin)
    bare = seconds["bare fit"]
    print(f"\n{name}, {steps} steps of {batch}, {arguments.repeats} turns")
    for variant, times in seconds.items():
        ratios = sorted(one / other for one, other in zip(bare, times, strict=True))
        rate = steps * batch / statistics.median(times)
        print(
            f"{variant:30s} {rate:8.0f} images/s   ratio to the bare fit: median "
            f"{statistics.median(ratios):.3f}, from {ratios[0]:.3f} to {ratios[-1]:.3f}"
        )


if __name__ == "__main__":
    main()
