"""One stage from its initial weights, or from where it was killed, to its stored results."""

import math
import time
from collections.abc import Callable, Iterable

import keras
import numpy as np

from rl_keras.callbacks import MetricLog, TensorBoardWriter
from rl_keras.callbacks.reading import forward
from rl_keras.errors import Preempted, TrainingError
from rl_keras.experiments.checkpoints import (
    Checkpoint,
    load_checkpoint,
    remove_checkpoints,
    save_checkpoint,
)
from rl_keras.experiments.measurements import accuracy_summary, measurements_of, recorded_arrays
from rl_keras.experiments.plan import StagePlan
from rl_keras.experiments.progress import Progress, RunProgress
from rl_keras.experiments.run_data import RunData, StageData
from rl_keras.experiments.tensorboard import WeightHistograms, write_settings
from rl_keras.experiments.training import Trainer, Weights, read_weights
from rl_keras.storage.run_folder import RunDirectory, write_arrays


def train_stage(
    stage: StagePlan,
    trainer: Trainer,
    data: RunData,
    directory: RunDirectory,
    progress: RunProgress,
    stop_requested: Callable[[], bool],
) -> Weights:
    """Trains one stage, stores what it leaves, and returns the final weights.

    Goes on from the newest whole checkpoint, if there is one, and then ends with
    exactly what an undisturbed run leaves.

    Args:
        stage: which stage.
        trainer: holds the initial weights.
        data: the data of the run.
        directory: where everything goes.
        progress: shared by the stages of the run.
        stop_requested: says whether to save and stop.

    Raises:
        Preempted: after saving, if a stop was requested.
        TrainingError: if the loss is no longer finite.
    """
    run = _StageRun(stage, trainer, data, directory)
    guard = StageGuard(
        run.save,
        every=run.config.run.checkpoint_every,
        boundary=run.config.measure.probe_every,
        num_steps=stage.num_steps,
        stop_requested=stop_requested,
    )
    bar = Progress(
        progress,
        stage.title,
        stage.settings.batch_size,
        stage.steps_per_epoch,
        stage.num_steps,
        run.start_step,
        data.plan.multiplications,
    )
    try:
        run.fit([bar, guard])
    except DivergedError as error:
        run.close()
        raise TrainingError(
            f"{error} of stage {stage.key.name}; lower --{stage.key.stage}_learning_rate or "
            f"--init_scale. Finished stages and the last good state are kept in {directory.path}."
        ) from None
    if guard.stopped:
        run.close()
        raise Preempted
    return run.finish()


class _StageRun:
    """One stage while it trains: its measurements, its log, its checkpoints, its result."""

    def __init__(self, stage, trainer, data, directory):
        self.stage, self.trainer, self.data = stage, trainer, data
        self.directory, self.config = directory, data.plan.config
        self.begin, self.earlier_seconds = time.monotonic(), 0.0
        # Also compares the labels with those that a resumed stage began with.
        self.labels = data.store_labels(stage)
        self.log, self.board = MetricLog(), None
        checkpoint = load_checkpoint(directory.checkpoints_path(stage.key))
        self.start_step = checkpoint.step if checkpoint else 0
        writers = [self.log]
        if self.config.run.tensorboard:
            self.board = TensorBoardWriter(directory.tensorboard_path(stage.key))
            if not checkpoint:
                self.board.clear()
            write_settings(self.board, stage.key, self.config)
            writers.append(self.board)
        self.measurements = measurements_of(StageData(data, stage, trainer.model, writers))
        self.writers = writers
        if checkpoint:
            trainer.restore_state(checkpoint.variables)
            for measurement, rows in zip(self.measurements, checkpoint.records, strict=True):
                measurement.resume(rows)
            self.log.rows = checkpoint.log
            self.earlier_seconds = checkpoint.seconds

    @property
    def seconds(self):
        """Training time, with that of processes that were killed."""
        return self.earlier_seconds + time.monotonic() - self.begin

    def fit(self, callbacks):
        callbacks = [*self.measurements, *callbacks]
        if self.board:
            callbacks.append(WeightHistograms(self.board))
        self.trainer.fit(self.data.train_dataset(self.stage, self.start_step), callbacks)

    def save(self, step):
        checkpoint = Checkpoint(
            step=step,
            variables=self.trainer.read_state(),
            records=[measurement.rows for measurement in self.measurements],
            log=self.log.rows,
            seconds=self.seconds,
        )
        save_checkpoint(self.directory.checkpoints_path(self.stage.key), checkpoint)

    def close(self):
        if self.board:
            self.board.close()

    def finish(self) -> Weights:
        """Evaluates, and stores everything; the result file goes last."""
        key, seconds = self.stage.key, self.seconds
        summary = self._summary()
        weights = read_weights(self.trainer.model)
        if key.stage == "upstream" or self.config.run.keep_weights == "all":
            write_arrays(self.directory.weights_path(key), weights)
        result = {
            "summary": summary,
            "num_classes": self.stage.num_classes,
            "num_examples": self.stage.num_examples,
            "labels_sha256": self.labels.sha256,
            "labels_nominal_rate": self.labels.nominal_rate,
            "labels_realised_rate": self.labels.realised_rate,
            "transferred": list(self._transferred()),
            "train_seconds": round(seconds, 2),
        }
        self.directory.finish_stage(key, result, self.log.rows, recorded_arrays(self.measurements))
        self.close()
        remove_checkpoints(self.directory.checkpoints_path(key))
        return weights

    def _transferred(self):
        key, arms = self.stage.key, self.data.plan.arms
        return arms[key.start].variables if key.start else ()

    def _summary(self):
        """Evaluates on the whole slices and returns the stage's row of `summary.csv`."""
        final, key = {}, self.stage.key
        for name in ("train", "test"):
            batches = self.data.eval_dataset(self.stage, test=name == "test")
            for kind, value in evaluate(self.trainer.model, batches).items():
                final[f"final_{name}_{kind}"] = None if np.isnan(value) else value
                if not np.isnan(value):
                    for writer in self.writers:
                        writer.scalar(self.stage.num_steps, f"final/{name}_{kind}", value)
        return {
            "start": key.start,
            "labels": key.labels,
            "seed": key.seed,
            "steps": self.stage.num_steps,
            **final,
            **accuracy_summary(self.measurements),
        }


