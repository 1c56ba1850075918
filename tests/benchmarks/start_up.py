"""Seconds from the command to the first training step, and to a redrawn figure.

Each reading is a fresh process. The parts are: the interpreter with TensorFlow and Keras; our
own imports; reading the data, up to the first model; building and compiling it; the first
step, which traces. A redrawn figure needs no TensorFlow, which is checked.

Run it as python -m tests.benchmarks.start_up. Not a test: speed depends on the machine.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

from tests.benchmarks.results import Result, command

_TRAIN = """
import json, sys, time
begin = float(sys.argv[1])
marks = {}
def mark(name):
    marks.setdefault(name, time.time() - begin)
import main
from rl_keras.experiments.start_up import start_tensorflow
start_tensorflow()
import keras
mark("TensorFlow and Keras")
from rl_keras.experiments import command
from rl_keras.experiments.training import Trainer
mark("our imports")
init, fit = Trainer.__init__, Trainer.fit
def timed_init(self, *arguments, **named):
    mark("data")
    init(self, *arguments, **named)
    mark("build and compile")
class First(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        mark("first step")
def timed_fit(self, dataset, callbacks, *more):
    return fit(self, dataset, [*callbacks, First()], *more)
Trainer.__init__, Trainer.fit = timed_init, timed_fit
status = main.main(sys.argv[3:])
mark("the rest of the run, with its figure")
json.dump(marks, open(sys.argv[2], "w"))
sys.exit(status)
"""
_DRAW = """
import sys
import main
status = main.main(sys.argv[1:])
sys.exit(status or ("tensorflow" in sys.modules))
"""
RUN = (
    "--flagfile=flags/quickstart.cfg --seeds=0 --upstream_epochs=1 --downstream_epochs=1 "
    "--notensorboard --starts=pretrained --probe_every=4 --measure_every=4"
).split()


def measure(repeats: int) -> Iterator[Result]:
    readings: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        os.mkdir(f"{folder}/data")
        for turn in range(repeats + 1):
            flags = [*RUN, f"--workdir={folder}/{turn}", f"--data_dir={folder}/data"]
            times = train(f"{folder}/{turn}.json", flags)
            begin = time.time()
            quietly([sys.executable, "-c", _DRAW, "--mode=draw", f"--workdir={folder}/{turn}"])
            times["redrawing all figures, a fresh process"] = time.time() - begin
            if turn:  # the first prepares the data and fills the system's cache
                for name, seconds in times.items():
                    readings.setdefault(name, []).append(seconds)
    for name, seconds in readings.items():
        target = "<= 3" if name.startswith("redrawing") else ""
        yield Result(name, statistics.median(seconds), "s", target=target)


def train(path, flags) -> dict[str, float]:
    """Returns the seconds of each part."""
    quietly([sys.executable, "-c", _TRAIN, str(time.time()), path, *flags])
    with open(path) as file:
        marks = json.load(file)
    ends = [0.0, *marks.values()]
    return {name: end - ends[number] for number, (name, end) in enumerate(marks.items())}


def quietly(arguments):
    done = subprocess.run(arguments, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"The run failed with {done.returncode}: {done.stderr}")


if __name__ == "__main__":
    command(measure, __doc__, repeats=3)
