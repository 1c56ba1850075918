"""What many seeds of one setting cost in one run, against single trainings without start-up.

The setting is that of flags/fig20_right.cfg with fewer epochs. A single training is the
time within `Trainer.fit`, callbacks included, the median of three runs of one seed; a run with
many seeds is timed as a whole, from its flags to its figure.

Run it as python -m tests.benchmarks.many_seeds. Not a test: speed depends on the machine.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path

import main as command_line
from rl_keras.experiments.training import Trainer
from tests.benchmarks.results import Result, command

FLAGFILE = Path(__file__).parents[2] / "flags" / "fig20_right.cfg"
FIT = Trainer.fit
SEEDS = (1, 5, 10, 50)
EPOCHS = 10
_SINGLE = 3  # runs of one seed


def measure(repeats: int) -> Iterator[Result]:
    with tempfile.TemporaryDirectory() as folder:
        singles = [run(f"{folder}/{seed}", [seed])[1][0] for seed in range(_SINGLE)]
        single = statistics.median(singles)
        yield Result("one training, without start-up", single, "s")
        for num in SEEDS:
            wholes = [
                run(f"{folder}/{num}-{turn}", range(num))[0]
                for turn in range(repeats if num < 50 else 1)
            ]
            ratios = sorted(whole / (num * single) for whole in wholes)
            spread = statistics.median(ratios), ratios[0], ratios[-1]
            yield Result(
                f"{num} seeds in one run",
                statistics.median(wholes),
                "s",
                spread,
                f"{num} trainings",
                "<= 1.15" if num == 10 else "",
            )


def run(workdir, seeds):
    """Returns the seconds of the whole run, and of the trainings in it."""
    fits = []

    def timed(self, *arguments):
        begin = time.perf_counter()
        FIT(self, *arguments)
        fits.append(time.perf_counter() - begin)

    Trainer.fit = timed
    flags = [
        f"--flagfile={FLAGFILE}",
        f"--workdir={workdir}",
        f"--seeds={','.join(map(str, seeds))}",
        f"--upstream_epochs={EPOCHS}",
        "--probe_every=60",
        "--measure_every=120",
    ]
    begin = time.perf_counter()
    with redirect_stdout(sys.stderr):
        status = command_line.main(flags)
    Trainer.fit = FIT
    if status:
        raise SystemExit("The run failed.")
    return time.perf_counter() - begin, fits


if __name__ == "__main__":
    command(measure, __doc__, repeats=2)
