"""How many inputs does each unit respond to, while training and across the task switch?"""

from collections.abc import Sequence

import numpy as np
from keras import ops

from rl_keras.callbacks.batches import batches_of_inputs, first_batch
from rl_keras.callbacks.layers import dies, named_layers, nonlinear_layers, survey
from rl_keras.callbacks.measurement import Measurement, Schedule, structured
from rl_keras.callbacks.reading import capture
from rl_keras.science.activity import LayerActivity, layer_activity

PROBE_EXAMPLES = 256


class ActivationTracker(Measurement):
    """Follows how many units of each layer are active, on a fixed batch of inputs.

    A unit is active where the layer's output is positive. For a convolution each
    position of each example counts as one input, since almost every channel is
    active somewhere in an image.

    Args:
        data: the probe: whatever `fit` takes as inputs (see `batches.batches_of_inputs`), of
            which the first `max_examples` examples are kept.
        layers: names or paths of layers; by default all that end in a non-linearity
            or are one, such as `ReLU`, the head left out. In a model without any, all
            Conv2D and Dense layers but the last.
        schedule: when to measure, such as `every(20)`.
        writers: where scalars go as well.
        max_examples: size of the probe.
        name: put in front of the names of scalars.

    Attributes:
        activity: by layer path, a structured array with fields `step`,
            `fraction_active` `(units,)`, `mean_activation` `(units,)`,
            `dead_units`, `rarely_active` and `effective_rank`. A dead unit gets no gradient any
            more: `dead_units` is NaN, and not written, for activations that have a slope
            wherever their input is negative, such as LeakyReLU, ELU or GELU.

    Raises:
        ValueError: when training begins, if there is no layer to track, or the model's only
            non-linearities are functions between its layers, such as `ops.relu`.

    Reference:
        Maennel et al., NeurIPS 2020, Figure 7.

    Example:
        >>> tracker = ActivationTracker(images[:256])
        >>> model.fit(images, labels, callbacks=[tracker])
        >>> tracker.activity["dense1"]["dead_units"]
    """

    def __init__(
        self,
        data,
        layers: Sequence[str] | None = None,
        schedule: Schedule | None = None,
        writers: Sequence = (),
        max_examples: int = PROBE_EXAMPLES,
        name: str = "",
    ):
        super().__init__(schedule, writers, name)
        self.data = data
        self.layers = layers
        self.max_examples = max_examples

    def sample(self):
        return first_batch(self.data, limit=1, model=self.model)

    def prepare(self):
        self._probe = list(batches_of_inputs(self.data, self.max_examples, model=self.model))
        self._paths = self._find_paths()
        layers = named_layers(self.model)
        self._dies = {path: dies(layers[path]) for path in self._paths}
        self._read = capture(self.model, [layers[path] for path in self._paths], _unit_sums)

    def _find_paths(self):
        if self.layers is None:
            layers = survey(self.model, self._probe[0])
            paths = layers.chosen
            self._tell_of(layers)
            expected = "a Conv2D or Dense layer before the head"
        else:
            known = named_layers(self.model)
            paths = list(self.layers)
            missing = [path for path in paths if path not in known]
            if missing:
                raise ValueError(
                    f"model {self.model.name!r} has no layer {missing[0]!r}. "
                    f"Expected one of: {', '.join(known)}"
                )
            expected = "at least one layer in `layers`"
        if not paths:
            raise ValueError(
                f"model {self.model.name!r} has no layer to track. Expected {expected}."
            )
        return paths

    def _tell_of(self, layers):
        passed = "; ".join(f"not {path!r}: {why}" for path, why in layers.passed_over.items())
        self.tell(f"follows {', '.join(layers.chosen) or 'no layer'}{passed and '; ' + passed}.")

    def measure(self, step):
        record = {}
        for path, activity in self.read_activity().items():
            values = vars(activity)
            if not self._dies[path]:
                values = {**values, "dead_units": np.nan}
            for name in ("dead_units", "rarely_active", "effective_rank"):
                if not np.isnan(values[name]):
                    self.write_scalar(step, f"activity/{path}/{name}", values[name])
            for name, value in values.items():
                record[f"{path}:{name}"] = value
        return record

    def read_activity(self) -> dict[str, LayerActivity]:
        """Measures the model as it is now, by layer path."""
        parts = [
            [[ops.convert_to_numpy(value) for value in layer] for layer in self._read(batch)]
            for batch in self._probe
        ]
        result = {}
        for number, path in enumerate(self._paths):
            active, positions, profiles = zip(*(part[number] for part in parts), strict=True)
            profile = np.concatenate(profiles)
            result[path] = layer_activity(
                fraction_active=np.sum(active, axis=0, dtype=np.float64) / np.sum(positions),
                mean_activation=profile.mean(axis=0, dtype=np.float64),
                profile=profile,
            )
        return result

    @property
    def activity(self) -> dict[str, np.ndarray]:
        records, result = self.records, {}
        for path in self._paths:
            names = [name for name in records.dtype.names or () if name.startswith(f"{path}:")]
            fields = {name.removeprefix(f"{path}:"): records[name] for name in names}
            result[path] = structured({"step": records["step"], **fields})
        return result

    array_prefix = "activity"

    def arrays(self):
        return {
            f"{path}/{name}": records[name]
            for path, records in self.activity.items()
            for name in records.dtype.names
        }

    @classmethod
    def of_stage(cls, view):
        if not nonlinear_layers(view.model):  # a linear model has no units
            return []
        # The downstream examples in both stages, so that the switch of tasks can be seen.
        probe = view.images("downstream", PROBE_EXAMPLES)
        return [cls(probe, schedule=view.schedule, writers=view.writers)]


def _unit_sums(_, outputs):
    """Counts of active inputs, how many there are, and each example's mean over positions.

    A product with ones counts columns in 0.6 of the time of `ops.sum` over the first axis, and
    the mean of all inputs follows from those of the examples: the large outputs of a
    convolution are read twice, not three times.
    """
    outputs = ops.cast(outputs, "float32")
    flat = ops.reshape(outputs, (-1, outputs.shape[-1]))
    num = ops.shape(flat)[0]
    active = ops.matmul(ops.ones((1, num)), ops.cast(flat > 0, "float32"))[0]
    by_example = ops.reshape(outputs, (ops.shape(outputs)[0], -1, outputs.shape[-1]))
    return active, num, ops.mean(by_example, axis=1)
