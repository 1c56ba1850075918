"""Settings: the only home of defaults, help texts and checks.

An experiment is one `ExperimentConfig` made of small frozen sections. Command
line flags, `config.json` and the flagfile of a run are all derived from the
fields, in the order in which they stand here. `StageConfig` is used twice, and
its flags carry the prefix `upstream_` or `downstream_`.
"""

import dataclasses
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rl_keras.errors import UsageError

FORMAT = 1  # of config.json; raised when an old reader would misread a new file
STARTS = ("scratch", "pretrained", "pretrained_unscaled", "covariance")
LABEL_MAPS = ("true", "random", "partial", "permuted")
CORRUPTION_KINDS = ("redraw", "flip")
SCALINGS = ("standardize", "minus_one_one", "per_image", "none")


def setting(default, help_text: str, choices: tuple[str, ...] = (), minimum=None):
    """A field with its help text and the values it may take."""
    metadata = {"help": help_text, "choices": choices, "minimum": minimum}
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True)
class RunConfig:
    """Where and how a run is carried out; none of it changes a result."""

    experiment: str = setting("experiment", "Name of the experiment, used in titles.")
    mode: str = setting("run", "run trains what is missing, draw only reads.", ("run", "draw"))
    workdir: str = setting("", "Folder of the run. Empty: runs/EXPERIMENT.")
    seeds: tuple[int, ...] = setting((0,), "One run for each of these root seeds.", minimum=0)
    dry_run: bool = setting(False, "Check everything, print the plan with its cost, and stop.")
    figures: tuple[str, ...] = setting(
        ("overview",), "Figures to draw.", ("overview", "initialisations")
    )
    strategy: str = setting(
        "auto",
        "Devices: auto (all GPUs, else the CPU), cpu, mirrored, tpu.",
        ("auto", "cpu", "mirrored", "tpu"),
    )
    tpu: str = setting("", "For --strategy=tpu: name of the TPU. Empty: the one of this VM.")
    tpu_zone: str = setting("", "For --strategy=tpu: zone of the TPU. Empty: as configured.")
    tpu_project: str = setting("", "For --strategy=tpu: project of the TPU. Empty: as configured.")
    num_logical_cpus: int = setting(
        1, "Split the CPU into this many devices, to try mirrored without a GPU.", minimum=1
    )
    deterministic: bool = setting(
        False, "Use deterministic kernels only: the same bits on every run on a GPU, but slower."
    )
    keep_weights: str = setting(
        "upstream", "Stages whose final weights are stored.", ("upstream", "all")
    )
    tensorboard: bool = setting(True, "Write TensorBoard files.")
    checkpoint_every: int = setting(
        500, "Steps between saves of an unfinished stage (at probe steps). 0: none.", minimum=0
    )


@dataclass(frozen=True)
class DataConfig:
    """Which examples, and how they are scaled; the same for every arm."""

    dataset: str = setting(
        "natural_patches", "natural_patches (embedded), gaussian, or any TFDS image set by name."
    )
    data_dir: str = setting("", "Folder of prepared TFDS data. Empty: the TFDS default.")
    download: bool = setting(False, "Let TFDS download and prepare the data set first.")
    test_split: str = setting("test", "TFDS slice on which test accuracy is measured.")
    scaling: str = setting(
        "standardize",
        "Input scaling: standardize (per channel over the upstream slice), minus_one_one, "
        "per_image, none.",
        SCALINGS,
    )
    gaussian_variances: tuple[float, ...] = setting(
        (), "For --dataset=gaussian: the variance of each input dimension."
    )
    gaussian_examples: int = setting(
        4000, "For --dataset=gaussian: examples in the split train.", minimum=1
    )
    max_resident_mb: int = setting(
        2000, "Slices that decode to more than this are streamed.", minimum=0
    )
    shuffle_buffer: int = setting(
        10_000, "Examples in the shuffle buffer of a streamed slice.", minimum=1
    )


@dataclass(frozen=True)
class ModelConfig:
    """The network; a setting that the chosen builder does not take is refused."""

    model: str = setting("simple_cnn", "Model builder.", ("simple_cnn", "mlp"))
    filters: int = setting(256, "simple_cnn: filters of the convolution.", minimum=1)
    kernel_size: int = setting(3, "simple_cnn: side of the convolution kernel.", minimum=1)
    padding: str = setting("valid", "simple_cnn: padding.", ("valid", "same"))
    units: int = setting(64, "simple_cnn: units of the dense layer.", minimum=1)
    widths: tuple[int, ...] = setting((2048, 256), "mlp: units of the hidden layers.", minimum=1)
    init_scale: float = setting(
        1.0, "Kernels start with standard deviation init_scale * sqrt(2 / fan_in)."
    )


