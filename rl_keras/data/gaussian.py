"""`gaussian`: vectors from a normal distribution with known variances.

Here the covariance of the inputs is known exactly, so theory can be compared
with a network without estimating anything. There are no true labels.

With two variances, a large one for a few directions and 1 for all others, these are the
spiked covariates of Ghorbani et al. (NeurIPS 2020, arXiv 2006.13409), of Gaussian blocks
where theirs are uniform on spheres: `--gaussian_variances=9,1 --gaussian_counts=16,1008
--gaussian_rotation=1`.
"""

import contextlib
import types
from collections.abc import Sequence

import numpy as np

from rl_keras.data.slices import resolve_slice
from rl_keras.errors import UsageError
from rl_keras.science.alignment import random_basis
from rl_keras.seeds import derive_seed
from rl_keras.settings.data import SYNTHETIC


class GaussianSource:
    """Vectors from a normal distribution, by default `N(0, diag(variances))`.

    It has the interface of `TfdsSource`.

    Example `i` is computed from the split and `i` alone, so it is the same in
    every slice, whatever `num_examples` is.

    Args:
        variances: `d` positive numbers.
        num_examples: size of the split `train`. The split `test` has a tenth of
            it, and at least 1,000.
        rotation: seed of the random orthonormal basis along which the variances
            lie; 0 for the axes of the inputs themselves.

    Raises:
        UsageError: no variances, one that is not positive, or no examples.

    Example:
        >>> GaussianSource((4.0, 1.0), num_examples=10).vectors("train", 0, 3).shape
        (3, 2)
    """

    name = SYNTHETIC
    dtype = np.dtype(np.float32)
    num_classes = None
    class_names = None

    def __init__(self, variances: Sequence[float], num_examples: int, rotation: int = 0):
        self._deviations = np.sqrt(np.asarray(variances, np.float64).clip(min=0))
        if not self._deviations.size or not (np.isfinite(self._deviations).all()):
            raise UsageError(
                "--dataset=gaussian needs one finite variance for each input dimension in "
                f"--gaussian_variances. Received: {list(variances)}"
            )
        if self._deviations.min() <= 0:
            raise UsageError(f"--gaussian_variances must be positive. Received: {min(variances)}")
        if num_examples < 1:
            raise UsageError(f"--gaussian_examples must be at least 1. Received: {num_examples}")
        self._basis = random_basis(len(self._deviations), rotation) if rotation else None
        self.image_shape = self._deviations.shape
        self.splits = {"train": num_examples, "test": max(1000, num_examples // 10)}

    def slice_of(self, spec: str) -> tuple[tuple[str, int, int], ...]:
        """Returns `(split, start, stop)` for each part of a TFDS slicing text."""
        infos = {
            name: types.SimpleNamespace(num_examples=size, shard_lengths=[size])
            for name, size in self.splits.items()
        }
        return resolve_slice(spec, infos)

    def identify(self, split: str) -> tuple[np.ndarray, None]:
        """Returns the ids of a whole split, and `None` for the absent true labels."""
        names = [f"{split}_{index:07d}" for index in range(self.splits[split])]
        return np.array(names, dtype=np.bytes_), None

    def refusing_damage(self):
        """Returns a context that does nothing: there are no files to be damaged."""
        return contextlib.nullcontext()

    def vectors(self, split: str, start: int, stop: int) -> np.ndarray:
        """Returns examples `start` to `stop` as float32 array `(stop - start, d)`."""
        (dimension,) = self.image_shape
        # Philox counts blocks of four words, so each example starts at a block of its own.
        num_blocks = -(-dimension // 4)
        generator = np.random.Philox(
            key=derive_seed(0, "gaussian", split), counter=start * num_blocks
        )
        words = generator.random_raw((stop - start) * num_blocks * 4).reshape(-1, 2)
        # Box and Muller: NumPy promises the words for ever, but not its own normal numbers.
        uniform = ((words >> np.uint64(11)) + 0.5) * 2.0**-53
        radius, angle = np.sqrt(-2 * np.log(uniform[:, 0])), 2 * np.pi * uniform[:, 1]
        normal = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
        normal = normal.reshape(stop - start, num_blocks * 4)[:, :dimension]
        scaled = normal * self._deviations
        if self._basis is not None:
            # Not a matrix product, whose rounding depends on how many rows there are.
            scaled = np.einsum("ni,di->nd", scaled, self._basis)
        return scaled.astype(np.float32)

    def read(self, spec: str):
        """Returns a `tf.data.Dataset` of dicts: `image` float32 `(d,)` and `id`."""
        import tensorflow as tf

        from rl_keras.data.options import pipeline_options

        datasets = []
        for split, start, stop in self.slice_of(spec):
            columns = {
                "image": self.vectors(split, start, stop),
                "id": self.identify(split)[0][start:stop],
            }
            datasets.append(tf.data.Dataset.from_tensor_slices(columns))
        dataset = datasets[0]
        for other in datasets[1:]:
            dataset = dataset.concatenate(other)
        return dataset.with_options(pipeline_options())
