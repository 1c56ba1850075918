"""The one place where predictions and labels of the same examples meet."""

import keras
import numpy as np

from rl_keras.callbacks.batches import as_floats, examples, num_examples

NO_CLASS = -1  # of an example whose outputs are NaN


def read_outputs(predict, inputs, batch_size: int, output: str | int | None = None) -> np.ndarray:
    """Returns the outputs for all inputs, an array `(n, ...)`.

    Args:
        predict: from `reading.forward`.
        inputs: array `(n, ...)`, or a dict or list of them.
        batch_size: examples in a forward pass.
        output: which one of several outputs, by its name or number.

    Raises:
        ValueError: if the model has several outputs and none is chosen, or not this one.
    """
    starts = range(0, num_examples(inputs), batch_size)
    parts = (predict(examples(inputs, i, i + batch_size)) for i in starts)
    return np.concatenate([as_floats(_chosen(part, output)) for part in parts])


def _chosen(outputs, which):
    if not isinstance(outputs, list | tuple | dict):
        return outputs
    if len(outputs) == 1 and which is None:
        return keras.tree.flatten(outputs)[0]
    names = list(outputs) if isinstance(outputs, dict) else list(range(len(outputs)))
    if which not in names:
        raise ValueError(
            f"the model has {len(outputs)} outputs; `output` must be one of: "
            f"{', '.join(map(repr, names))}. Received: output={which!r}"
        )
    return outputs[which]


def output_position(model: keras.Model, output: str | int | None) -> str | int | None:
    """Returns what `read_outputs` needs: functional models list outputs, but name them too."""
    names = list(getattr(model, "output_names", None) or [])
    if isinstance(output, str) and output in names and isinstance(_structure(model), list | tuple):
        return names.index(output)
    return output


def _structure(model):
    return getattr(model, "_outputs_struct", None)


def predicted_classes(outputs: np.ndarray, threshold: float | None = None) -> np.ndarray:
    """Returns the class of each example, int64; -1 where an output is NaN.

    Args:
        outputs: `(n, ..., classes)`; or `(n, 1)` or `(n,)` for two classes.
        threshold: above which a single output means class 1.

    Example:
        >>> predicted_classes(np.array([[0.2, 0.8], [np.nan, 0.0]])).tolist()
        [1, -1]
    """
    if is_binary(outputs.shape):
        flat = outputs.reshape(len(outputs))
        return np.where(np.isnan(flat), NO_CLASS, flat > threshold).astype(np.int64)
    return np.where(np.isnan(outputs).any(axis=-1), NO_CLASS, np.argmax(outputs, axis=-1))


def is_binary(shape: tuple[int, ...]) -> bool:
    """Says whether outputs of this shape are one number for each example."""
    return len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)


def class_numbers(labels) -> np.ndarray:
    """Returns labels `(n,)`, `(n, 1)` or one-hot `(n, classes)` as integers `(n,)`.

    Raises:
        ValueError: for other labels.

    Example:
        >>> class_numbers([[0, 1], [1, 0]]).tolist(), class_numbers([[7], [8]]).tolist()
        ([1, 0], [7, 8])
    """
    labels = np.asarray(labels)
    if labels.ndim == 2 and labels.shape[1] > 1:
        return _from_one_hot(labels)
    if labels.ndim not in (1, 2):
        raise ValueError(
            "labels must be of shape (n,), (n, 1) or one-hot (n, classes). "
            f"Received: shape {labels.shape}"
        )
    return _integers(labels.reshape(len(labels)))


def matching_classes(labels, shape: tuple[int, ...]) -> np.ndarray:
    """Returns labels as class numbers, of the shape of `predicted_classes`.

    Args:
        labels: class numbers or one-hot, with or without a last axis of length 1.
        shape: of the model's outputs for the same examples.

    Raises:
        ValueError: if they do not belong together.

    Example:
        >>> matching_classes([[3], [1]], shape=(2, 10)).tolist()
        [3, 1]
    """
    labels = np.asarray(labels)
    positions = shape[:1] if is_binary(shape) else shape[:-1]
    classes = 2 if is_binary(shape) else shape[-1]
    if labels.shape in (positions, (*positions, 1)):
        numbers = _integers(labels.reshape(positions))
    elif labels.shape == tuple(shape):
        numbers = _from_one_hot(labels)
    else:
        raise ValueError(
            f"labels must be class numbers of shape {positions} or one-hot of shape "
            f"{tuple(shape)}, as the model's outputs are. Received: shape {labels.shape}"
        )
    if numbers.size and not 0 <= numbers.min() <= numbers.max() < classes:
        raise ValueError(
            f"labels must be from 0 to {classes - 1}, for the model tells {classes} classes apart. "
            f"Received: {numbers.min()} to {numbers.max()}"
        )
    return numbers


def _from_one_hot(labels):
    top = labels.max(axis=-1, keepdims=True)
    if (np.sum(labels == top, axis=-1) != 1).any() or not np.allclose(
        labels.sum(axis=-1), 1, atol=1e-3
    ):
        raise ValueError(
            "one-hot labels must have one largest entry in each row, and sum to 1; several labels "
            f"of one example have no accuracy. Received: shape {labels.shape}"
        )
    return np.argmax(labels, axis=-1)


def _integers(labels):
    numbers = labels.astype(np.int64)
    if not np.array_equal(numbers, labels):
        raise ValueError(f"labels must be class numbers. Received: {labels.dtype} with fractions")
    return numbers


def threshold_of(model: keras.Model, output: str | int | None = None) -> float:
    """Returns above which a single output means class 1, as the loss or the last layer say.

    Args:
        model: as it is trained.
        output: as in `read_outputs`.

    Raises:
        ValueError: if neither says whether outputs are logits or probabilities.
    """
    loss = getattr(model, "loss", None)
    if isinstance(loss, dict | list | tuple) and output is not None:
        names = list(getattr(model, "output_names", None) or [])
        index = names.index(output) if output in names else output
        name = names[index] if isinstance(index, int) and index < len(names) else output
        if isinstance(loss, dict):
            loss = loss.get(output, loss.get(name))
        else:
            loss = loss[index] if isinstance(index, int) else None
    logits = getattr(loss, "from_logits", None)
    if logits is not None:
        return 0.0 if logits else 0.5
    if getattr(loss, "__name__", loss) in ("binary_crossentropy", "bce"):
        return 0.5
    last = getattr(model, "layers", None) or [None]
    if getattr(last[-1], "activation", None) is keras.activations.sigmoid:
        return 0.5
    raise ValueError(
        "the model has one output, and its loss does not say whether it is a logit or a "
        "probability. Expected: `threshold`, 0 for logits and 0.5 for probabilities, or the loss "
        f"BinaryCrossentropy. Received: loss={loss!r}"
    )
