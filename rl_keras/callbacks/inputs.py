"""Moments of what a layer inside a model sees."""

from collections.abc import Iterable, Mapping

import keras
import numpy as np

from rl_keras.callbacks.capture import capture
from rl_keras.science.patches import PatchMoments


def new_moments(layer: keras.Layer) -> PatchMoments:
    """Returns empty moments for the patches of a Conv2D, or the inputs of a Dense layer."""
    if isinstance(layer, keras.layers.Dense):
        return PatchMoments()
    return PatchMoments(layer.kernel_size, strides=layer.strides, padding=layer.padding)


def as_examples(layer: keras.Layer, inputs) -> np.ndarray:
    """Returns a layer's inputs as its moments take them."""
    inputs = keras.ops.convert_to_numpy(inputs)
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
