"""What all measuring callbacks share: the step counter, the schedule, the writers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import keras
import numpy as np


@dataclass(frozen=True)
class Schedule:
    """Steps at which a measurement is due: every `interval` steps, or a fixed list.

    Every measurement is also taken before the first step and after the last.

    Example:
        >>> every(20).due(previous=16, current=20)
        True
    """

    interval: int | None = None
    steps: tuple[int, ...] = ()

    def due(self, previous: int, current: int) -> bool:
        """Says whether a scheduled step lies in `(previous, current]`.

        Keras calls back once an execution, so with `steps_per_execution=4` the
        counter jumps by four and a test for equality would miss steps.
        """
        if self.interval is not None:
            return current // self.interval > previous // self.interval
        return any(previous < step <= current for step in self.steps)


def every(interval: int) -> Schedule:
    """Returns a schedule that is due every `interval` optimiser steps.

    Raises:
        ValueError: if `interval` is not positive.
    """
    if interval < 1:
        raise ValueError(f"`interval` must be at least 1. Received: interval={interval}")
    return Schedule(interval=int(interval))


def logarithmic(last_step: int, num_points: int, multiple_of: int = 1) -> Schedule:
    """Returns about `num_points` steps from 1 to `last_step`, evenly spaced on a log axis.

    Args:
        last_step: the last scheduled step.
        num_points: number of steps before duplicates are dropped.
        multiple_of: steps are rounded up to multiples of this, such as the
            model's `steps_per_execution`.

    Raises:
        ValueError: if there is no room for the points.

    Example:
        >>> logarithmic(1000, 4).steps
        (1, 10, 100, 1000)
    """
    if last_step < multiple_of or num_points < 2 or multiple_of < 1:
        raise ValueError(
            "`last_step` must be at least `multiple_of`, `num_points` at least 2. Received: "
            f"last_step={last_step}, num_points={num_points}, multiple_of={multiple_of}"
        )
    points = np.geomspace(1, last_step, num_points)
    steps = {min(last_step, int(-(-point // multiple_of) * multiple_of)) for point in points}
    return Schedule(steps=tuple(sorted(steps)))


class Measurement(keras.callbacks.Callback):
    """Calls `measure(step)` before the first step, when due, and after the last.

    Measurements read the model and never write it. State is reset when training
    begins, so that one object can serve several fits.

    Args:
        schedule: when to measure; every 100 steps if not given.
        writers: objects with `scalar(step, name, value)`, such as `TensorBoardWriter`.

    Attributes:
        records: what was measured, a NumPy structured array with a field `step`.
    """

    def __init__(self, schedule: Schedule | None = None, writers: Sequence = ()):
        super().__init__()
        self.schedule = schedule or every(100)
        self.writers = tuple(writers)
        self._rows: list[dict] = []
        self._resumed: list[dict] | None = None

    def resume(self, rows: list[dict]) -> None:
        """Makes the next training go on after these rows, instead of starting new records."""
        self._resumed = list(rows)

    @property
    def rows(self) -> list[dict]:
        """The records so far as dictionaries."""
        return list(self._rows)

    def prepare(self) -> None:
        """Checks the model and sets up the measurement; called when training begins."""

    def measure(self, step: int) -> dict:
        """Returns one record: numbers or arrays of fixed shape by name."""
        raise NotImplementedError

    @property
    def records(self) -> np.ndarray:
        if not self._rows:
            raise ValueError("nothing is recorded yet; pass the callback to `model.fit` first.")
        return structured({n: np.array([row[n] for row in self._rows]) for n in self._rows[0]})

    def write_scalar(self, step: int, name: str, value: float) -> None:
        for writer in self.writers:
            writer.scalar(step, name, float(value))

    def current_step(self) -> int:
        """Returns the number of optimiser steps done; batch counts mislead under executions."""
        return int(self.model.optimizer.iterations.numpy())

    def on_train_begin(self, logs=None):
        rows, self._resumed = self._resumed, None
        self._rows = rows or []
        self.prepare()
        self._previous = self.current_step()
        if rows is None:
            self._record(self._previous)

    def on_train_batch_end(self, batch, logs=None):
        step = self.current_step()
        if self.schedule.due(self._previous, step):
            self._record(step)
        self._previous = step

    def on_train_end(self, logs=None):
        step = self.current_step()
        if self._rows[-1]["step"] != step:
            self._record(step)

    def _record(self, step):
        self._rows.append({"step": step, **self.measure(step)})

    # What follows serves the runs of `rl_keras.experiments`, and nobody else needs to call it.

    array_prefix = ""  # what the names of `arrays` begin with in a run's `arrays/STAGE.npz`

    def arrays(self) -> dict[str, np.ndarray]:
        """Returns what a run stores of this measurement, the fields of `records` by default."""
        return {name: self.records[name] for name in self.records.dtype.names}

    @classmethod
    def of_stage(cls, view: "StageView") -> list["Measurement"]:
        """Returns the measurements of this kind that the settings ask for, often none or one."""
        raise NotImplementedError


def structured(columns: dict[str, np.ndarray]) -> np.ndarray:
    """Joins arrays of the same length into one structured array with these fields."""
    dtype = [(name, array.dtype, array.shape[1:]) for name, array in columns.items()]
    records = np.empty(len(next(iter(columns.values()))), dtype)
    for name, array in columns.items():
        records[name] = array
    return records


class StageView(Protocol):
    """What a measurement may ask of the training stage that it will follow.

    Attributes:
        model: the model that will be trained.
        settings: what is to be measured, with the fields of `settings.measure.MeasureConfig`.
        schedule: when to measure what is slow: alignment, activations, test accuracy.
        probe_schedule: when to measure what is fast, such as train accuracy.
        writers: where scalars go.
        batch_size: of the stage.
        num_outputs: units of the head.
        alignment_layers: paths of the layers whose alignment is measured.
    """

    model: keras.Model
    settings: Any
    schedule: Schedule
    probe_schedule: Schedule
    writers: Sequence
    batch_size: int
    num_outputs: int
    alignment_layers: Sequence[str]

    def seed(self, *names: str) -> int:
        """Returns the seed of one purpose, such as `seed("random_bases", "conv1")`."""
        ...

    def images(self, which: str, limit: int | None = None) -> np.ndarray:
        """Returns the first examples of a slice, scaled as in training.

        Args:
            which: `"train"` of this stage, `"test"`, or `"downstream"`: training examples of
                the downstream stage, or of the upstream one where no other follows.
            limit: how many at most; all by default, for a slice that is held in memory.
        """
        ...

    def labels(self, which: str) -> Any:
        """Returns arrays `ids`, `given` and `true` of all examples of `"train"` or `"test"`."""
        ...

    def probe(self, which: str) -> tuple[np.ndarray, np.ndarray]:
        """Returns the first images and given labels of `"train"` or `"test"`, to follow accuracy.

        There are `settings.probe_examples` of them, if the slice has so many.
        """
        ...

    def moments(self, path: str) -> Any:
        """Returns what `CovarianceAlignment` takes as `data` for a layer."""
        ...