class DivergedError(ArithmeticError):
    """The loss became NaN or infinite; `step` says when."""

    def __init__(self, step: int):
        super().__init__(f"the loss is not finite at step {step}")
        self.step = step


class StageGuard(keras.callbacks.Callback):
    """Saves the state of a stage now and then, after the measurements of that step.

    Args:
        save: called with the step to save the state.
        every: steps between two saves; 0 for none but on request.
        boundary: saves wait for the next multiple of this, where the running
            mean of the loss starts anew, so that it need not be saved.
        num_steps: steps of the stage; its end is stored elsewhere.
        stop_requested: asked at each boundary, so that several workers can
            answer together; when it says yes, the state is saved and training stops.

    Attributes:
        stopped: whether training stopped on request.
    """

    def __init__(
        self,
        save: Callable[[int], None],
        every: int,
        boundary: int,
        num_steps: int,
        stop_requested: Callable[[], bool] = lambda: False,
    ):
        super().__init__()
        self.save = save
        self.every = every
        self.boundary = boundary
        self.num_steps = num_steps
        self.stop_requested = stop_requested
        self.stopped = False

    def on_train_begin(self, logs=None):
        self._saved = int(self.model.optimizer.iterations.numpy())

    def on_train_batch_end(self, batch, logs=None):
        step = int(self.model.optimizer.iterations.numpy())
        if not math.isfinite(logs["loss"]):
            raise DivergedError(step)
        if step % self.boundary or step >= self.num_steps:
            return
        stop = self.stop_requested()
        due = self.every and step // self.every > self._saved // self.every
        if not (due or stop):
            return
        self.save(step)
        self._saved = step
        if stop:
            self.stopped = True
            self.model.stop_training = True


def evaluate(model: keras.Model, batches: Iterable) -> dict[str, float]:
    """Counts every example of a padded evaluation dataset once.

    Args:
        model: from inputs to logits.
        batches: elements `(inputs, given, true, weight)`, as from
            `data.pipeline.eval_dataset`; padding has weight 0, and an example
            without a true label has `true = -1`.

    Returns:
        `accuracy` against the given labels and `accuracy_true` against the true
        ones, as fractions; `accuracy_true` is NaN if no example has a true label.
    """
    predict = forward(model)
    counts = np.zeros(4)
    for inputs, given, true, weight in batches:
        logits = keras.ops.convert_to_numpy(predict(inputs))
        predicted = np.argmax(logits, axis=-1)
        given, true, weight = (np.asarray(array) for array in (given, true, weight))
        known = weight * (true >= 0)
        counts += [
            np.sum(weight * (predicted == given)),
            np.sum(weight),
            np.sum(known * (predicted == true)),
            np.sum(known),
        ]
    right, total, right_true, total_true = counts.tolist()
    return {
        "accuracy": right / total,
        "accuracy_true": right_true / total_true if total_true else float("nan"),
    }
