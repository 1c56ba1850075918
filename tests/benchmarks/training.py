"""Training throughput: our loop, bare or measured, against a bare `model.fit`, and PyTorch.

The ceiling is `fit` on resident arrays. All variants of a network train the same model and take
turns. A stopwatch starts after two steps, when everything is traced and the first measurement
is done, and stops after twenty more (of the MLP 100) and the measurements in them.

"Measured" is alignment with its null band, and activations, every 20 steps. They read as many
images as a batch has, as they do with the settings of the papers (256 and 256), so that they take
the same share of the time for any batch. "Everything" adds accuracy and the ledger on these
images, and feature alignment on 16. The callbacks of "measured" are also timed by themselves,
since the speeds of two trainings differ by some per cent anyway.

Run it as python -m tests.benchmarks.training. Not a test: speed depends on the machine.
"""

import itertools
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout

import keras
import numpy as np

from rl_keras.callbacks import (
    ActivationTracker,
    CovarianceAlignment,
    FeatureAlignmentTracker,
    MemorisationTracker,
    ProbeAccuracy,
    every,
)
from rl_keras.callbacks.inputs import SharedInputs
from rl_keras.callbacks.layers import alignable_layers
from rl_keras.data.examples import Examples
from rl_keras.data.pipeline import train_dataset
from rl_keras.data.scaling import fit_scaling
from rl_keras.experiments.progress import Progress, RunProgress
from rl_keras.models import mlp, simple_cnn, small_inception, vgg16, wide_resnet
from tests.benchmarks import pytorch
from tests.benchmarks.results import Result, Seconds, command, compared, take_turns

BEFORE, STEPS, FEW = 2, 20, 16
BARE, OURS = "bare fit", "our loop"
MEASURED, EVERYTHING = "measured every 20", "everything every 20"
NETWORKS: dict[str, tuple[Callable, tuple[int, ...], int]] = {  # builder, shape of inputs, batch
    "small CNN": (lambda: simple_cnn(init_scale=0.372), (32, 32, 3), 256),
    "MLP 30-2048-256-10": (lambda: mlp(input_shape=(30,), widths=(2048, 256)), (30,), 128),
    "VGG16": (vgg16, (32, 32, 3), 16),
    "WRN-28-4": (wide_resnet, (32, 32, 3), 8),
    "small Inception": (lambda: small_inception(input_shape=(28, 28, 3)), (28, 28, 3), 32),
}


def measure(repeats: int) -> Iterator[Result]:
    peak = matmul_peak()
    yield Result("matrix product 2048, float32", peak / 1e9, "GFLOP/s")
    for name, (build, shape, batch) in NETWORKS.items():
        title = f"{name} ({batch}): "
        steps = STEPS if len(shape) == 3 else 5 * STEPS
        model = compiled(build())
        rivals = pytorch.make_variants(name, shape, batch, BEFORE, steps)
        variants, shares = make_variants(model, shape, batch, steps)
        seconds = take_turns({**variants, **rivals}, repeats, warm_up=0)
        keras_seconds = {key: own for key, own in seconds.items() if key not in rivals}
        targets = {OURS: ">= 0.97", MEASURED: ">= 0.95"}
        amount = steps * batch
        yield from compared(keras_seconds, BARE, amount, "examples/s", targets, title)
        for key in rivals:
            pair = {OURS: seconds[OURS], key: seconds[key]}
            *_, rival = compared(pair, OURS, amount, "examples/s", {key: "<= 1"}, title)
            yield rival
        cost = 100 * statistics.median(shares)
        yield Result(f"{title}time in these callbacks", cost, "% of the rest", target="<= 5")
        share = amount * training_flops(model) / min(seconds[OURS]) / peak
        yield Result(f"{title}share of that peak", share, "")
        keras.backend.clear_session()


