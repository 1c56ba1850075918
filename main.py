"""Trains and draws experiments: python main.py --flagfile=flags/quickstart.cfg"""

import dataclasses
import os
import sys
import time
import traceback

# Before TensorFlow is imported: errors only, no start-up notices; and under gs:// it must not
# remember for seconds how long a file is, which another process may have replaced.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("GCS_STAT_CACHE_MAX_AGE", "0")

from rl_keras import cli
from rl_keras.cloud import CloudPath
from rl_keras.errors import Preempted, UsageError
from rl_keras.experiments.quiet import start_tensorflow
from rl_keras.files import folder


def main(arguments: list[str]) -> int:
    """Runs the command line and returns the exit status.

    0: done. 1: the system failed (a full disk). 2: wrong input. 3: training
    failed. 4: a network did not fit, see --require_fit. 75: stopped by SIGTERM,
    to be continued. 130: interrupted.
    """
    try:
        config, given = cli.parse(arguments)
        workdir = config.run.workdir or os.path.join("runs", config.run.experiment)
        place = folder(workdir, "workdir")  # refuses other schemes, before long imports
        run = dataclasses.replace(config.run, workdir=workdir)
        config = dataclasses.replace(config, run=run)
        if config.run.mode != "run" and isinstance(place, CloudPath):
            start_tensorflow()
        if config.run.mode == "report":
            report(workdir)
        elif config.run.experiments:
            return carry_out_program(config, given)
        elif (config.run.mode == "draw" or train(config)) and not config.run.dry_run:
            draw(
                workdir,
                config.run.figures if "figures" in given else None,
                config.run.require_fit if "require_fit" in given else None,
            )
    except (UsageError, Preempted, OSError, KeyboardInterrupt) as error:
        return tell(error)
    return 0


def tell(error: BaseException, name: str = "") -> int:
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
    start_tensorflow()
    import keras

    if keras.backend.backend() != "tensorflow":
        raise UsageError(
            "main.py trains with TensorFlow; unset KERAS_BACKEND, or set it to tensorflow. "
            f"Received: {keras.backend.backend()}"
        )


def train(config) -> bool:
    """Runs an experiment.

    Returns:
        Whether it is for this process to draw: of several workers one does.
    """
    start_backend()
    from rl_keras.experiments.command import run

    return run(config)


def draw(workdir, figures=None, require_fit=None) -> None:
    from rl_keras.figures.drawing import draw_all
    from rl_keras.figures.fit import check_fit
    from rl_keras.storage import RunDirectory

    sys.stdout.write(draw_all(workdir, figures, require_fit))
    check_fit(RunDirectory(workdir), require_fit)


def report(workdir) -> None:
    from rl_keras.report.page import write_report

    sys.stdout.write(write_report(workdir))


def carry_out_program(config, given) -> int:
    """Runs or draws all flagfiles of --experiments, and returns the exit status.

    One that fails does not stop the others; the status is that of the first that failed.
    """
    from rl_keras.program import expand_program

    configs = expand_program(config, given)
    statuses: dict[str, int] = {}
    lines = []

    def around(name, train_it):
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
            statuses[name] = tell(error, name)
        took = f"{(time.monotonic() - begin) / 60:.1f} min"
        lines.append(f"{name}: {'failed' if statuses[name] else 'done'}, {took}")

    if config.run.mode == "draw":
        for name in configs:
            around(name, lambda: None)
    else:
        start_backend()
        from rl_keras.experiments.command import carry_out

        carry_out(configs, around)
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


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
