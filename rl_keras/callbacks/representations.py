"""Samples of what each layer says about fixed examples, to compare networks by."""

import dataclasses
from collections.abc import Sequence

import keras
import numpy as np

from rl_keras.callbacks.batches import as_floats, examples, num_examples
from rl_keras.callbacks.layers import find_layer, named_layers, nonlinear_layers
from rl_keras.callbacks.measurement import Measurement
from rl_keras.callbacks.reading import capture
from rl_keras.seeds import derive_seed

_BATCH = 64  # outputs of 64 images at 30x30 positions of 256 filters are 59 MB


@dataclasses.dataclass(frozen=True, eq=False)
class Representation:
    """Outputs of one layer at one position of each example.

    Args:
        sample: float32 array `(n, units)`.
        positions: int32 array `(n,)`, the position taken of each example, rows of the
            image first; zeros for a layer without positions.
    """

    sample: np.ndarray
    positions: np.ndarray


def sample_representations(
    model: keras.Model, inputs: np.ndarray, layers: Sequence[str] | None = None, seed: int = 0
) -> dict[str, Representation]:
    """Reads the outputs of layers, for a convolution at one random position of each example.

    Rows of different examples depend on each other less than positions of one image do.
    The positions are a function of seed, layer and number of positions, so networks
    of one architecture are sampled alike.

    Args:
        model: a built model; it runs in inference mode.
        inputs: array `(n, ...)`, or a dict or list of them, scaled as in training.
        layers: names or paths; by default all that end in a non-linearity, see
            `activations.nonlinear_layers`.
        seed: of the positions; the same for all networks that are to be compared.

    Returns:
        A `Representation` of each layer by its path, in order.

    Raises:
        ValueError: if there is no such layer.

    Reference:
        Wang et al., NeurIPS 2018, arXiv 1810.11750, who sample positions of all images.

    Example:
        >>> sample_representations(model, images[:2000])["conv1"].sample.shape
        (2000, 256)
    """
    known = named_layers(model)
    paths = nonlinear_layers(model, inputs) if layers is None else list(layers)
    for path in paths:
        if path not in known:
            find_layer(model, path)  # says which layers there are
    read = capture(model, [known[path] for path in paths], _output_of)
    parts: dict[str, list] = {path: [] for path in paths}
    drawn: dict[str, np.ndarray] = {}
    total = num_examples(inputs)
    for start in range(0, total, _BATCH):
        outputs = read(examples(inputs, start, start + _BATCH))
        for path, output in zip(paths, outputs, strict=True):
            values = as_floats(output).astype(np.float32)
            values = values.reshape(len(values), -1, values.shape[-1])
            if path not in drawn:
                rng = np.random.default_rng(derive_seed(seed, "positions", path))
                drawn[path] = rng.integers(0, values.shape[1], total, dtype=np.int32)
            own = drawn[path][start : start + len(values)]
            parts[path].append(values[np.arange(len(values)), own])
    return {path: Representation(np.concatenate(parts[path]), drawn[path]) for path in paths}


def _output_of(_, output):
    return output


class RepresentationSampler(Measurement):
    """Samples the representations of the trained model when its arrays are asked for.

    It measures nothing during the training.

    Args:
        inputs: array `(n, ...)`, scaled as in training.
        ids: names of these examples, array `(n,)`.
    """

    array_prefix = "representation"

    def __init__(self, inputs: np.ndarray, ids: np.ndarray):
        super().__init__()
        self.inputs = inputs
        self.ids = ids

    def on_train_begin(self, logs=None):
        pass

    def on_epoch_begin(self, epoch, logs=None):
        pass

    def on_train_batch_end(self, batch, logs=None):
        pass

    def on_epoch_end(self, epoch, logs=None):
        pass

    def on_train_end(self, logs=None):
        pass

    def arrays(self):
        arrays = {"ids": self.ids}
        # Not the run's own seed: all runs are sampled at the same positions.
        for path, layer in sample_representations(self.model, self.inputs, seed=0).items():
            arrays[f"{path}/sample"] = layer.sample
            arrays[f"{path}/positions"] = layer.positions
        return arrays

    @classmethod
    def of_stage(cls, view):
        num = view.settings.keep_representations
        if not num:
            return []
        inputs = view.images("test", num)
        return [cls(inputs, view.labels("test").ids[: len(inputs)])]
