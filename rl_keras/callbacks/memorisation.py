"""Which examples are fitted when, and which labels the network gives to the others."""

from collections.abc import Sequence

import numpy as np

from rl_keras.callbacks.accuracy import ClassReader
from rl_keras.callbacks.batches import examples, num_examples
from rl_keras.callbacks.measurement import Measurement, Schedule
from rl_keras.callbacks.predictions import class_numbers
from rl_keras.errors import UsageError
from rl_keras.science.memorisation import MemorisationLedger


class MemorisationTracker(Measurement):
    """Enters the predictions for fixed training examples into a memorisation ledger.

    A record is the predicted class of each example, and the ledger is a function of
    the records: so it goes on where a killed run was. Forgetting is counted between
    records and thus depends on the schedule.

    Args:
        inputs: array `(n, ...)`, or a dict or list of one for each input, scaled as in training.
        given_labels: labels trained on: integers `(n,)` or `(n, 1)`, or one-hot `(n, classes)`.
        true_labels: the same; integers may be -1 where there is none, which counts as given.
        ids: names of the examples, array `(n,)`; their numbers by default.
        schedule: when to measure, such as `every(20)`.
        writers: where scalars go as well.
        batch_size: examples in a forward pass.
        name: put in front of the names of scalars.
        output: as in `ProbeAccuracy`.
        threshold: as in `ProbeAccuracy`.

    Attributes:
        records: structured array with fields `step` and `predictions` int32 `(n,)`; -1 where
            the outputs were NaN, which is no class.
        ledger: `science.memorisation.MemorisationLedger` of all records so far.

    Raises:
        UsageError: if the labels are not of the same examples.

    Reference:
        Toneva et al., ICLR 2019, arXiv 1812.05159; Liu et al., NeurIPS 2020, arXiv
        2007.00151.

    Example:
        >>> tracker = MemorisationTracker(images[:512], given[:512], true[:512])
        >>> model.fit(dataset, callbacks=[tracker])
        >>> tracker.ledger.first_fitted, tracker.ledger.shares("corrupted")
    """

    def __init__(
        self,
        inputs: np.ndarray,
        given_labels: np.ndarray,
        true_labels: np.ndarray,
        ids: np.ndarray | None = None,
        schedule: Schedule | None = None,
        writers: Sequence = (),
        batch_size: int = 256,
        name: str = "",
        output: str | int | None = None,
        threshold: float | None = None,
    ):
        super().__init__(schedule, writers, name)
        given, true = class_numbers(given_labels), class_numbers(true_labels)
        if num_examples(inputs) != len(given):
            raise UsageError(
                "`inputs` and `given_labels` must be of the same examples. "
                f"Received: {num_examples(inputs)} and {len(given)}"
            )
        self.inputs = inputs
        self.output, self.threshold = output, threshold
        self.ids = np.arange(len(given)) if ids is None else np.asarray(ids)
        self.batch_size = batch_size
        MemorisationLedger(given, true)  # says what is wrong with them
        self._labels = given, np.where(true < 0, given, true)
        self.ledger = MemorisationLedger(*self._labels)

    def sample(self):
        return examples(self.inputs, 0, 1)

    def prepare(self):
        self._classes = ClassReader(
            self.model, self.inputs, self.batch_size, self.output, self.threshold
        )
        self.ledger = MemorisationLedger(*self._labels)
        for row in self._rows:
            self.ledger.update(row["step"], row["predictions"])

    def measure(self, step):
        predictions, _ = self._classes.read(self._labels[0])
        self._classes.warn_of_nan(self, predictions, step)
        if predictions.ndim > 1:
            raise ValueError(
                "the ledger needs one prediction for each example. "
                f"Received: shape {predictions.shape}"
            )
        self.ledger.update(step, predictions)
        shares = self.ledger.shares("corrupted")[-1]
        fitted = self.ledger.shares("clean")[-1, 0]
        for name, value in zip(("given", "true", "other", "clean"), (*shares, fitted), strict=True):
            if not np.isnan(value):
                self.write_scalar(step, f"ledger/{name}", value)
        return {"predictions": predictions.astype(np.int32)}

    def arrays(self) -> dict[str, np.ndarray]:
        """Returns predictions and ledger by name, examples in the order of `ids`.

        `shares_corrupted` and `shares_clean` are float64 `(t, 3)`: predicted as given, as
        true, as another class; NaN for a group without examples.
        """
        ledger = self.ledger
        return {
            "step": self.records["step"],
            "predictions": self.records["predictions"],
            "ids": self.ids,
            "given_labels": ledger.given_labels,
            "true_labels": ledger.true_labels,
            "first_fitted": ledger.first_fitted,
            "fitted_since": ledger.fitted_since,
            "times_forgotten": ledger.times_forgotten,
            "shares_corrupted": ledger.shares("corrupted"),
            "shares_clean": ledger.shares("clean"),
        }

    array_prefix = "ledger"

    @classmethod
    def of_stage(cls, view):
        if not view.settings.ledger:
            return []
        inputs, given = view.probe("train")
        table = view.labels("train")
        return [
            cls(
                inputs,
                given,
                table.true[: len(given)],
                ids=table.ids[: len(given)],
                schedule=view.probe_schedule,
                writers=view.writers,
                batch_size=view.batch_size,
            )
        ]
