"""Weights from files: those of Keras, and the `weights.npz` of a run's stages."""

import os

import keras
import numpy as np


def load_weights(model: keras.Model, path) -> None:
    """Assigns the weights of a file to a model.

    Args:
        model: a built model.
        path: a file that `keras.Model.load_weights` takes, or an `.npz` file with arrays by
            variable path, such as `"conv1/kernel"`, as the stages of a run leave it.

    Raises:
        ValueError: if an `.npz` file lacks a variable of the model, or has it in another shape.
            Nothing is assigned then.

    Example:
        >>> load_weights(simple_cnn((28, 28, 3), classes=10), ".../upstream_seed0/weights.npz")
    """
    if not str(os.fspath(path)).endswith(".npz"):
        model.load_weights(path)
        return
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    for variable in model.weights:
        shape = arrays[variable.path].shape if variable.path in arrays else None
        if shape != tuple(variable.shape):
            raise ValueError(
                f"{path} must hold {variable.path!r} of shape {tuple(variable.shape)}. Received: "
                f"{f'shape {shape}' if shape is not None else ', '.join(arrays)}"
            )
    for variable in model.weights:
        variable.assign(arrays[variable.path])
