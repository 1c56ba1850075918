"""Which callbacks a stage carries, and the arrays they leave."""

import keras
import numpy as np

from rl_keras.callbacks import (
    ActivationTracker,
    CovarianceAlignment,
    FeatureAlignmentTracker,
    IntervalLoss,
    MemorisationTracker,
    ProbeAccuracy,
    Schedule,
    every,
    logarithmic,
)
from rl_keras.callbacks.layers import nonlinear_layers
from rl_keras.callbacks.measurement import Measurement
from rl_keras.callbacks.minimum_norm import MinimumNormTracker
from rl_keras.callbacks.representations import sample_representations
from rl_keras.errors import UsageError
from rl_keras.experiments.plan import StagePlan
from rl_keras.experiments.run_data import RunData
from rl_keras.science.summaries import area_under_curve, first_step_reaching
from rl_keras.seeds import derive_seed
from rl_keras.settings.measure import MeasureConfig

ACTIVITY_EXAMPLES = 256
GRADIENT_EXAMPLES = 128
THRESHOLDS = (50, 80, 90, 95)  # per cent


class Measures:
    """The measurements of one stage.

    Args:
        stage: which stage.
        material: its data.
        model: the model that will be trained.
        writers: where scalars go.
    """

    def __init__(self, stage: StagePlan, material: RunData, model: keras.Model, writers: list):
        config = material.plan.config.measure
        schedule = measure_schedule(config, stage)
        inputs = material.moments(stage, model)
        self.alignments = [
            CovarianceAlignment(
                inputs[path],
                layer=path,
                schedule=schedule,
                writers=writers,
                num_random_bases=config.random_bases,
                seed=derive_seed(stage.key.seed, "random_bases", path),
                max_examples=config.moment_examples,
                few_filters=config.few_filters,
                keep_filters=config.keep_filters,
                null_draws=config.null_draws,
                group_eigenvalues=config.group_eigenvalues,
            )
            for path in material.plan.alignment_layers
        ]
        self.activations = []
        if nonlinear_layers(model):  # a linear model has no units
            # The downstream examples in both stages, so that the switch can be seen.
            probe = material.scaled(material.downstream, ACTIVITY_EXAMPLES)
            options = {"writers": writers, "max_examples": ACTIVITY_EXAMPLES}
            self.activations.append(ActivationTracker(probe, schedule=schedule, **options))
        self.loss = IntervalLoss(every(config.probe_every), writers, restart_metrics=True)
        self.probes = {
            name: ProbeAccuracy(
                *material.probe(stage, test=name == "test"),
                name=f"{name}_probe",
                schedule=every(config.probe_every) if name == "train" else schedule,
                writers=writers,
                batch_size=stage.settings.batch_size,
            )
            for name in ("train", "test")
        }
        self.ledgers = [_ledger(stage, material, writers)] if config.ledger else []
        self.features = [
            FeatureAlignmentTracker(
                material.scaled(material.slice_of(stage), GRADIENT_EXAMPLES),
                layer=path,
                schedule=schedule,
                writers=writers,
                max_examples=GRADIENT_EXAMPLES,
                seed=derive_seed(stage.key.seed, "feature_alignment", path),
            )
            for path in (material.plan.alignment_layers if config.feature_alignment else ())
        ]
        self.minimum = [_minimum(stage, material, schedule, writers)] if config.minimum_norm else []
        self._model, self._material, self._stage = model, material, stage

    def callbacks(self) -> list[Measurement]:
        always = [self.loss, *self.probes.values(), *self.alignments, *self.activations]
        return [*always, *self.ledgers, *self.features, *self.minimum]

    def rows(self) -> list[list[dict]]:
        """Returns what each callback has recorded, in the order of `callbacks`."""
        return [callback.rows for callback in self.callbacks()]

    def resume(self, rows: list[list[dict]]) -> None:
        """Makes every callback go on after its rows."""
        for callback, own in zip(self.callbacks(), rows, strict=True):
            callback.resume(own)

    def arrays(self) -> dict[str, np.ndarray]:
        """Returns everything that was recorded, by the names of `arrays/*.npz`."""
        arrays = {}
        for alignment in self.alignments:
            prefix = f"alignment/{alignment.layer_path}"
            arrays |= _fields(prefix, alignment.records)
            arrays[f"{prefix}/eigenvalues"] = alignment.spaces.values
            arrays[f"{prefix}/eigenvectors"] = alignment.spaces.vectors
            sizes = [group.stop - group.start for group in alignment.spaces.groups]
            arrays[f"{prefix}/group_sizes"] = np.array(sizes)
            arrays[f"{prefix}/filters"] = alignment.filter_rows()
        for activations in self.activations:
            for path, records in activations.activity.items():
                arrays |= _fields(f"activity/{path}", records)
        for name, probe in self.probes.items():
            arrays |= _fields(f"probe/{name}", probe.records)
        for ledger in self.ledgers:
            arrays |= {f"ledger/{name}": value for name, value in ledger.arrays().items()}
        for features in self.features:
            arrays |= _fields(f"feature_alignment/{features.layer_path}", features.records)
        for minimum in self.minimum:
            arrays |= _fields("minimum_norm", minimum.records)
            for kind, found in minimum.solutions.items():
                arrays |= {f"minimum_norm/{kind}/{n}": np.array(v) for n, v in found.items()}
        return arrays | self._representations()

    def _representations(self):
        """What each hidden layer says about the first test examples, now."""
        num = self._material.plan.config.measure.keep_representations
        if not num:
            return {}
        inputs = self._material.scaled(self._material.test, num)
        ids = self._material.labels(self._stage, test=True).ids
        arrays = {"representation/ids": ids[: len(inputs)]}
        # Not the run's own seed: all runs are sampled at the same positions.
        for path, found in sample_representations(self._model, inputs, seed=0).items():
            arrays[f"representation/{path}/sample"] = found.sample
            arrays[f"representation/{path}/positions"] = found.positions
        return arrays

    def summary(self) -> dict[str, float | int | None]:
        """Returns best accuracies, steps to fixed accuracies, and the area under the curve."""
        train, test = self.probes["train"].records, self.probes["test"].records
        steps, accuracy = train["step"], train["accuracy"]
        reached = {
            f"steps_to_{percent}": first_step_reaching(steps, accuracy, percent / 100)
            for percent in THRESHOLDS
        }
        return {
            "best_train_accuracy": float(accuracy.max()),
            "best_test_accuracy": float(test["accuracy"].max()),
            **reached,
            "area_under_train_curve": float(area_under_curve(steps, accuracy)),
        }