class Stopwatch(keras.callbacks.Callback):
    """Times the steps after the first few, and what other callbacks do in them.

    Goes last in a list of callbacks, and `first` goes first.
    """

    def __init__(self, steps: int):
        super().__init__()
        self.steps = steps
        self.first = keras.callbacks.LambdaCallback(on_train_batch_end=self._step_done)
        self.in_callbacks = 0.0

    def _step_done(self, batch, logs=None):
        self._done = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        now = time.perf_counter()
        if batch + 1 == BEFORE:
            self._begin = now
        elif batch + 1 > BEFORE:
            self.in_callbacks += now - self._done
        if batch + 1 == BEFORE + self.steps:
            self.seconds = Seconds(now - self._begin)


def compiled(model):
    model.compile(
        keras.optimizers.SGD(0.01, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


def make_variants(
    model, shape, batch, steps
) -> tuple[dict[str, Callable[[], Seconds]], list[float]]:
    """Returns functions that train the model and return the seconds of so many steps, by name.

    And a list, to which `MEASURED` adds what its callbacks took, as a share of the rest.
    """
    num = batch * (BEFORE + steps)
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (num, *shape), dtype=np.uint8)
    labels = generator.integers(0, 10, num)
    examples = Examples(images, np.arange(num).astype("S"), labels)
    scaling = fit_scaling("standardize", images)
    scaled = scaling.apply_numpy(images)
    probe, given = scaled[:batch], labels[:batch]
    shared = SharedInputs(probe, [next(iter(alignable_layers(model)))])

    def fit(*data, callbacks=(), **settings):
        watch = Stopwatch(steps)
        model.fit(*data, **settings, verbose=0, callbacks=[watch.first, *callbacks, watch])
        return watch

    def ours(*callbacks):
        dataset = train_dataset(examples, labels, scaling, batch, BEFORE + steps, seed=0)
        progress = Progress(RunProgress(1, 1), "benchmark", batch, steps, BEFORE + steps)
        with redirect_stdout(sys.stderr):
            return fit(dataset, shuffle=False, callbacks=[progress, *callbacks])

    def measured(*more):
        alignment = CovarianceAlignment(shared, schedule=every(20), few_filters=True)
        return ours(alignment, ActivationTracker(probe, schedule=every(20)), *more)

    def measured_with_share():
        watch = measured()
        shares.append(watch.in_callbacks / (watch.seconds - watch.in_callbacks))
        return watch.seconds

    def everything():
        return measured(
            ProbeAccuracy(probe, given, schedule=every(20)),
            MemorisationTracker(probe, given, given, schedule=every(20)),
            FeatureAlignmentTracker(probe[:FEW], schedule=every(20), max_examples=FEW),
        ).seconds

    shares: list[float] = []
    variants = {
        BARE: lambda: fit(scaled, labels, batch_size=batch).seconds,
        OURS: lambda: ours().seconds,
        MEASURED: measured_with_share,
        EVERYTHING: everything,
    }
    return variants, shares


def training_flops(model) -> float:
    """Returns the floating-point operations of a training step for one example.

    Those of the matrix products of convolutions and dense layers, forward and twice backward,
    but no gradient of the images.
    """
    total = 0
    for number, layer in enumerate(alignable_layers(model).values()):
        positions = np.prod(layer.output.shape[1:-1], dtype=float)
        total += 2 * positions * np.prod(layer.kernel.shape) * (2 if number == 0 else 3)
    return float(total)


def matmul_peak(size: int = 2048, seconds: float = 1.0) -> float:
    """Returns operations a second of a large float32 matrix product, the best of many."""
    matrix = keras.random.normal((size, size), seed=0)
    best, end = float("inf"), time.perf_counter() + seconds
    for turn in itertools.count():
        begin = time.perf_counter()
        keras.ops.convert_to_numpy(keras.ops.matmul(matrix, matrix)[0, 0])
        took = time.perf_counter() - begin
        best = min(best, took) if turn else best
        if turn > 2 and time.perf_counter() > end:
            return 2 * size**3 / best
    raise AssertionError


if __name__ == "__main__":
    command(measure, __doc__, repeats=3)
