"""How far is a linear model on its way to the interpolant of least norm?"""

from collections.abc import Sequence

import numpy as np

from rl_keras.callbacks.batches import as_floats, batches_of_inputs, first_batch
from rl_keras.callbacks.inputs import input_of
from rl_keras.callbacks.layers import alignable_layers, effective_kernel
from rl_keras.callbacks.measurement import Measurement, Schedule
from rl_keras.callbacks.predictions import class_numbers
from rl_keras.callbacks.reading import capture
from rl_keras.errors import UsageError
from rl_keras.science.interpolation import gaussian_kernel, interpolate, linear_kernel

_FOR_WIDTH = 1000  # examples whose distances set the width of the Gaussian kernel


class MinimumNormTracker(Measurement):
    """Compares the last layer with the weights of least norm that fit all training labels.

    They are worked out when training begins, by a Cholesky factorisation of the Gram
    matrix of the layer's inputs: `8 n^2` bytes. Beside them stands the interpolant of least
    norm of the Gaussian kernel on the model's own inputs, its width set by the median
    distance of examples.

    Args:
        inputs: array `(n, ...)`, all training examples, scaled as in training.
        labels: integer labels `(n,)` or `(n, 1)`, or one-hot `(n, num_classes)`.
        num_classes: units of the last layer.
        test_inputs: array `(m, ...)`.
        test_labels: as `labels`, of `m` examples.
        schedule: when to measure.
        writers: where scalars go as well.
        name: put in front of the names of scalars.

    Attributes:
        records: structured array with fields `step`, `norm` (of the weights), `distance` (to
            those of least norm, in their norm), `residual` (root mean square over examples
            and classes), `train_error` and `test_error`, as fractions.
        solutions: by `"linear"` and `"gaussian"` a dict of `norm`, `train_error` and
            `test_error`.

    Raises:
        UsageError: when training begins, if the layer has no more inputs than there are
            examples, so that it cannot fit any labels.

    Reference:
        Zhang et al., ICLR 2017, arXiv 1611.03530, Section 5.

    Example:
        >>> tracker = MinimumNormTracker(x, y, 10, x_test, y_test, schedule=every(100))
        >>> linear().fit(dataset, callbacks=[tracker])
        >>> tracker.records["distance"]
    """

    def __init__(
        self,
        inputs: np.ndarray,
        labels: np.ndarray,
        num_classes: int,
        test_inputs: np.ndarray,
        test_labels: np.ndarray,
        schedule: Schedule | None = None,
        writers: Sequence = (),
        name: str = "",
    ):
        super().__init__(schedule, writers, name)
        self.inputs, self.labels = inputs, class_numbers(labels)
        self.test_inputs, self.test_labels = test_inputs, class_numbers(test_labels)
        self.num_classes = num_classes
        self.solutions: dict[str, dict[str, float]] = {}

    def sample(self):
        return first_batch(self.inputs, limit=1, model=self.model)

    def prepare(self):
        self._head = list(alignable_layers(self.model, self.sample()).values())[-1]
        self._read = capture(self.model, [self._head], input_of)
        self._features = self._features_of(self.inputs)
        self._test_features = self._features_of(self.test_inputs)
        self._targets = np.eye(self.num_classes)[self.labels]
        num, dim = self._features.shape
        if num >= dim:
            raise UsageError(
                f"--minimum_norm needs more inputs to the last layer than examples, {num}; take "
                f"fewer examples, or more --random_filters. Received: {dim} inputs"
            )
        solution = interpolate(self._features, self._targets, linear_kernel)
        self._least = self._features.T @ solution.coefficients
        train, test = self._errors(self._least)
        self.solutions["linear"] = {
            "norm": solution.norm,
            "train_error": train,
            "test_error": test,
        }
        self.solutions["gaussian"] = self._gaussian()

    def measure(self, step):
        weights = effective_kernel(self._head).astype(np.float64)
        train, test = self._errors(weights)
        residual = self._features @ weights - self._targets
        gap = np.linalg.norm(weights - self._least) / np.linalg.norm(self._least)
        record = {
            "norm": float(np.linalg.norm(weights)),
            "distance": float(gap),
            "residual": float(np.sqrt(np.mean(residual**2))),
            "train_error": train,
            "test_error": test,
        }
        for name, value in record.items():
            self.write_scalar(step, f"minimum_norm/{name}", value)
        return record

    def _features_of(self, inputs):
        batches = batches_of_inputs(inputs, limit=len(inputs), model=self.model)
        read = (as_floats(self._read(batch)[0]) for batch in batches)
        return np.concatenate(list(read)).astype(np.float64)

    def _errors(self, weights):
        pairs = (self._features, self.labels), (self._test_features, self.test_labels)
        return [float(np.mean((x @ weights).argmax(1) != labels)) for x, labels in pairs]

    def _gaussian(self):
        flat, test = (x.reshape(len(x), -1) for x in (self.inputs, self.test_inputs))
        some = flat[:_FOR_WIDTH].astype(np.float64)
        squares = np.einsum("nd,nd->n", some, some)
        distances = (squares[:, None] + squares - 2 * some @ some.T)[np.triu_indices(len(some), 1)]
        kernel = gaussian_kernel(1 / float(np.median(distances)))
        solution = interpolate(flat, self._targets, kernel)
        train, held_out = (
            float(np.mean(solution.predict(x).argmax(1) != labels))
            for x, labels in ((flat, self.labels), (test, self.test_labels))
        )
        return {"norm": solution.norm, "train_error": train, "test_error": held_out}

    array_prefix = "minimum_norm"

    def arrays(self):
        return super().arrays() | {
            f"{kind}/{name}": np.array(value)
            for kind, solution in self.solutions.items()
            for name, value in solution.items()
        }

    @classmethod
    def of_stage(cls, view):
        if not view.settings.minimum_norm:
            return []
        return [
            cls(
                *(view.images("train"), view.labels("train").given, view.num_outputs),
                *(view.images("test"), view.labels("test").given),
                schedule=view.schedule,
                writers=view.writers,
            )
        ]