def measure_schedule(config: MeasureConfig, stage: StagePlan) -> Schedule:
    """Returns the schedule of alignment and activations for a stage."""
    if config.measure_schedule == "linear":
        return every(config.measure_every)
    return logarithmic(stage.num_steps, config.measure_points, stage.settings.steps_per_execution)


def _minimum(stage, material, schedule, writers):
    parts = material.slice_of(stage), material.test
    if any(part.examples is None for part in parts):
        raise UsageError(
            "--minimum_norm needs the upstream and the test split in memory; take smaller ones, "
            f"or raise --max_resident_mb. Received: {material.plan.config.data.max_resident_mb}"
        )
    (inputs, test), tables = (
        [material.scaled(part, part.num_examples) for part in parts],
        [material.labels(stage, test=is_test) for is_test in (False, True)],
    )
    given, test_given = (table.given for table in tables)
    return MinimumNormTracker(
        inputs, given, stage.head_units, test, test_given, schedule=schedule, writers=writers
    )


def _ledger(stage, material, writers):
    inputs, given = material.probe(stage, test=False)
    table = material.labels(stage)
    return MemorisationTracker(
        inputs,
        given,
        table.true[: len(given)],
        ids=table.ids[: len(given)],
        schedule=every(material.plan.config.measure.probe_every),
        writers=writers,
        batch_size=stage.settings.batch_size,
    )


def _fields(prefix, records):
    return {f"{prefix}/{name}": records[name] for name in records.dtype.names}
