"""Moments of what a layer inside a model sees."""

from collections.abc import Iterable, Mapping, Sequence

import keras
import numpy as np

from rl_keras.callbacks.batches import as_floats, batches_of_inputs, first_batch
from rl_keras.callbacks.layers import find_layer
from rl_keras.callbacks.reading import capture
from rl_keras.science.patches import PatchMoments


def new_moments(layer: keras.Layer) -> PatchMoments:
    """Returns empty moments for the patches of a Conv2D, or the inputs of a Dense layer."""
    if isinstance(layer, keras.layers.Dense):
        return PatchMoments()
    return PatchMoments(layer.kernel_size, strides=layer.strides, padding=layer.padding)


def as_examples(layer: keras.Layer, inputs) -> np.ndarray:
    """Returns a layer's inputs as its moments take them."""
    inputs = as_floats(inputs)
    if isinstance(layer, keras.layers.Dense):
        # Dense acts on the last axis; earlier ones are further examples.
        inputs = inputs.reshape(-1, inputs.shape[-1])
    return inputs


def input_of(layer_input, layer_output):
    """The `reduce` of `capture` that reads a layer's input."""
    return layer_input


def input_moments(
    model: keras.Model, layers: Mapping[str, keras.Layer], batches: Iterable
) -> dict[str, PatchMoments]:
    """Returns the moments of the inputs of several layers, in one pass over the data.

    Args:
        model: a built model; it runs in inference mode.
        layers: Conv2D and Dense layers inside it, by path.
        batches: batches of the model's inputs.

    Example:
        >>> moments = input_moments(model, {"conv1": model.get_layer("conv1")}, [images])
        >>> moments["conv1"].covariance()
    """
    read = capture(model, list(layers.values()), input_of)
    moments = {path: new_moments(layer) for path, layer in layers.items()}
    for batch in batches:
        for (path, layer), inputs in zip(layers.items(), read(batch), strict=True):
            moments[path].update(as_examples(layer, inputs))
    return moments


class SharedInputs:
    """The inputs of several layers, read in one pass over the data whatever their number.

    Callbacks that share it measure together: the first that asks after training has moved
    on has the moments of all layers computed, the others get theirs from the same pass. It
    holds the moments of all of them, for a layer of d inputs `8 d^2` bytes.

    Args:
        data: inputs of the model, whatever `fit` takes; see `batches.batches_of_inputs`.
        layers: names, paths or indices of Conv2D and Dense layers.
        max_examples: examples of a pass, at most.

    Example:
        >>> shared = SharedInputs(images, layers=["conv2", "conv3"])
        >>> [CovarianceAlignment(shared, layer=name) for name in shared.layers]
    """

    def __init__(self, data, layers: Sequence[str | int], max_examples: int = 10_000):
        self.data = data
        self.layers = tuple(layers)
        self.max_examples = max_examples
        self._seen: list[np.ndarray] | None = None
        self._moments: dict[str, PatchMoments] = {}

    def moments(self, model: keras.Model, path: str) -> PatchMoments:
        """Returns the moments of one layer's inputs, the same object while these are the same.

        Args:
            model: a built model; it runs in inference mode.
            path: of the layer, as `layers.find_layer` returns it.

        Raises:
            ValueError: if the layer is not one of these.
        """
        sample = first_batch(self.data, limit=8, model=model)
        layers = dict(find_layer(model, which, sample) for which in self.layers)
        if path not in layers:
            raise ValueError(f"`layers` must hold {path!r}. Received: {', '.join(layers)}")
        read = capture(model, list(layers.values()), input_of)
        seen = [as_floats(inputs) for inputs in read(sample)]
        if self._seen is None or not all(map(np.array_equal, seen, self._seen)):
            batches = batches_of_inputs(self.data, self.max_examples, model=model)
            self._moments = input_moments(model, layers, batches)
            self._seen = seen
        return self._moments[path]
