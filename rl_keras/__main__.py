"""The command line: trains experiments, draws them, and reports on them.

`python -m rl_keras --flagfile=flags/quickstart.cfg`; `main.py` does the same in a checkout.
TensorFlow is imported where something is trained, and matplotlib where something is drawn.
"""

import dataclasses
import os
import sys
import time
import traceback
from collections.abc import Mapping

# TensorFlow reads these two when it is imported. It is to print errors only, no start-up notices.
# Under gs:// it is not to cache the length of a file, which another process may have replaced.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("GCS_STAT_CACHE_MAX_AGE", "0")
# NumPy reads this one when it is imported. Without it the threads of OpenBLAS keep the cores busy
# for a while after each call, and TensorFlow's threads have to wait. No result depends on it.
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")

from rl_keras.errors import Preempted, UsageError
from rl_keras.settings import command_line
from rl_keras.settings.experiment import ExperimentConfig
from rl_keras.storage.cloud import CloudPath
from rl_keras.storage.files import folder


def main(arguments: list[str]) -> int:
    """Runs the command line and returns the exit status.

    0: done. 1: the system failed (a full disk). 2: wrong input. 3: training
    failed. 4: a network did not fit, see --require_fit. 75: stopped by SIGTERM,
    to be continued. 130: interrupted.
    """
    try:
        config, given = command_line.parse(arguments)
        workdir = config.run.workdir or os.path.join("runs", config.run.experiment)
        path = folder(workdir, "workdir")  # refuses other schemes, before long imports
        run = dataclasses.replace(config.run, workdir=workdir)
        config = dataclasses.replace(config, run=run)
        if run.mode != "run" and isinstance(path, CloudPath):
            from rl_keras.experiments.start_up import start_tensorflow

            start_tensorflow()
        if run.mode == "report":
            report(workdir)
        elif run.experiments:
            return run_flagfiles(config, given)
        elif (run.mode == "draw" or train(config)) and not run.dry_run:
            draw(
                workdir,
                run.figures if "figures" in given else None,
                run.require_fit if "require_fit" in given else None,
            )
    except (UsageError, Preempted, OSError, KeyboardInterrupt) as error:
        return explain(error)
    return 0


def explain(error: BaseException, name: str = "") -> int:
    """Says in one line on stderr what went wrong, and returns the exit status that it means."""
    prefix = f"{name}: " if name else ""
    if isinstance(error, UsageError):
        sys.stderr.write(f"error: {prefix}{error}\n")
        return error.status
    if isinstance(error, Preempted):
        sys.stderr.write("stopped on request; the same command goes on from here.\n")
        return error.status
    if isinstance(error, OSError):
        sys.stderr.write(
            f"error: {prefix}{error.strerror or error}: {error.filename or 'a file'}. What was "
            "finished is kept; put it right and run the same command again.\n"
        )
        return 1
    if isinstance(error, KeyboardInterrupt):
        sys.stderr.write("interrupted; the same command goes on from the last saved state.\n")
        return 130
    traceback.print_exception(error)  # our bug
    return 1


def start_backend() -> None:
    """Starts TensorFlow, which drawing does without.

    Raises:
        UsageError: if Keras runs on something else.
    """
    from rl_keras.experiments.start_up import start_tensorflow

    start_tensorflow()
    import keras

    if keras.backend.backend() != "tensorflow":
        raise UsageError(
            "main.py trains with TensorFlow; unset KERAS_BACKEND, or set it to tensorflow. "
            f"Received: {keras.backend.backend()}"
        )


def train(config: ExperimentConfig) -> bool:
    """Runs an experiment.

    Returns:
        Whether it is for this process to draw: of several workers one does.
    """
    start_backend()
    from rl_keras.experiments.command import run

    return run(config)


def draw(
    workdir: str, figures: tuple[str, ...] | None = None, require_fit: float | None = None
) -> None:
    """Draws the figures of a finished run, prints its tables, and checks what had to be fitted."""
    from rl_keras.figures.plotting.drawing import draw_all
    from rl_keras.results.tables import check_fit
    from rl_keras.storage.run_folder import RunDirectory

    sys.stdout.write(draw_all(workdir, figures, require_fit))
    check_fit(RunDirectory(workdir), require_fit)


def report(workdir: str) -> None:
    """Writes the page about all runs of a folder."""
    from rl_keras.report.page import write_report

    sys.stdout.write(write_report(workdir))


def run_flagfiles(config: ExperimentConfig, given: frozenset[str]) -> int:
    """Runs or draws all flagfiles of --experiments, and returns the exit status.

    One that fails does not stop the others; the status is that of the first that failed.
    """
    from rl_keras.settings.variants import expand_flagfiles

    configs = expand_flagfiles(config, given)
    statuses: dict[str, int] = {}
    lines = []
    for name, train_it in _trainings(config, configs):
        begin = time.monotonic()
        number = f"experiment {len(statuses) + 1} of {len(configs)}"
        sys.stdout.write(f"\n== {number}: {name} ==\n")
        try:
            train_it()
            draw(configs[name].run.workdir)
            statuses[name] = 0
        except (Preempted, KeyboardInterrupt):
            raise
        except Exception as error:
            statuses[name] = explain(error, name)
        took = f"{(time.monotonic() - begin) / 60:.1f} min"
        lines.append(f"{name}: {'failed' if statuses[name] else 'done'}, {took}")
    if config.run.dry_run:
        return 0
    sys.stdout.write("\n== all experiments ==\n" + "\n".join(lines) + "\n")
    status = next(filter(None, statuses.values()), 0)
    try:
        report(config.run.workdir)
    except UsageError:  # there is nothing to report on
        if not status:
            raise
    return status


def _trainings(config: ExperimentConfig, configs: Mapping[str, ExperimentConfig]):
    """Yields the name of each experiment and a function that trains it, or does nothing."""
    if config.run.mode == "draw":
        yield from ((name, lambda: None) for name in configs)
        return
    start_backend()
    from rl_keras.experiments.command import checked_trainings

    yield from checked_trainings(configs)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
