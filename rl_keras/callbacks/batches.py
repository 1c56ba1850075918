"""The one door for examples: whatever `fit` takes, as NumPy batches of the model's inputs."""

from collections.abc import Iterable, Iterator, Mapping

import keras
import numpy as np


def num_examples(inputs) -> int:
    """Returns how many examples an array, or a dict or list of one array for each input, holds.

    Raises:
        ValueError: if the arrays of several inputs differ in length.

    Example:
        >>> num_examples({"image": np.zeros((5, 8, 8, 3)), "age": np.zeros(5)})
        5
    """
    lengths = {len(array) for array in _parts(inputs)}
    if len(lengths) != 1:
        raise ValueError(
            "all inputs must be of the same number of examples. "
            f"Received: {', '.join(map(str, sorted(lengths))) or 'no input'}"
        )
    return lengths.pop()


def examples(inputs, start: int, stop: int):
    """Returns the examples from `start` to before `stop`, of the same structure."""
    return _map(lambda array: np.asarray(array[start:stop]), inputs)


def as_tensors(inputs):
    """Returns a batch as tensors; a model whose inputs are a list warns of arrays."""
    return _map(keras.ops.convert_to_tensor, inputs)


def as_floats(tensor) -> np.ndarray:
    """Returns a tensor as a NumPy array, in single precision where NumPy has no arithmetic."""
    array = keras.ops.convert_to_numpy(tensor)
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float32)


def model_inputs(model: keras.Model | None) -> list:
    """Returns the symbolic inputs of a model; none of one that does not know them yet."""
    try:
        return list(getattr(model, "inputs", None) or [])
    except ValueError:  # a Sequential that is not built
        return []


def batches_of_inputs(
    data, limit: int, batch_size: int = 128, model: keras.Model | None = None
) -> Iterator:
    """Yields NumPy batches of inputs from whatever `fit` takes.

    Args:
        data: one of: an array or a tensor `(n, ...)`; a dict of them, one for each input of the
            model; a list of them, if the model has as many inputs; a tuple `(x, y)` of all
            examples; an iterable of batches `x` or `(x, y, ...)`, such as a list, a
            `tf.data.Dataset` or a `keras.utils.PyDataset`, which may be infinite.
        limit: number of examples after which to stop.
        batch_size: size into which arrays are cut.
        model: whose inputs they are; batches that it cannot take are refused.

    Raises:
        ValueError: for data without a batch, an iterator that can be read only once, or single
            examples instead of batches.
    """
    seen = 0
    for batch in _raw_batches(data, batch_size, model):
        inputs = _map(np.asarray, _inputs_of(batch, model))
        _check(inputs, batch, model)
        yield examples(inputs, 0, limit - seen)
        seen += num_examples(inputs)
        if seen >= limit:
            return
    if not seen:
        raise ValueError(
            "`data` must hold at least one batch. Received: an empty "
            f"{type(data).__name__}; does drop_remainder=True drop its only batch?"
        )


def first_batch(data, limit: int, model: keras.Model | None = None):
    """Returns the first batch of `batches_of_inputs`."""
    return next(batches_of_inputs(data, limit, model=model))


def _raw_batches(data, batch_size, model) -> Iterable:
    if _is_whole(data, model):
        inputs = _inputs_of(data, model) if isinstance(data, tuple) else data
        total = num_examples(inputs)
        return (examples(inputs, i, i + batch_size) for i in range(0, total, batch_size))
    if isinstance(data, keras.utils.PyDataset):
        return (data[number] for number in range(len(data)))
    if isinstance(data, Iterator):
        raise ValueError(
            "`data` must be readable more than once, and by several callbacks; pass a data set, "
            f"an array or list(...). Received: an iterator, {type(data).__name__}"
        )
    if not isinstance(data, Iterable):
        raise ValueError(
            f"`data` must be an array or an iterable of batches. Received: {type(data).__name__}"
        )
    return data


def _is_whole(data, model):
    """Are these all examples at once, and not their batches one after the other?"""
    if _is_array(data) or isinstance(data, Mapping):
        return True
    if isinstance(data, tuple):
        return len(data) > 0 and all(_is_array(part) or _is_several(part) for part in data)
    return isinstance(data, list) and _is_inputs_of(data, model)


def _inputs_of(batch, model):
    """Takes the labels off a batch; a list or tuple with an array for each input has none."""
    if isinstance(batch, list | tuple):
        if _is_inputs_of(batch, model):
            return list(batch)
        if len(batch) == 0:
            raise ValueError("batches of `data` must hold inputs. Received: an empty tuple")
        return _inputs_of(batch[0], model) if isinstance(batch[0], tuple) else batch[0]
    return batch


def _is_inputs_of(parts, model):
    wanted = len(model_inputs(model))
    return wanted > 1 and len(parts) == wanted and all(map(_is_array, parts))


def _check(inputs, batch, model):
    """Refuses single examples: their first axis would be taken for the examples."""
    ranks = [array.ndim for array in _parts(inputs)]
    wanted = [tuple(tensor.shape) for tensor in model_inputs(model)]
    # Keras takes (n,) for (n, 1).
    shortest = [1 if shape[1:] == (1,) else len(shape) for shape in wanted] or [1] * len(ranks)
    is_short = not isinstance(inputs, Mapping) and len(ranks) == len(shortest)
    is_short = is_short and any(map(int.__lt__, ranks, shortest))
    label = batch[1] if isinstance(batch, tuple) and len(batch) > 1 else None
    if 0 in ranks or is_short or (hasattr(label, "shape") and not len(label.shape)):
        shapes = ", ".join(str(array.shape) for array in _parts(inputs))
        raise ValueError(
            "`data` must come in batches; call .batch(...) on a data set. "
            f"Expected: {', '.join(map(str, wanted)) or '(batch, ...)'}. "
            f"Received: elements of shape {shapes}"
        )


def _is_array(value):
    return hasattr(value, "shape") and hasattr(value, "dtype") and hasattr(value, "__len__")


def _is_several(value):
    return isinstance(value, Mapping) or (isinstance(value, list) and all(map(_is_array, value)))


def _parts(inputs):
    if isinstance(inputs, Mapping):
        return list(inputs.values())
    return list(inputs) if _is_list_of_arrays(inputs) else [inputs]


def _map(function, inputs):
    if isinstance(inputs, Mapping):
        return {name: function(array) for name, array in inputs.items()}
    return [*map(function, inputs)] if _is_list_of_arrays(inputs) else function(inputs)


def _is_list_of_arrays(inputs):
    return isinstance(inputs, list | tuple) and len(inputs) > 0 and hasattr(inputs[0], "shape")
