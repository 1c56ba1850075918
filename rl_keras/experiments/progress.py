"""Prints how far a run has come: stage k of n, epoch, rate, time left."""

import sys
import time
from dataclasses import dataclass

import keras


@dataclass
class RunProgress:
    """Counts the work of all stages of a run, for the time left.

    Args:
        num_stages: stages to train, finished ones left out.
        work: all that is to be done, in any unit: an example of one stage may cost
            more than one of another.
    """

    num_stages: int
    work: float
    stage: int = 0
    done: float = 0.0
    seconds: float = 0.0


class Progress(keras.callbacks.Callback):
    """Prints one line now and then, or keeps one line up to date on a terminal.

    Args:
        run: shared by the stages of a run, and updated here.
        title: what this stage is.
        batch_size: examples in a step.
        steps_per_epoch: steps in an epoch.
        num_steps: steps of this stage.
        start_step: steps that an earlier process has done.
        cost: of an example, in the unit of the run's work.
    """

    def __init__(
        self,
        run: RunProgress,
        title: str,
        batch_size: int,
        steps_per_epoch: int,
        num_steps: int,
        start_step: int = 0,
        cost: float = 1.0,
    ):
        super().__init__()
        self.run = run
        self.title = title
        self.batch_size = batch_size
        self.steps_per_epoch = steps_per_epoch
        self.num_steps = num_steps
        self.start_step = start_step
        self.cost = cost

    def on_train_begin(self, logs=None):
        self.run.stage += 1
        self._terminal = sys.stdout.isatty()
        self._begin = self._shown = time.monotonic()
        self._steps = self.start_step
        # What an earlier process did must not count for the rate of this one.
        self.run.work -= self.start_step * self.batch_size * self.cost
        self._before = self.run.done, self.run.seconds

    def on_train_batch_end(self, batch, logs=None):
        now = time.monotonic()
        self._steps = min(self.start_step + batch + 1, self.num_steps)
        done = self._steps - self.start_step
        self.run.done = self._before[0] + done * self.batch_size * self.cost
        self.run.seconds = self._before[1] + now - self._begin
        if now - self._shown > (0.5 if self._terminal else 15.0):
            self._shown = now
            self._show("\r" if self._terminal else "", "" if self._terminal else "\n")

    def on_train_end(self, logs=None):
        self._show("\r" if self._terminal else "", "\n")

    def _show(self, before, after):
        elapsed = max(time.monotonic() - self._begin, 1e-9)
        rate = (self._steps - self.start_step) * self.batch_size / elapsed
        epoch = min(self._steps / self.steps_per_epoch, self.num_steps / self.steps_per_epoch)
        stage_left = (self.num_steps - self._steps) * self.batch_size / max(rate, 1e-9)
        run_rate = self.run.done / max(self.run.seconds, 1e-9)
        run_left = (self.run.work - self.run.done) / max(run_rate, 1e-9)
        sys.stdout.write(
            f"{before}[{self.run.stage}/{self.run.num_stages}] {self.title}: "
            f"epoch {epoch:.1f}/{self.num_steps / self.steps_per_epoch:.0f}, "
            f"{rate:,.0f} examples/s, {_clock(stage_left)} left, run {_clock(run_left)} left"
            f"{'  ' if before else ''}{after}"
        )
        sys.stdout.flush()


def _clock(seconds: float) -> str:
    """Formats a duration as minutes and seconds, or hours and minutes.

    Example:
        >>> _clock(75), _clock(7260)
        ('1:15', '2:01 h')
    """
    seconds = max(0, round(seconds))
    if seconds >= 3600:
        return f"{seconds // 3600}:{seconds % 3600 // 60:02d} h"
    return f"{seconds // 60}:{seconds % 60:02d}"
