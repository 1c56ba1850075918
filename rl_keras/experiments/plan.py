"""What a run will do, worked out and checked before any of it is done."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

import keras
import numpy as np

from rl_keras.callbacks.layers import alignable_layers
from rl_keras.data.changed_source import change_source
from rl_keras.data.examples import fits_in_memory
from rl_keras.data.slices import check_disjoint, num_examples
from rl_keras.data.sources import open_source
from rl_keras.errors import UsageError
from rl_keras.experiments.chosen_layers import Arm, alignment_layers, plan_arms
from rl_keras.models import build_model
from rl_keras.settings.experiment import ExperimentConfig
from rl_keras.settings.stage import StageConfig
from rl_keras.storage.run_folder import StageKey, stage_keys


@dataclass(frozen=True)
class StagePlan:
    """One stage: its name, its settings, and the sizes that follow from the data.

    Args:
        key: its name.
        settings: of its examples, labels and optimiser.
        num_examples: in its training slice.
        num_classes: from which its labels are drawn.
        head_units: outputs of the network, at least one for each class.
    """

    key: StageKey
    settings: StageConfig
    num_examples: int
    num_classes: int
    head_units: int

    @property
    def steps_per_epoch(self) -> int:
        return self.num_examples // self.settings.batch_size

    @property
    def num_steps(self) -> int:
        return self.steps_per_epoch * self.settings.epochs

    @property
    def title(self) -> str:
        key = self.key
        parts = [key.stage, f"{key.labels} labels", key.start, f"seed {key.seed}"]
        return ", ".join(part for part in parts if part)


@dataclass(frozen=True)
class Plan:
    """All stages of a run in order, and what they share.

    Args:
        config: the settings.
        source: the data set with its images cropped and corrupted as the settings say.
        stages: in the order in which they are trained.
        arms: what each downstream arm transfers, by its name.
        alignment_layers: paths of the layers whose alignment is measured.
        num_parameters: of the model of the last stage.
        multiplications: of one forward pass of one example.
    """

    config: ExperimentConfig
    source: object
    stages: tuple[StagePlan, ...]
    arms: Mapping[str, Arm]
    alignment_layers: tuple[str, ...]
    num_parameters: int
    multiplications: int

    def upstream(self, seed: int) -> StagePlan:
        """Returns the upstream stage of a seed."""
        return next(s for s in self.stages if s.key.stage == "upstream" and s.key.seed == seed)


def make_plan(config: ExperimentConfig, num_replicas: int = 1, sources: dict | None = None) -> Plan:
    """Opens the data, builds the model once, and checks everything against both.

    Args:
        config: the settings.
        num_replicas: devices over which each batch is split.
        sources: data sets that are open already, which several plans may share.

    Raises:
        UsageError: for every contradiction between settings, data and model.
    """
    source = _open({} if sources is None else sources, config)
    specs = {"upstream_split": config.upstream.split, "test_split": config.data.test_split}
    if config.transfer.arms:
        specs["downstream_split"] = config.downstream.split
    check_disjoint(source, specs)
    stages = tuple(_stage(key, getattr(config, key.stage), source) for key in stage_keys(config))
    for stage in stages:
        _check_stage(stage, config, num_replicas)
        _check_crop(stage, source)
    model = build_model(config.model, source.image_shape, stages[-1].head_units, seed=0)
    if config.measure.minimum_norm:
        _check_minimum_norm(config, source, model, stages[0].num_examples)
    return Plan(
        config=config,
        source=source,
        stages=stages,
        arms=plan_arms(config, model),
        alignment_layers=alignment_layers(config, model),
        num_parameters=model.count_params(),
        multiplications=_multiplications(model),
    )


def _open(sources, config):
    """Returns the data set as the network gets it, one object for all plans with the same data."""
    data = config.data
    arguments = {
        "name": data.dataset,
        "data_dir": data.data_dir or None,
        "download": data.download,
        "variances": data.input_variances,
        "num_examples": data.gaussian_examples,
        "image_size": data.image_size,
        "rotation": data.gaussian_rotation,
    }
    key = tuple(arguments.values())
    if key not in sources:
        sources[key] = open_source(**arguments)
    original, split = sources[key], config.upstream.split
    # Gaussian pixels have the mean and deviation of the upstream slice, so they depend on it.
    changes = (data, split if data.input_corruption == "gaussian" else "")
    if changes not in sources:
        check_disjoint(original, {"upstream_split": split})  # also refuses text that is not a slice
        sources[changes] = change_source(original, data, split)
    return sources[changes]


def label_classes(labels: str, settings: StageConfig, source) -> int:
    """Returns how many classes a label map draws from.

    Raises:
        UsageError: if the map needs true labels and the data set has none.
    """
    if labels == "random":
        return settings.num_random_classes
    if source.num_classes is None:
        raise UsageError(
            f"label map {labels!r} needs true labels, which --dataset={source.name} has not; "
            "use random for --upstream_labels and --downstream_labels. "
            f"Received: {labels}"
        )
    return source.num_classes


def _check_minimum_norm(config, source, model, num_examples):
    megabytes = config.data.max_resident_mb
    for spec in (config.upstream.split, config.data.test_split):
        if not fits_in_memory(source, spec, megabytes):
            raise UsageError(
                "--minimum_norm needs the upstream and the test split in memory; take smaller "
                f"ones, or raise --max_resident_mb. Received: {megabytes}"
            )
    dim = model.get_layer("head").kernel.shape[0]
    if num_examples >= dim:
        raise UsageError(
            f"--minimum_norm needs more inputs to the last layer than examples, {num_examples}; "
            f"take fewer examples, or more --random_filters. Received: {dim} inputs"
        )


def _stage(key, settings, source):
    num_classes = label_classes(key.labels, settings, source)
    if settings.head_units and settings.head_units < num_classes:
        raise UsageError(
            f"--{key.stage}_head_units must be at least the {num_classes} classes of label map "
            f"{key.labels!r}, or 0. Received: {settings.head_units}"
        )
    return StagePlan(
        key=key,
        settings=settings,
        num_examples=num_examples(source, settings.split),
        num_classes=num_classes,
        head_units=settings.head_units or num_classes,
    )


def _check_stage(stage, config, num_replicas):
    prefix, batch = stage.key.stage, stage.settings.batch_size
    if batch > stage.num_examples:
        raise UsageError(
            f"--{prefix}_batch_size must not exceed the {stage.num_examples} examples of "
            f"--{prefix}_split={stage.settings.split}. Received: {batch}"
        )
    if batch % num_replicas:
        raise UsageError(
            f"--{prefix}_batch_size must be divisible by the {num_replicas} replicas "
            f"({batch} = {batch // num_replicas} * {num_replicas} + {batch % num_replicas}). "
            f"Received: {batch}"
        )
    measure = config.measure
    flags = ["probe_every"]
    if measure.measure_schedule == "linear":
        flags.append("measure_every")
    for flag in flags:
        if getattr(measure, flag) > stage.num_steps:
            raise UsageError(
                f"--{flag} never falls within the {prefix} stage of {stage.num_steps} steps "
                f"({stage.settings.epochs} epochs of {stage.steps_per_epoch}). "
                f"Received: {getattr(measure, flag)}"
            )


def _check_crop(stage, source):
    if stage.settings.augmentation != "crop":
        return
    whole, crop = source.original.image_shape, source.image_shape
    if whole == crop:
        raise UsageError(
            f"--{stage.key.stage}_augmentation=crop needs images larger than --crop_size. "
            f"Received: --crop_size={crop[0]} for images of {whole[0]}x{whole[1]}"
        )


def _multiplications(model):
    """Counts the multiplications of one forward pass of one example."""
    total = 0
    for layer in alignable_layers(model).values():
        kernel = int(np.prod(layer.kernel.shape))
        positions = layer.output.shape[1:-1] if isinstance(layer, keras.layers.Conv2D) else ()
        total += kernel * int(np.prod(positions))
    return total


def describe(plan: Plan) -> str:
    """Returns the plan as text, with the steps and the cost of each stage."""
    rate = _multiplication_rate()
    source, config = plan.source, plan.config
    lines = [
        f"{config.run.experiment}: {len(plan.stages)} stages on {source.name} "
        f"({'x'.join(map(str, source.image_shape))})",
        f"model {config.model.model}: {plan.num_parameters:,} parameters, "
        f"{plan.multiplications:,} multiplications an example",
        f"transferred: {_transferred(plan)}; alignment of: "
        f"{', '.join(plan.alignment_layers) or 'no layer'}",
        "",
    ]
    seconds, num_examples = 0.0, 0
    for number, stage in enumerate(plan.stages, start=1):
        examples = stage.num_steps * stage.settings.batch_size
        # Forward, gradient by weights, gradient by inputs: three passes.
        cost = 3 * plan.multiplications * examples / rate
        seconds += cost
        num_examples += examples
        lines.append(
            f"[{number}/{len(plan.stages)}] {stage.title}: {stage.num_examples} examples, "
            f"{stage.num_classes} classes, {stage.num_steps} steps of "
            f"{stage.settings.batch_size}, about {max(1, round(cost))} s"
        )
    lines.append("")
    lines.append(
        f"{6 * plan.multiplications * num_examples:.1e} operations, "
        f"about {seconds / 60:.1f} min of training in all on this CPU, from a matrix product "
        "timed just now; measurements and start-up come on top"
    )
    return "\n".join(lines)


def _transferred(plan):
    """What each arm transfers, in one line for all arms that transfer the same."""
    groups: dict[tuple, list] = {}
    for name, arm in plan.arms.items():
        groups.setdefault(arm.variables, []).append(name)
    if len([variables for variables in groups if variables]) == 1:
        return ", ".join(next(variables for variables in groups if variables))
    parts = [f"{', '.join(paths)} ({', '.join(names)})" for paths, names in groups.items() if paths]
    return "; ".join(parts) or "nothing"


def _multiplication_rate() -> float:
    """Times a float32 matrix product; training reaches more than half of its rate."""
    matrix = np.ones((1024, 1024), np.float32)
    matrix @ matrix
    begin = time.perf_counter()
    for _ in range(4):
        matrix @ matrix
    return 0.5 * 4 * 1024**3 / (time.perf_counter() - begin)
