"""The data of a run: examples read once, scaled in one way, labelled by seed."""

import dataclasses
from collections.abc import Iterator

import numpy as np

from rl_keras.callbacks.inputs import SharedInputs, new_moments
from rl_keras.callbacks.layers import alignable_layers
from rl_keras.data.augmentation import Augmentation
from rl_keras.data.examples import Examples, decoded_bytes, load_examples
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
        # Without downstream arms the upstream examples stand in for the activity's probe.
        has_arms = bool(config.transfer.arms)
        self.downstream = self._read(config.downstream.split) if has_arms else self.upstream
        self.test = self._read(config.data.test_split)
        # What is augmented is cut out of whole images; everything else sees their centres.
        self._whole = {
            key.stage: self._read(getattr(config, key.stage).split, plan.source.original, first=0)
            for key in stage_keys(config)
            if getattr(config, key.stage).augmentation != "none"
        }
        self.scaling: Scaling = self._fit_scaling()
        self._tables: dict[tuple, LabelTable] = {}
        self._moments: dict[str, PatchMoments] = {}

    def _read(self, spec, source=None, first=None) -> Slice:
        source, config = source or self.plan.source, self.plan.config
        measure, most = config.measure, config.data.max_resident_mb
        limit = max(measure.moment_examples, measure.probe_examples, measure.keep_representations)
        limit = limit if first is None else first
        key = (source, most, spec, limit)  # plans with the same images share the source
        if key not in self._slices:
            num = num_examples(source, spec)
            if decoded_bytes(source, spec) <= most * 2**20:
                examples = load_examples(source, spec)
                self._slices[key] = Slice(spec, num, examples, examples)
            else:
                first = load_examples(source, spec, limit=limit)
                self._slices[key] = Slice(spec, num, None, first)
        return self._slices[key]

    def _fit_scaling(self):
        source, settings, data = self.plan.source, self.plan.config.data, self.upstream
        num = min(settings.scaling_examples or data.num_examples, data.num_examples)
        if num <= len(data.first.images):
            return fit_scaling(settings.scaling, data.first.images[:num])
        with source.refusing_damage():
            return fit_scaling(settings.scaling, source.read(data.spec).take(num))

    def slice_of(self, stage: StagePlan) -> Slice:
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

    def _labels_path(self, stage):
        return self.directory.labels_path(stage.key.stage, stage.key.labels, stage.key.seed)

    def train_dataset(self, stage: StagePlan, start_step: int = 0):
        """Returns the batches of a stage from a step on, the same for all starts of a seed."""
        data, settings = self.slice_of(stage), stage.settings
        source, augmentation = self.plan.source, None
        if settings.augmentation != "none":
            data, source = self._whole[stage.key.stage], source.original
            seed = derive_seed(stage.key.seed, "augmentation", stage.key.stage)
            size = self.plan.config.data.crop_size
            augmentation = Augmentation(settings.augmentation, size, seed)
        table = self.labels(stage)
        order = derive_seed(stage.key.seed, "order", stage.key.stage)
        common = (self.scaling, settings.batch_size, stage.num_steps, order, start_step)
        if data.examples is not None:
            return train_dataset(data.examples, table.given, *common, augmentation=augmentation)
        return streaming_dataset(
            source,
            data.spec,
            table.given,
            *common,
            shuffle_buffer=self.plan.config.data.shuffle_buffer,
            augmentation=augmentation,
        )

    def eval_dataset(self, stage: StagePlan, test: bool):
        """Returns the whole training or test slice with given and true labels, once."""
        data = self.test if test else self.slice_of(stage)
        table = self.labels(stage, test)
        common = (table.given, table.true, self.scaling, stage.settings.batch_size)
        if data.examples is not None:
            return eval_dataset(data.examples, *common)
        return streaming_eval_dataset(self.plan.source, data.spec, *common)

    def probe(self, stage: StagePlan, test: bool) -> tuple[np.ndarray, np.ndarray]:
        """Returns the fixed scaled examples and given labels on which accuracy is followed."""
        data = self.test if test else self.slice_of(stage)
        table = self.labels(stage, test)
        num = min(self.plan.config.measure.probe_examples, data.num_examples)
        return self.scaled(data, num), table.given[:num]

    def scaled(self, data: Slice, num: int) -> np.ndarray:
        """Returns the first `num` examples of a slice as the network sees them."""
        return np.concatenate(list(self._batches(data, num)))

    def _batches(self, data: Slice, num: int) -> Iterator[np.ndarray]:
        return image_batches(data.first, self.scaling, batch_size=256, limit=num)

    def moment_batches(self, data: Slice) -> Iterator[np.ndarray]:
        """Yields the scaled examples of a slice from which covariances are computed."""
        num = min(self.plan.config.measure.moment_examples, data.num_examples)
        return self._batches(data, num)

    def moments(self, stage: StagePlan, model) -> dict[str, PatchMoments | SharedInputs]:
        """Returns what `CovarianceAlignment` needs of a stage's inputs, by layer.

        For the first layer the moments are computed once for all seeds; deeper layers
        see other inputs as training goes on, and share one pass over the images.
        """
        data, paths = self.slice_of(stage), self.plan.alignment_layers
        first = next(iter(alignable_layers(model)))
        deeper = [path for path in paths if path != first]
        found: dict[str, PatchMoments | SharedInputs] = {}
        if deeper:
            images = np.concatenate(list(self.moment_batches(data)))
            found = dict.fromkeys(deeper, SharedInputs(images, deeper, len(images)))
        if first in paths:
            found[first] = self._first_layer_moments(stage.key.stage, first, model, data)
        return found

    def _first_layer_moments(self, stage, path, model, data):
        if stage not in self._moments:
            moments = new_moments(alignable_layers(model)[path])
            for batch in self.moment_batches(data):
                moments.update(batch)
            self._moments[stage] = moments
        return self._moments[stage]
