"""Accuracy on fixed examples at the granularity of steps, and the loss in between."""

from collections.abc import Sequence

import keras
import numpy as np

from rl_keras.callbacks.measurement import Measurement, Schedule
from rl_keras.callbacks.reading import forward


class ProbeAccuracy(Measurement):
    """Follows the accuracy on a fixed set of examples.

    Keras's own training accuracy is a running mean over the epoch, of weights
    that have since changed. This one is exact for the weights of its step.

    Args:
        inputs: array `(n, ...)`, scaled as in training.
        labels: integer labels `(n,)`.
        name: prefix of the metric, as in `"train_probe/accuracy"`.
        schedule: when to measure, such as `every(20)`.
        writers: where scalars go as well.
        batch_size: examples in a forward pass.

    Attributes:
        records: structured array with fields `step` and `accuracy`.

    Raises:
        ValueError: if inputs and labels differ in number, or there are none.

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
    ):
        super().__init__(schedule, writers)
        if len(inputs) != len(labels) or len(labels) == 0:
            raise ValueError(
                "`inputs` and `labels` must be of the same positive length. "
                f"Received: {len(inputs)} and {len(labels)}"
            )
        self.inputs = inputs
        self.labels = np.asarray(labels)
        self.name = name
        self.batch_size = batch_size

    def prepare(self):
        self._predict = forward(self.model)

    def measure(self, step):
        predicted = predicted_classes(self._predict, self.inputs, self.batch_size)
        accuracy = float(np.mean(predicted == self.labels))
        self.write_scalar(step, f"{self.name}/accuracy", accuracy)
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


def predicted_classes(predict, inputs: np.ndarray, batch_size: int) -> np.ndarray:
    """Returns the class of the largest output for each of the inputs, an integer array `(n,)`.

    Args:
        predict: from `reading.forward`.
        inputs: array `(n, ...)`, scaled as in training.
        batch_size: examples in a forward pass.
    """
    starts = range(0, len(inputs), batch_size)
    outputs = (predict(inputs[i : i + batch_size]) for i in starts)
    return np.concatenate(
        [np.argmax(keras.ops.convert_to_numpy(output), axis=-1) for output in outputs]
    )


class IntervalLoss(Measurement):
    """Writes the mean training loss since the previous reading.

    Resets the model's metrics at each reading: they are means over the epoch
    otherwise, and an epoch of ours is a whole stage.
    """

    def measure(self, step):
        self.model.reset_metrics()
        return {}

    def on_train_batch_end(self, batch, logs=None):
        if self.schedule.due(self._previous, self.current_step()):
            self.write_scalar(self.current_step(), "train/loss", logs["loss"])
        super().on_train_batch_end(batch, logs)

    def arrays(self):
        return {}  # only `writers` get the loss

    @classmethod
    def of_stage(cls, view):
        return [cls(view.probe_schedule, view.writers)]
