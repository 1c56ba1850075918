"""The data of a run: examples read once, scaled in one way, labelled by seed."""

import dataclasses
from collections.abc import Iterator, Sequence

import keras
import numpy as np

from rl_keras.callbacks.inputs import SharedInputs, new_moments
from rl_keras.callbacks.layers import alignable_layers
from rl_keras.callbacks.measurement import Schedule, every, logarithmic
from rl_keras.data.augmentation import Augmentation
from rl_keras.data.examples import Examples, fits_in_memory, load_examples
from rl_keras.data.label_table import LabelTable, label_table, load_labels, save_labels
from rl_keras.data.labels import LabelMap
from rl_keras.data.pipeline import (
    eval_dataset,
    image_batches,
    streaming_dataset,
    streaming_eval_dataset,
    train_dataset,
)
from rl_keras.data.scaling import Scaling, fit_scaling
from rl_keras.data.slices import num_examples
from rl_keras.errors import UsageError
from rl_keras.experiments.plan import Plan, StagePlan
from rl_keras.science.patches import PatchMoments
from rl_keras.seeds import derive_seed
from rl_keras.settings.measure import MeasureConfig
from rl_keras.storage.run_folder import RunDirectory, stage_keys


@dataclasses.dataclass(frozen=True)
class Slice:
    """One slice of the data set; `examples` is `None` if it does not fit in memory."""

    spec: str
    num_examples: int
    examples: Examples | None
    first: Examples  # the first few, always in memory: probes and moments


class RunData:
    """What all seeds and stages of a run share of the data.

    Args:
        plan: from `make_plan`.
        directory: where label tables are kept.
        slices: slices that were read already, which several runs may share.
    """

    def __init__(self, plan: Plan, directory: RunDirectory, slices: dict | None = None):
        self.plan = plan
        self._slices = {} if slices is None else slices
        self.directory = directory
        config = plan.config
        self.upstream = self._read(config.upstream.split)
        # Without a downstream stage activity is measured on upstream examples.
        has_arms = bool(config.transfer.arms)
        self.downstream = self._read(config.downstream.split) if has_arms else self.upstream
        self.test = self._read(config.data.test_split)
        # Augmentation cuts its squares out of whole images; everything else sees their centres.
        self._uncropped = {
            key.stage: self._read(getattr(config, key.stage).split, plan.source.original, first=0)
            for key in stage_keys(config)
            if getattr(config, key.stage).augmentation != "none"
        }
        self.scaling: Scaling = self._fit_scaling()
        self._tables: dict[tuple, LabelTable] = {}
        self._moments: dict[str, PatchMoments] = {}

    def slice_of(self, stage: StagePlan, test: bool = False) -> Slice:
        """Returns the slice on which a stage is trained, or tested."""
        if test:
            return self.test
        return self.upstream if stage.key.stage == "upstream" else self.downstream

    def labels(self, stage: StagePlan, test: bool = False) -> LabelTable:
        """Returns the label table of a stage's training or test slice."""
        name, kind, seed = stage.key.stage, stage.key.labels, stage.key.seed
        if (name, kind, seed, test) not in self._tables:
            settings = stage.settings
            label_map = LabelMap(
                kind=kind,
                seed=derive_seed(seed, "labels", name),
                num_classes=stage.num_classes,
                corruption=settings.corruption if kind == "partial" else 0.0,
                corruption_kind=settings.corruption_kind,
            )
            spec = self.plan.config.data.test_split if test else settings.split
            table = label_table(self.plan.source, spec, label_map)
            self._tables[name, kind, seed, test] = table
        return self._tables[name, kind, seed, test]

    def checked_labels(self, stage: StagePlan) -> LabelTable:
        """Returns the training labels of a stage, compared with those the folder holds.

        Raises:
            UsageError: if the folder holds other labels for this stage.
        """
        table = self.labels(stage)
        path = self._labels_path(stage)
        if path.exists() and load_labels(path).sha256 != table.sha256:
            raise UsageError(
                f"{path} holds other labels than the data set gives now; the data were prepared "
                "differently or changed. Use the old --data_dir, or a new --workdir. "
                f"Received: labels with SHA-256 {table.sha256[:12]}"
            )
        return table

    def store_labels(self, stage: StagePlan) -> LabelTable:
        """Writes the training labels of a stage, unless the folder holds them already."""
        table = self.checked_labels(stage)
        path = self._labels_path(stage)
        if not path.exists():
            save_labels(path, table)
        return table

    def train_dataset(self, stage: StagePlan, start_step: int = 0):
        """Returns the batches of a stage from a step on, the same for all starts of a seed."""
        part, settings = self.slice_of(stage), stage.settings
        source, augmentation = self.plan.source, None
        if settings.augmentation != "none":
            part, source = self._uncropped[stage.key.stage], source.original
            seed = derive_seed(stage.key.seed, "augmentation", stage.key.stage)
            size = self.plan.config.data.crop_size
            augmentation = Augmentation(settings.augmentation, size, seed)
        table = self.labels(stage)
        order = derive_seed(stage.key.seed, "order", stage.key.stage)
        common = (self.scaling, settings.batch_size, stage.num_steps, order, start_step)
        if part.examples is not None:
            return train_dataset(part.examples, table.given, *common, augmentation=augmentation)
        return streaming_dataset(
            source,
            part.spec,
            table.given,
            *common,
            shuffle_buffer=self.plan.config.data.shuffle_buffer,
            augmentation=augmentation,
        )

    def eval_dataset(self, stage: StagePlan, test: bool):
        """Returns the whole training or test slice with given and true labels, once."""
        part, table = self.slice_of(stage, test), self.labels(stage, test)
        common = (table.given, table.true, self.scaling, stage.settings.batch_size)
        if part.examples is not None:
            return eval_dataset(part.examples, *common)
        return streaming_eval_dataset(self.plan.source, part.spec, *common)

    def probe(self, stage: StagePlan, test: bool) -> tuple[np.ndarray, np.ndarray]:
        """Returns the fixed scaled examples and given labels on which accuracy is followed."""
        part = self.slice_of(stage, test)
        num = min(self.plan.config.measure.probe_examples, part.num_examples)
        return self.scaled(part, num), self.labels(stage, test).given[:num]

    def scaled(self, part: Slice, num: int) -> np.ndarray:
        """Returns the first `num` examples of a slice as the network sees them."""
        return np.concatenate(list(self._batches(part, num)))

    def moment_batches(self, part: Slice) -> Iterator[np.ndarray]:
        """Yields the scaled examples of a slice from which covariances are computed."""
        num = min(self.plan.config.measure.moment_examples, part.num_examples)
        return self._batches(part, num)

    def first_layer_moments(self, stage: StagePlan, layer: keras.Layer) -> PatchMoments:
        """Returns the moments of the inputs of the first layer, computed once for all seeds."""
        name = stage.key.stage
        if name not in self._moments:
            moments = new_moments(layer)
            for batch in self.moment_batches(self.slice_of(stage)):
                moments.update(batch)
            self._moments[name] = moments
        return self._moments[name]

    def _read(self, spec, source=None, first=None) -> Slice:
        source, config = source or self.plan.source, self.plan.config
        measure, megabytes = config.measure, config.data.max_resident_mb
        if first is None:
            first = max(
                measure.moment_examples, measure.probe_examples, measure.keep_representations
            )
        key = (source, megabytes, spec, first)  # plans with the same images share the source
        if key not in self._slices:
            num = num_examples(source, spec)
            if fits_in_memory(source, spec, megabytes):
                examples = load_examples(source, spec)
                self._slices[key] = Slice(spec, num, examples, examples)
            else:
                self._slices[key] = Slice(spec, num, None, load_examples(source, spec, limit=first))
        return self._slices[key]

    def _fit_scaling(self):
        source, settings, upstream = self.plan.source, self.plan.config.data, self.upstream
        num = min(settings.scaling_examples or upstream.num_examples, upstream.num_examples)
        if num <= len(upstream.first.images):
            return fit_scaling(settings.scaling, upstream.first.images[:num])
        with source.refusing_damage():
            return fit_scaling(settings.scaling, source.read(upstream.spec).take(num))

    def _labels_path(self, stage):
        return self.directory.labels_path(stage.key.stage, stage.key.labels, stage.key.seed)

    def _batches(self, part: Slice, num: int) -> Iterator[np.ndarray]:
        return image_batches(part.first, self.scaling, batch_size=256, limit=num)


