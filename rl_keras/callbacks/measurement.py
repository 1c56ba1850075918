"""What all measuring callbacks share: the step counter, the schedule, the writers."""

import sys
import warnings
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import keras
import numpy as np

from rl_keras.callbacks.batches import as_tensors

# Which callback writes a series, by writer and name.
_OWNERS: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


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


class StepCounter:
    """Counts optimiser steps, also where a model is trained by other means than its optimiser.

    Batches alone mislead, as Keras calls back once an execution; so the steps are those of
    `model.optimizer`. A `train_step` of one's own may leave it idle: then those of another
    optimiser that is an attribute of the model, or the batches.

    Args:
        model: the model in training.

    Attributes:
        counts: what is counted instead, in words; empty if it is `model.optimizer`.
    """

    def __init__(self, model: keras.Model):
        self._model = model
        self._optimizers = {
            name: value for name, value in vars(model).items() if _counts_steps(value)
        }
        optimizer = getattr(model, "optimizer", None)
        if _counts_steps(optimizer):
            self._optimizers = {"optimizer": optimizer, **self._optimizers}
        started = [name for name in self._optimizers if self._iterations(name)]
        self._name = next(iter([*started, *self._optimizers]), None)
        self._begin = self._all()
        self._batches, self._last_batch = 0, -1
        self._checked = False

    @property
    def counts(self) -> str:
        if self._name == "optimizer":
            return ""
        return f"updates of `{self._name}`" if self._name else "batches"

    def step(self) -> int:
        return self._batches if self._name is None else self._iterations(self._name)

    def end_batch(self, batch: int) -> None:
        """Notes that training went on to the end of a batch, the last of its execution."""
        self._batches += batch - self._last_batch if batch > self._last_batch else 1
        self._last_batch = batch
        if not self._checked:
            self._checked = True
            self._find_what_moves()

    def begin_epoch(self) -> None:
        self._last_batch = -1

    def _find_what_moves(self):
        is_own = type(self._model).train_step is not keras.Model.train_step
        if self._name is None or not is_own:
            return
        moved = [name for name, count in self._all().items() if count != self._begin[name]]
        # A scaled loss may overflow at first, and no step be made.
        scales = isinstance(self._optimizers[self._name], keras.optimizers.LossScaleOptimizer)
        if self._name not in moved and not scales:
            self._name = moved[0] if moved else None

    def _all(self):
        return {name: self._iterations(name) for name in self._optimizers}

    def _iterations(self, name):
        return int(self._optimizers[name].iterations.numpy())


def _counts_steps(value):
    return isinstance(value, keras.optimizers.Optimizer)