@dataclass(frozen=True)
class StageConfig:
    """One training stage: examples, labels, optimiser."""

    split: str = setting("train", "TFDS slice to train on.")
    labels: tuple[str, ...] = setting(("random",), "Label map.", LABEL_MAPS)
    num_random_classes: int = setting(10, "Classes of the label map random.", minimum=2)
    corruption: float = setting(0.0, "Label map partial: probability of corruption, 0 to 1.")
    corruption_kind: str = setting(
        "redraw",
        "Label map partial: redraw over all classes (Zhang et al.), or flip to another class.",
        CORRUPTION_KINDS,
    )
    head_units: int = setting(0, "Units of the last layer. 0: one for each class.", minimum=0)
    epochs: int = setting(10, "Passes over the slice.", minimum=1)
    batch_size: int = setting(256, "Examples in a step, over all devices together.", minimum=1)
    learning_rate: float = setting(0.01, "Learning rate of SGD.")
    momentum: float = setting(0.9, "Momentum of SGD, at least 0 and below 1.")
    steps_per_execution: int = setting(1, "Steps that Keras runs between two callbacks.", minimum=1)


@dataclass(frozen=True)
class TransferConfig:
    """What goes from upstream to downstream; the same for every start."""

    starts: tuple[str, ...] = setting(STARTS, "Initial weights to compare downstream.", STARTS)
    transfer_layers: tuple[str, ...] = setting(
        (), "Layers to transfer. Empty: the first; all: every one but the head."
    )
    transfer_biases: bool = setting(False, "Also transfer the biases of these layers.")
    transfer_normalization: bool = setting(
        False, "Also transfer scales, shifts and moving statistics of these layers."
    )


@dataclass(frozen=True)
class MeasureConfig:
    """What is measured along the way, and when (in optimiser steps)."""

    alignment_layers: tuple[str, ...] = setting(
        (), "Layers whose alignment is measured. Empty: the first; none: no layer."
    )
    measure_schedule: str = setting(
        "linear",
        "Steps of alignment, activations and test accuracy.",
        ("linear", "logarithmic"),
    )
    measure_every: int = setting(20, "Linear schedule: steps between measurements.", minimum=1)
    measure_points: int = setting(20, "Logarithmic schedule: number of measurements.", minimum=2)
    probe_every: int = setting(20, "Steps between two readings of train accuracy.", minimum=1)
    probe_examples: int = setting(
        512, "Examples of each fixed probe set (train and test).", minimum=1
    )
    moment_examples: int = setting(
        10_000, "Examples from which the data covariance is computed, at most.", minimum=2
    )
    random_bases: int = setting(20, "Random orthonormal bases to compare with.", minimum=1)


@dataclass(frozen=True)
class ExperimentConfig:
    """Everything that defines a run: upstream, transfer, downstream, repeated over seeds.

    Raises:
        UsageError: for every contradiction that can be seen without the data.

    Example:
        >>> ExperimentConfig().upstream.batch_size
        256
    """

    run: RunConfig = RunConfig()
    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    upstream: StageConfig = StageConfig(split="train[:50%]")
    downstream: StageConfig = StageConfig(split="train[50%:]", labels=("true",))
    transfer: TransferConfig = TransferConfig()
    measure: MeasureConfig = MeasureConfig()

    def __post_init__(self):
        from rl_keras.checks import check_config  # here, since the checks read this module

        check_config(self)


@dataclass(frozen=True)
class Setting:
    """One leaf of the configuration: its flag, type, default, help and checks."""

    flag: str
    section: str
    name: str
    type: Any
    default: Any
    help: str
    choices: tuple[str, ...]
    minimum: Any

    @property
    def is_list(self) -> bool:
        return typing.get_origin(self.type) is tuple

    @property
    def item_type(self) -> type:
        return typing.get_args(self.type)[0] if self.is_list else self.type


def all_settings() -> Iterator[Setting]:
    """Yields every setting in the order of the sections above."""
    for section in dataclasses.fields(ExperimentConfig):
        prefix = f"{section.name}_" if section.type is StageConfig else ""
        hints = typing.get_type_hints(section.type)
        for field in dataclasses.fields(section.type):
            yield Setting(
                flag=prefix + field.name,
                section=section.name,
                name=field.name,
                type=hints[field.name],
                default=getattr(section.default, field.name),
                **{key: field.metadata[key] for key in ("help", "choices", "minimum")},
            )


def to_values(config: ExperimentConfig) -> dict[str, Any]:
    """Returns `{flag: value}`, the flat form of flags and of `config.json`."""
    return {s.flag: getattr(getattr(config, s.section), s.name) for s in all_settings()}


def from_values(values: Mapping[str, Any]) -> ExperimentConfig:
    """Returns the configuration with these flags set and defaults for the rest.

    Raises:
        UsageError: for an unknown name, or a contradiction between settings.

    Example:
        >>> from_values({"upstream_epochs": 3}).upstream.epochs
        3
    """
    known = {s.flag: s for s in all_settings()}
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise UsageError(f"unknown setting. Expected one of the flags. Received: {unknown[0]}")
    sections: dict[str, dict[str, Any]] = {}
    for flag, setting_ in known.items():
        value = values.get(flag, setting_.default)
        if setting_.is_list:
            value = tuple(value)
        sections.setdefault(setting_.section, {})[setting_.name] = value
    types = {f.name: f.type for f in dataclasses.fields(ExperimentConfig)}
    return ExperimentConfig(**{name: types[name](**fields) for name, fields in sections.items()})