class StageData:
    """What the measurements of one stage ask for: a `callbacks.measurement.StageView`.

    Args:
        run_data: the data of the run.
        stage: which stage.
        model: the model that will be trained.
        writers: where scalars go.
    """

    def __init__(self, run_data: RunData, stage: StagePlan, model: keras.Model, writers: Sequence):
        self._run_data, self._stage = run_data, stage
        self._shared: SharedInputs | None = None
        self.model = model
        self.writers = writers
        self.settings = run_data.plan.config.measure
        self.schedule = measure_schedule(self.settings, stage)
        self.probe_schedule = every(self.settings.probe_every)
        self.batch_size = stage.settings.batch_size
        self.num_outputs = stage.head_units
        self.alignment_layers = run_data.plan.alignment_layers

    def seed(self, *names: str) -> int:
        return derive_seed(self._stage.key.seed, *names)

    def images(self, which: str, limit: int | None = None) -> np.ndarray:
        run_data = self._run_data
        part = {
            "train": run_data.slice_of(self._stage),
            "test": run_data.test,
            "downstream": run_data.downstream,
        }[which]
        if limit is None and part.examples is None:
            raise ValueError(f"slice {part.spec!r} is not held in memory; give a `limit`.")
        return run_data.scaled(part, part.num_examples if limit is None else limit)

    def labels(self, which: str) -> LabelTable:
        return self._run_data.labels(self._stage, test=which == "test")

    def probe(self, which: str) -> tuple[np.ndarray, np.ndarray]:
        return self._run_data.probe(self._stage, test=which == "test")

    def moments(self, path: str) -> PatchMoments | SharedInputs:
        """Returns what `CovarianceAlignment` takes as `data` for a layer.

        Deeper layers than the first see other inputs as training goes on, and share one
        pass over the images.
        """
        first, layer = next(iter(alignable_layers(self.model).items()))
        if path == first:
            return self._run_data.first_layer_moments(self._stage, layer)
        if self._shared is None:
            batches = self._run_data.moment_batches(self._run_data.slice_of(self._stage))
            images = np.concatenate(list(batches))
            deeper = [other for other in self.alignment_layers if other != first]
            self._shared = SharedInputs(images, deeper, len(images))
        return self._shared


def measure_schedule(settings: MeasureConfig, stage: StagePlan) -> Schedule:
    """Returns the schedule of alignment, activations and test accuracy for a stage."""
    if settings.measure_schedule == "linear":
        return every(settings.measure_every)
    return logarithmic(stage.num_steps, settings.measure_points, stage.settings.steps_per_execution)