class Measurement(keras.callbacks.Callback):
    """Calls `measure(step)` before the first step, when due, and after the last.

    Measurements read the model and never write it. State is reset when training
    begins, so that one object can serve several fits. A measurement that fails before the first
    step ends the training; a later one is recorded as NaN, with a warning.

    Args:
        schedule: when to measure, or an integer for every so many steps; every 100 steps if
            not given.
        writers: objects with `scalar(step, name, value)`, such as `TensorBoardWriter`.
        name: put in front of all names of scalars, to tell two of a kind apart.

    Attributes:
        records: what was measured, a NumPy structured array with a field `step`.
    """

    def __init__(
        self, schedule: Schedule | int | None = None, writers: Sequence = (), name: str = ""
    ):
        super().__init__()
        self.schedule = as_schedule(schedule)
        self.writers = tuple(writers)
        self.name = name
        self._rows: list[dict] = []
        self._resumed: list[dict] | None = None
        self._counter: StepCounter | None = None
        self._number = 1  # among callbacks of one kind and name on one writer
        self._told: set[str] = set()

    def resume(self, rows: list[dict]) -> None:
        """Makes the next training go on after these rows, instead of starting new records."""
        self._resumed = list(rows)

    @property
    def rows(self) -> list[dict]:
        """The records so far as dictionaries."""
        return list(self._rows)

    def sample(self):
        """Returns a batch of the model's inputs, or None if the measurement has none."""
        return None

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
            writer.scalar(step, self.tag(writer, name), float(value))

    def tag(self, writer, name: str) -> str:
        """Returns the name of a series on a writer, which no other callback of `fit` has there.

        Of two callbacks of one kind and name the second is numbered, as Keras does with layers.
        """
        try:
            owners = _OWNERS.setdefault(writer, {})
        except TypeError:  # a writer without a hash or a weak reference
            owners = {}
        while True:
            tag = "/".join(filter(None, (self._prefix(), name)))
            owner = owners.get(tag, lambda: None)()
            if owner in (None, self) or not self.params or owner.params is not self.params:
                owners[tag] = weakref.ref(self)
                return tag
            self._number += 1
            self.tell(f"is the second to write {tag!r}, and writes as {self._prefix()!r}.")

    def _prefix(self):
        if self._number == 1:
            return self.name
        return f"{self.name or type(self).__name__}_{self._number}"

    def tell(self, line: str) -> None:
        """Prints a line once, unless `fit` was told to be quiet."""
        if line not in self._told:
            self._told.add(line)
            if (self.params or {}).get("verbose", 1):
                sys.stdout.write(f"{type(self).__name__}: {line}\n")

    def warn(self, line: str) -> None:
        warnings.warn(f"{type(self).__name__}: {line}", stacklevel=2)

    def current_step(self) -> int:
        """Returns the number of optimiser steps done; batch counts mislead under executions."""
        if self._counter is None:
            self._counter = StepCounter(self.model)
        return self._counter.step()

    def on_train_begin(self, logs=None):
        rows, self._resumed = self._resumed, None
        if self._rows and rows is None:
            self.warn(f"starts new records; the {len(self._rows)} of the last training are gone.")
        self._rows = rows or []
        self._build()
        self._counter = StepCounter(self.model)
        self.prepare()
        self._previous = self.current_step()
        if rows is None:
            self._record(self._previous)

    def on_epoch_begin(self, epoch, logs=None):
        self._counter.begin_epoch()

    def on_train_batch_end(self, batch, logs=None):
        self._end_batch(batch)
        step = self.current_step()
        if self.schedule.due(self._previous, step):
            self._record(step)
        self._previous = step

    def on_epoch_end(self, epoch, logs=None):
        # The end is measured here if this is the last epoch: before `on_train_end` others, such as
        # EarlyStopping, may put back earlier weights.
        last = (self.params or {}).get("epochs")
        if self.model.stop_training or (last is not None and epoch + 1 >= last):
            self._record_end()

    def on_train_end(self, logs=None):
        self._record_end()

    def _record_end(self):
        step = self.current_step()
        if self._rows[-1]["step"] != step:
            self._record(step)

    def _end_batch(self, batch):
        before = self._counter.counts
        self._counter.end_batch(batch)
        if self._counter.counts != before:
            self.warn(f"steps are {self._counter.counts}, for `model.optimizer` makes none.")

    def _build(self):
        """Makes the variables of a model that waits for its first batch."""
        if not self.model.built:
            sample = self.sample()
            if sample is not None:
                self.model(as_tensors(sample), training=False)

    def _record(self, step):
        try:
            record = self.measure(step)
        except Exception as error:
            if self.must_succeed or not self._rows:
                raise
            self.warn(f"could not measure step {step}, which is recorded as NaN. {error}")
            last = {name: value for name, value in self._rows[-1].items() if name != "step"}
            record = {name: undefined(value) for name, value in last.items()}
        self._rows.append({"step": step, **record})

    # What follows serves the runs of `rl_keras.experiments`, and nobody else needs to call it.

    must_succeed = False  # whether a failure ends the training: a run would keep NaN for good
    array_prefix = ""  # what the names of `arrays` begin with in a run's `arrays/STAGE.npz`

    def arrays(self) -> dict[str, np.ndarray]:
        """Returns what a run stores of this measurement, the fields of `records` by default."""
        return {name: self.records[name] for name in self.records.dtype.names or ()}

    @classmethod
    def of_stage(cls, view: "StageView") -> list["Measurement"]:
        """Returns the measurements of this kind that the settings ask for, often none or one."""
        raise NotImplementedError


def as_schedule(schedule: Schedule | int | None) -> Schedule:
    """Returns a schedule, of an integer that of every so many steps.

    Raises:
        ValueError: for anything else.

    Example:
        >>> as_schedule(20) == every(20)
        True
    """
    if schedule is None:
        return every(100)
    if isinstance(schedule, int | np.integer) and not isinstance(schedule, bool):
        return every(schedule)
    if isinstance(schedule, bool) or not hasattr(schedule, "due"):
        raise ValueError(
            "`schedule` must be a number of steps, every(...) or logarithmic(...). "
            f"Received: schedule={schedule!r}"
        )
    return schedule


def undefined(value):
    """Returns what stands for a value that could not be measured: NaN, and -1 among integers.

    Example:
        >>> undefined(0.5), undefined(np.array([3, 4]))
        (nan, array([-1, -1]))
    """
    array = np.asarray(value)
    if array.ndim and array.dtype.kind in "iu":
        return np.full_like(array, -1, dtype=np.promote_types(array.dtype, np.int8))
    return np.full(array.shape, np.nan, array.dtype if array.dtype.kind == "f" else float)[()]


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
