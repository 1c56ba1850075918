"""Accuracy on fixed examples at the granularity of steps, and the loss in between."""

from collections.abc import Sequence

import keras
import numpy as np

from rl_keras.callbacks.batches import examples, num_examples
from rl_keras.callbacks.measurement import Measurement, Schedule
from rl_keras.callbacks.predictions import (
    NO_CLASS,
    is_binary,
    matching_classes,
    output_position,
    predicted_classes,
    read_outputs,
    threshold_of,
)
from rl_keras.callbacks.reading import forward


class ProbeAccuracy(Measurement):
    """Follows the accuracy on a fixed set of examples.

    Keras's own training accuracy is a running mean over the epoch, of weights
    that have since changed. This one is exact for the weights of its step.

    Args:
        inputs: array `(n, ...)`, or a dict or list of one for each input, scaled as in training.
        labels: integer labels `(n,)` or `(n, 1)`, or one-hot `(n, classes)`; where the model
            predicts sequences, these with the positions between, such as `(n, length)`.
        name: prefix of the metric, as in `"train_probe/accuracy"`.
        schedule: when to measure, such as `every(20)`.
        writers: where scalars go as well.
        batch_size: examples in a forward pass.
        output: which output is meant, by name or number, in a model with several.
        threshold: above which a single output means class 1; by default as the loss says, 0 for
            logits and 0.5 for probabilities.

    Attributes:
        records: structured array with fields `step` and `accuracy`. An example whose outputs are
            NaN counts as wrong.

    Raises:
        ValueError: if inputs and labels differ in number, or there are none; when training begins
            if labels do not belong to the model's outputs.

    Example:
        >>> probe = ProbeAccuracy(images[:512], labels[:512], name="train_probe")
        >>> model.fit(dataset, callbacks=[probe])
        >>> probe.records["accuracy"]
    """

    def __init__(
        self,
        inputs: np.ndarray,
        labels: np.ndarray,
        name: str = "probe",
        schedule: Schedule | None = None,
        writers: Sequence = (),
        batch_size: int = 256,
        output: str | int | None = None,
        threshold: float | None = None,
    ):
        super().__init__(schedule, writers, name)
        if num_examples(inputs) != len(labels) or len(labels) == 0:
            raise ValueError(
                "`inputs` and `labels` must be of the same positive length. "
                f"Received: {num_examples(inputs)} and {len(labels)}"
            )
        self.inputs = inputs
        self.labels = np.asarray(labels)
        self.batch_size = batch_size
        self.output, self.threshold = output, threshold

    def sample(self):
        return examples(self.inputs, 0, 1)

    def prepare(self):
        self._classes = ClassReader(
            self.model, self.inputs, self.batch_size, self.output, self.threshold
        )

    def measure(self, step):
        predicted, labels = self._classes.read(self.labels)
        self._classes.warn_of_nan(self, predicted, step)
        accuracy = float(np.mean(predicted == labels))
        self.write_scalar(step, "accuracy", accuracy)
        return {"accuracy": accuracy}

    @property
    def array_prefix(self):
        return f"probe/{self.name.removesuffix('_probe')}"

    @classmethod
    def of_stage(cls, view):
        return [
            cls(
                *view.probe(which),
                name=f"{which}_probe",
                schedule=schedule,
                writers=view.writers,
                batch_size=view.batch_size,
            )
            for which, schedule in (("train", view.probe_schedule), ("test", view.schedule))
        ]


