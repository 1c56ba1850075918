"""Accuracy over a whole slice, against the given and the true labels."""

from collections.abc import Iterable

import keras
import numpy as np

from rl_keras.callbacks.capture import forward


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
