"""The memorisation ledger: which examples are fitted when, and which are forgotten again."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from rl_keras.errors import UsageError

_NEVER = -1


class MemorisationLedger:
    """Follows the predictions for fixed examples over training.

    An example is *fitted* at a step if its prediction is its given label, and
    *forgotten* if it was fitted at the step before and is no more. It is *corrupted*
    if the given label is not the true one.

    Chance counts too: guesses among c classes are fitted first after c steps on average
    and forgotten in `(1 - 1/c) / c` of the later ones.

    Args:
        given_labels: integer array `(n,)`, the labels trained on.
        true_labels: integer array `(n,)`, of the same examples and classes. Pass the
            given ones if there is no truth.

    Raises:
        UsageError: if they are no integers, or not of the same examples.

    Example:
        >>> ledger = MemorisationLedger(given_labels=[0, 1, 2], true_labels=[0, 1, 1])
        >>> for step, predictions in ((10, [0, 1, 1]), (20, [0, 0, 2])):
        ...     ledger = ledger.update(step, predictions)
        >>> ledger.first_fitted.tolist(), ledger.times_forgotten.tolist()
        ([10, 10, 20], [0, 1, 0])
        >>> ledger.shares("corrupted").tolist()  # given, true, other
        [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]

    Reference:
        Toneva et al., ICLR 2019, arXiv 1812.05159, on forgetting; Liu et al., NeurIPS
        2020, arXiv 2007.00151, on the shares.
    """

    def __init__(self, given_labels: ArrayLike, true_labels: ArrayLike):
        given_labels, true_labels = np.asarray(given_labels), np.asarray(true_labels)
        for labels in (given_labels, true_labels):
            if labels.shape != given_labels.shape or labels.ndim != 1 or not labels.size:
                raise UsageError(
                    "given_labels and true_labels must be (n,), of the same examples. "
                    f"Received: shapes {given_labels.shape} and {true_labels.shape}"
                )
            _check_integers(labels, "Labels")
        num = len(given_labels)
        self.given_labels = given_labels.astype(np.int64)
        self.true_labels = true_labels.astype(np.int64)
        self._first_fitted = np.full(num, _NEVER, dtype=np.int64)
        self._fitted_since = np.full(num, _NEVER, dtype=np.int64)
        self._times_forgotten = np.zeros(num, dtype=np.int64)
        self._steps = np.zeros(0, dtype=np.int64)
        self._counts = np.zeros((0, 2, 3), dtype=np.int64)

    def update(self, step: int, predictions: ArrayLike) -> "MemorisationLedger":
        """Enters the predictions at a step and returns the object itself.

        Args:
            step: integer, zero or more, above all before.
            predictions: integer array `(n,)`, predicted classes in the order of the labels.

        Raises:
            UsageError: if the step does not increase, or there is not one class for each
                example. Nothing is entered then.
        """
        predictions = np.asarray(predictions)
        if predictions.shape != self.given_labels.shape:
            raise UsageError(
                f"predictions must be one class for each of the {len(self.given_labels)} examples, "
                f"in the order of the labels. Received: shape={predictions.shape}"
            )
        _check_integers(predictions, "Predictions")
        last = self._steps[-1] if self._steps.size else _NEVER
        if not isinstance(step, (int, np.integer)) or step <= last:
            raise UsageError(
                f"step must be an integer above the one before, {last}. Received: step={step!r}"
            )
        was_fitted, fitted = self.fitted, predictions == self.given_labels
        self._first_fitted[fitted & (self._first_fitted == _NEVER)] = step
        self._fitted_since[fitted & ~was_fitted] = step
        self._fitted_since[~fitted] = _NEVER
        self._times_forgotten += was_fitted & ~fitted
        is_true = ~fitted & (predictions == self.true_labels)
        kinds = np.stack([fitted, is_true, ~fitted & ~is_true])
        counts = [(kinds & group).sum(axis=1) for group in (self.corrupted, ~self.corrupted)]
        self._steps = np.append(self._steps, np.int64(step))
        self._counts = np.concatenate([self._counts, np.array(counts)[None]])
        return self

    @property
    def corrupted(self) -> np.ndarray:
        """Whether the given label is not the true one, bool `(n,)`."""
        return self.given_labels != self.true_labels

    @property
    def steps(self) -> np.ndarray:
        """The steps entered, int64 `(t,)`."""
        return self._steps.copy()

    @property
    def first_fitted(self) -> np.ndarray:
        """First step at which each example was fitted, int64 `(n,)`; -1 for never."""
        return self._first_fitted.copy()

    @property
    def fitted_since(self) -> np.ndarray:
        """Step since which each example has stayed fitted, int64 `(n,)`; -1 if it is not now."""
        return self._fitted_since.copy()

    @property
    def fitted(self) -> np.ndarray:
        """Whether each example is fitted at the last step, bool `(n,)`."""
        return self._fitted_since != _NEVER

    @property
    def times_forgotten(self) -> np.ndarray:
        """How often each example was forgotten, int64 `(n,)`; 0 if it was never fitted."""
        return self._times_forgotten.copy()

    @property
    def unforgettable(self) -> np.ndarray:
        """Whether each example was fitted once and never forgotten, bool `(n,)`."""
        return (self._first_fitted != _NEVER) & (self._times_forgotten == 0)

    def shares(self, group: str) -> np.ndarray:
        """Shares of a group predicted as given, as true where that differs, and as other.

        Args:
            group: `"corrupted"`, `"clean"` or `"all"`. For clean examples the second is 0.

        Returns:
            A float64 array `(t, 3)`, a row per step that adds up to 1; NaN for an empty
            group.

        Raises:
            UsageError: if the group is unknown.
        """
        if group not in ("corrupted", "clean", "all"):
            raise UsageError(
                f'group must be "corrupted", "clean" or "all". Received: group={group!r}'
            )
        corrupted, clean = self._counts[:, 0], self._counts[:, 1]
        counts = {"corrupted": corrupted, "clean": clean, "all": corrupted + clean}[group]
        totals = counts.sum(axis=1, keepdims=True)
        return np.divide(counts, totals, out=np.full(counts.shape, np.nan), where=totals > 0)

    def state(self) -> dict[str, np.ndarray]:
        """All that the ledger knows, as int64 arrays to be saved; see `from_state`."""
        return {name.lstrip("_"): array.copy() for name, array in vars(self).items()}

    @classmethod
    def from_state(cls, state: Mapping[str, np.ndarray]) -> "MemorisationLedger":
        """Restores a ledger that goes on where `state` was taken.

        Args:
            state: mapping of names to arrays, such as an open npz file.

        Raises:
            UsageError: if an array is missing.
        """
        ledger = cls(*(np.zeros(1, dtype=np.int64),) * 2)
        names = list(vars(ledger))
        missing = {name.lstrip("_") for name in names} - set(state)
        if missing:
            raise UsageError(
                "The state of a ledger is incomplete; save all of `state()`. "
                f"Received: nothing for {', '.join(sorted(missing))}"
            )
        for name in names:
            setattr(ledger, name, np.array(state[name.lstrip("_")]))
        return ledger


def _check_integers(classes, name):
    if classes.dtype.kind not in "iu":
        raise UsageError(
            f"{name} must be integer classes; take the argmax of probabilities. "
            f"Received: dtype={classes.dtype}"
        )