class ClassReader:
    """Reads the predicted classes of fixed inputs from the model as it is now.

    Args:
        model: a built model.
        inputs: array `(n, ...)`, or a dict or list of them.
        batch_size: examples in a forward pass.
        output: as in `ProbeAccuracy`.
        threshold: as in `ProbeAccuracy`.
    """

    def __init__(self, model, inputs, batch_size, output=None, threshold=None):
        self._model, self._inputs, self._batch_size = model, inputs, batch_size
        self._predict = forward(model)
        self._output = output_position(model, output)
        self._threshold = threshold

    def read(self, labels) -> tuple[np.ndarray, np.ndarray]:
        """Returns predicted classes and the labels as class numbers, of the same shape.

        Raises:
            ValueError: if the labels do not belong to the model's outputs.
        """
        outputs = read_outputs(self._predict, self._inputs, self._batch_size, self._output)
        if self._threshold is None and is_binary(outputs.shape):
            self._threshold = threshold_of(self._model, self._output)
        numbers = matching_classes(labels, outputs.shape)
        return predicted_classes(outputs, self._threshold), numbers

    @staticmethod
    def warn_of_nan(callback: Measurement, predicted: np.ndarray, step: int) -> None:
        """Says that outputs are NaN, and belong to no class."""
        num = int(np.sum(predicted == NO_CLASS))
        if num:
            callback.warn(
                f"{num} of {predicted.size} predictions at step {step} are NaN and count as "
                "no class."
            )


class IntervalLoss(Measurement):
    """Writes the mean training loss since the previous reading, over examples.

    It follows what Keras adds up for the loss that `fit` shows, across the ends of epochs, and
    changes nothing of it.

    Args:
        schedule: when to write, such as `every(20)`.
        writers: where scalars go.
        name: put in front of the name of the scalar.
        restart_metrics: reset the model's metrics at each reading instead, so that means in logs
            and history start anew there. For a `fit` of one epoch that is stopped and resumed
            at readings: nothing need be saved of the means.
    """

    def __init__(
        self,
        schedule: Schedule | None = None,
        writers: Sequence = (),
        name: str = "",
        restart_metrics: bool = False,
    ):
        super().__init__(schedule, writers, name)
        self.restart_metrics = restart_metrics

    def prepare(self):
        # Sum of the losses, and how many examples, or batches: since the last reading from
        # earlier epochs, at the last reading in this epoch, and now.
        self._carried = self._start = self._now = np.zeros(2)

    def measure(self, step):
        if self.restart_metrics:
            self.model.reset_metrics()
        return {}

    def on_epoch_begin(self, epoch, logs=None):
        super().on_epoch_begin(epoch, logs)
        self._carried = self._carried + self._now - self._start
        self._start = self._now = np.zeros(2)

    def on_train_batch_end(self, batch, logs=None):
        if self.restart_metrics:
            if self.schedule.due(self._previous, self.current_step()):
                self.write_scalar(self.current_step(), "train/loss", logs["loss"])
            super().on_train_batch_end(batch, logs)
            return
        if "loss" not in (logs or {}):
            self.tell("writes nothing, for the logs of training hold no 'loss'.")
            super().on_train_batch_end(batch, logs)
            return
        self._now = self._sums(logs)
        previous = self._previous
        super().on_train_batch_end(batch, logs)
        if self.schedule.due(previous, self._previous):
            total, count = self._carried + self._now - self._start
            self.write_scalar(self._previous, "train/loss", total / count if count else np.nan)
            self._carried, self._start = np.zeros(2), self._now

    def _sums(self, logs):
        """What is summed up in this epoch: losses weighted by the examples of each batch."""
        for metric in self.model.metrics:
            # Not from the logs: of replicas with unequal parts of a batch these hold a mean of
            # means.
            if metric.name == "loss" and isinstance(metric, keras.metrics.Mean):
                sums = [keras.ops.convert_to_numpy(v) for v in (metric.total, metric.count)]
                if sums[1]:
                    return np.array(sums, np.float64)
        self.tell("takes 'loss' in the logs for that of each batch; no metric of this name moves.")
        return np.add(self._now, (float(logs["loss"]), 1))

    def arrays(self):
        return {}  # only `writers` get the loss

    @classmethod
    def of_stage(cls, view):
        return [cls(view.probe_schedule, view.writers, restart_metrics=True)]
