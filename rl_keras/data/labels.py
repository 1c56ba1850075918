"""Label maps: which label each example gets, as a pure function of its identity.

A label depends on the example's id, a seed and the number of classes, and on
nothing else: not on the slice, the order, the batch size or the machine.
Nothing here needs TensorFlow.
"""

import dataclasses

import numpy as np

from rl_keras.data.hashing import hash64
from rl_keras.errors import UsageError
from rl_keras.settings.stage import CORRUPTION_KINDS, LABEL_MAPS

# Two hashes, so that whether a label is redrawn is independent of the label that is drawn.
_LABEL_HASH = b"rl_keras label"
_COIN_HASH = b"rl_keras coin"


@dataclasses.dataclass(frozen=True)
class LabelMap:
    """What happens to the labels of a data set.

    - `"true"`: nothing.
    - `"random"`: a uniform class for each example, whatever its image shows.
    - `"partial"`: with probability `corruption` the label is replaced, by a
      uniform class with the original included (`"redraw"`, Zhang et al. 2017)
      or by a uniform other class (`"flip"`).
    - `"permuted"`: the true labels dealt out anew, so class counts are kept.

    With one seed the corrupted examples of a smaller `corruption` are among
    those of a larger one, and `"partial"` with `corruption=1` and `"redraw"` is
    `"random"`.

    Args:
        kind: one of the four above.
        seed: integer; another seed gives unrelated labels.
        num_classes: for `"random"` the number of random classes, otherwise the
            number of classes of the data set. At least 2.
        corruption: probability, 0 to 1; only `"partial"` looks at it.
        corruption_kind: `"redraw"` or `"flip"`; only `"partial"` looks at it.

    Raises:
        UsageError: a setting outside these bounds.

    Example:
        >>> ids = np.array([b"train_0", b"train_1"])
        >>> LabelMap("true", seed=0, num_classes=10).apply(ids, np.array([7, 3]))
        array([7, 3])
    """

    kind: str
    seed: int
    num_classes: int
    corruption: float = 0.0
    corruption_kind: str = "redraw"

    def __post_init__(self):
        for name, choices in (("kind", LABEL_MAPS), ("corruption_kind", CORRUPTION_KINDS)):
            if getattr(self, name) not in choices:
                raise UsageError(
                    f"The label map's {name} must be one of {', '.join(choices)}. "
                    f"Received: {getattr(self, name)!r}"
                )
        if not 2 <= self.num_classes < 2**31:
            raise UsageError(f"A label map needs at least 2 classes. Received: {self.num_classes}")
        if not 0 <= self.corruption <= 1:
            raise UsageError(
                f"corruption is a probability from 0 to 1. Received: {self.corruption}"
            )

    def apply(self, ids: np.ndarray, true_labels: np.ndarray | None) -> np.ndarray:
        """Returns the label given to each example.

        `"permuted"` depends on which examples there are: apply it to a whole
        split and take slices of the result, as `label_table` does, and an id
        keeps its label whichever slice holds it. It does not depend on their
        order.

        Args:
            ids: bytes array `(n,)`, unique names.
            true_labels: integer array `(n,)` in `[0, num_classes)`; may be
                `None` for `"random"`, which does not look at it.

        Returns:
            int64 array `(n,)`.

        Raises:
            UsageError: true labels are needed and absent.
        """
        ids = _as_ids(ids)
        if self.kind == "random":
            return self._uniform(ids, self.num_classes)
        true_labels = self._checked_true_labels(ids, true_labels)
        if self.kind == "true":
            return true_labels
        if self.kind == "permuted":
            # Ranked by hash, examples take the labels of the examples ranked by id.
            given = np.empty_like(true_labels)
            by_hash = np.lexsort((ids, hash64(ids, self.seed, _LABEL_HASH)))
            given[by_hash] = true_labels[np.argsort(ids)]
            return given
        if self.corruption_kind == "redraw":
            replacement = self._uniform(ids, self.num_classes)
        else:
            shift = 1 + self._uniform(ids, self.num_classes - 1)
            replacement = (true_labels + shift) % self.num_classes
        # 53 bits make an exact float64 in [0, 1): never for p = 0, always for p = 1.
        coin = (hash64(ids, self.seed, _COIN_HASH) >> np.uint64(11)) * 2.0**-53
        return np.where(coin < self.corruption, replacement, true_labels)

    def _uniform(self, ids, num_classes):
        # (hash * num_classes) >> 64 without 128-bit integers: the high and low halves apart.
        hashes, shift = hash64(ids, self.seed, _LABEL_HASH), np.uint64(32)
        classes = np.uint64(num_classes)
        carry = ((hashes & np.uint64(2**32 - 1)) * classes) >> shift
        return (((hashes >> shift) * classes + carry) >> shift).astype(np.int64)

    def _checked_true_labels(self, ids, true_labels):
        if true_labels is None:
            raise UsageError(
                f"The label map {self.kind!r} needs true labels, which this data set has not. "
                f"Use labels 'random'. Received: labels {self.kind!r}"
            )
        true_labels = np.asarray(true_labels).astype(np.int64)
        if true_labels.shape != ids.shape:
            raise ValueError(f"{ids.shape} ids, but true labels of shape {true_labels.shape}.")
        outside = (true_labels < 0) | (true_labels >= self.num_classes)
        if outside.any():
            raise UsageError(
                f"The label map {self.kind!r} needs a true label from 0 to {self.num_classes - 1} "
                f"for every example. Received: {true_labels[outside][0]} for "
                f"{ids[outside][0].decode(errors='replace')!r}, and {outside.sum()} such in all"
            )
        return true_labels


def _as_ids(ids):
    ids = np.asarray(ids)
    if ids.dtype.kind != "S" or ids.ndim != 1:
        raise ValueError(f"ids must be a bytes array (n,). Received: {ids.dtype} {ids.shape}")
    return ids
