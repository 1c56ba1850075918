"""Do the filters come to resemble the gradients of the network's outputs at their patches?"""

from collections.abc import Sequence

import keras
import numpy as np

from rl_keras.callbacks.batches import (
    as_tensors,
    batches_of_inputs,
    examples,
    first_batch,
    num_examples,
)
from rl_keras.callbacks.layers import effective_kernel, find_layer
from rl_keras.callbacks.measurement import Measurement, Schedule
from rl_keras.callbacks.reading import output_gradients
from rl_keras.science.feature_alignment import (
    GradientMoments,
    feature_alignment,
    unit_permutation_test,
)
from rl_keras.science.filters import kernel_to_rows
from rl_keras.seeds import derive_seed

# What is compared, by the beginning of a field's name. Fresh filters are isotropic and score
# near 1 in the first; the last two ask for the change since training began.
FORMS = ("gram", "traceless", "change", "change_traceless")
NUM_DRAWS = 99
_MOST_DIMENSIONS = 300  # beyond, draws of the null would take longer than training
_MOST_UNITS = 1024  # likewise
_STAGE_EXAMPLES = 128  # in a run
_BATCH = 16  # gradients of 16 images at 256 filters and 10 outputs are 150 MB


class FeatureAlignmentTracker(Measurement):
    """Follows the correlation of a layer's filters with the average gradient outer product.

    The gradients are those of the model's outputs, not of the loss, taken at the
    pre-activations of the layer: those at its patches follow from the filters, see
    `science.feature_alignment`. So the filters stand on both sides of the comparison. What that
    alone gives is recorded beside it: the value for an identity moment of the gradients
    (1 unless initial filters are subtracted), for one as correlated as the filters are, and
    for gradients handed to the filters in a random order.

    Args:
        data: whatever `fit` takes as inputs (see `batches.batches_of_inputs`); the first
            `max_examples` count.
        layer: name, path or index of a Conv2D or Dense layer; the first by default.
        schedule: when to measure, such as `every(100)`.
        writers: where scalars go as well.
        max_examples: examples whose gradients are averaged.
        max_outputs: a model with more outputs is measured by so many random Gaussian
            combinations of them, which give the same moments in expectation.
        seed: seed of these and of the random orders.
        name: put in front of the names of scalars.

    Attributes:
        records: structured array with fields `step`, `filters` float32 `(num_filters, d)`
            and, for each FORM of `FORMS`, `FORM_observed` and `FORM_centered` (with the mean
            gradient of each output subtracted), `FORM_identity`, `FORM_own_gram`, and of
            the random orders `FORM_permuted`, their mean, `FORM_permuted_low` and `_high`, 95%
            of them. `traceless` takes the isotropic part out of both matrices; `change`
            subtracts the first filters in the Gram matrix but not in the gradients, and
            is NaN at the first record. All is NaN once a dead network has no gradients, and
            the random orders are beyond 300 dimensions and 1,024 units.
        layer_path: the path of the measured layer.

    Raises:
        ValueError: when training begins, if there is no such layer.
        NotImplementedError: when training begins, on another backend than TensorFlow.

    Reference:
        Radhakrishnan et al., Science 383 (2024), arXiv 2212.13881; Beaglehole et al.,
        arXiv 2309.00570, for patches.

    Example:
        >>> features = FeatureAlignmentTracker(images[:256], layer="conv1", schedule=every(50))
        >>> model.fit(dataset, callbacks=[features])
        >>> features.records[["step", "change_observed", "change_identity"]]
    """

    def __init__(
        self,
        data,
        layer: str | int = 0,
        schedule: Schedule | None = None,
        writers: Sequence = (),
        max_examples: int = 256,
        max_outputs: int = 10,
        seed: int = 0,
        name: str = "",
    ):
        super().__init__(schedule, writers, name)
        self.data = data
        self.layer = layer
        self.max_examples = max_examples
        self.max_outputs = max_outputs
        self.seed = seed
        self.layer_path: str | None = None

    def sample(self):
        return first_batch(self.data, limit=1, model=self.model)

    def prepare(self):
        first = self.sample()
        self.layer_path, self._layer = find_layer(self.model, self.layer, first)
        batches = [*batches_of_inputs(self.data, self.max_examples, model=self.model)]
        inputs = keras.tree.map_structure(lambda *parts: np.concatenate(parts), *batches)
        total = num_examples(inputs)
        self._batches = [examples(inputs, i, i + _BATCH) for i in range(0, total, _BATCH)]
        self._gradients = output_gradients(self.model, self._layer)
        outputs = self.model(as_tensors(examples(inputs, 0, 1)), training=False)
        if len(keras.tree.flatten(outputs)) != 1:
            raise ValueError(
                f"model {self.model.name!r} must have one output, whose gradients are taken. "
                f"Received: {len(keras.tree.flatten(outputs))} outputs"
            )
        num_outputs = int(np.prod(keras.tree.flatten(outputs)[0].shape[1:]))
        self._weights = self._combinations(num_outputs)

    def _combinations(self, num_outputs):
        """The outputs themselves or random combinations, the same for all examples."""
        if num_outputs <= self.max_outputs:
            return np.eye(num_outputs, dtype=np.float32)
        rng = np.random.default_rng(derive_seed(self.seed, "output_combinations"))
        drawn = rng.standard_normal((num_outputs, self.max_outputs)) / np.sqrt(self.max_outputs)
        return drawn.astype(np.float32)

    def gradient_moments(self) -> GradientMoments:
        """Measures the model as it is now."""
        moments = GradientMoments()
        for batch in self._batches:
            moments.update(keras.ops.convert_to_numpy(self._gradients(batch, self._weights)))
        return moments

    def measure(self, step):
        moments = self.gradient_moments()
        rows = kernel_to_rows(effective_kernel(self._layer))
        initial = np.asarray(self._rows[0]["filters"], np.float64) if self._rows else rows
        record = {"filters": rows.astype(np.float32)}
        for form in FORMS:
            rng = np.random.default_rng(derive_seed(self.seed, "unit_orders", form, step))
            options = {
                "initial_rows": initial if form.startswith("change") else None,
                "without_isotropic": form.endswith("traceless"),
            }
            for name, value in _compare(rows, moments, rng, options).items():
                record[f"{form}_{name}"] = value
        for form in ("gram", "change"):
            for name in ("observed", "centered", "identity"):
                value = record[f"{form}_{name}"]
                if not np.isnan(value):
                    self.write_scalar(
                        step, f"feature_alignment/{self.layer_path}/{form}_{name}", value
                    )
        return record

    @property
    def array_prefix(self):
        return f"feature_alignment/{self.layer_path}"

    @classmethod
    def of_stage(cls, view):
        return [
            cls(
                view.images("train", _STAGE_EXAMPLES),
                layer=path,
                schedule=view.schedule,
                writers=view.writers,
                max_examples=_STAGE_EXAMPLES,
                seed=view.seed("feature_alignment", path),
            )
            for path in (view.alignment_layers if view.settings.feature_alignment else ())
        ]


def _compare(rows, moments, rng, options):
    """One form of the comparison, as numbers by name."""
    uncentered = moments.moment()
    found = feature_alignment(rows, uncentered, **options)
    centered = feature_alignment(rows, moments.moment(centered=True), **options)
    mean = low = high = np.nan
    is_small = rows.shape[1] <= _MOST_DIMENSIONS and len(rows) <= _MOST_UNITS
    if is_small and not np.isnan(found.observed):
        null = unit_permutation_test(rows, uncentered, NUM_DRAWS, rng, **options)
        mean, (low, high) = null.draws.mean(), null.quantiles((0.025, 0.975))
    return {
        "observed": found.observed,
        "centered": centered.observed,
        "identity": found.identity,
        "own_gram": found.own_gram,
        "permuted": float(mean),
        "permuted_low": float(low),
        "permuted_high": float(high),
    }
