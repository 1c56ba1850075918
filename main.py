"""Trains and draws one experiment: python main.py --flagfile=flags/quickstart.cfg"""

import dataclasses
import os
import sys

# Before TensorFlow is imported: errors only, no start-up notices.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from rl_keras import cli
from rl_keras.errors import UsageError


def main(arguments: list[str]) -> int:
    """Runs the command line and returns the exit status: 0 done, 2 wrong input."""
    try:
        config, given = cli.parse(arguments)
        workdir = config.run.workdir or os.path.join("runs", config.run.experiment)
        run = dataclasses.replace(config.run, workdir=workdir)
        config = dataclasses.replace(config, run=run)
        if config.run.mode == "run":
            train(config)
        if not config.run.dry_run:
            from rl_keras.figures.drawing import draw_all

            figures = config.run.figures if "figures" in given else None
            sys.stdout.write(draw_all(workdir, figures))
    except UsageError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; the same command continues with the next stage.\n")
        return 130
    return 0


def train(config) -> None:
    """Starts TensorFlow, which drawing does without, and runs the experiment."""
    from rl_keras.experiments.quiet import start_tensorflow

    start_tensorflow()
    import keras

    if keras.backend.backend() != "tensorflow":
        raise UsageError(
            "main.py trains with TensorFlow; unset KERAS_BACKEND. The callbacks work with every "
            f"backend. Received: {keras.backend.backend()}"
        )
    from rl_keras.experiments.runner import run

    run(config)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
