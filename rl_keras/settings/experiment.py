"""All settings of an experiment together: `ExperimentConfig`, and what concerns two sections.

An experiment is one `ExperimentConfig` made of small frozen sections, which are the only home
of defaults, help texts and ranges. Command line flags, `config.json` and the flagfile of a run
are derived from their fields, in order. `StageConfig` is used twice, and its flags carry the
prefix `upstream_` or `downstream_`. What needs the data set or the built model is checked by
`experiments.plan`, also before any work begins.
"""

import dataclasses
import math
import re
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rl_keras.errors import UsageError
from rl_keras.settings.data import INPUT_CORRUPTIONS, SCALINGS, DataConfig
from rl_keras.settings.measure import MeasureConfig
from rl_keras.settings.model import MODELS, OF_EVERY_MODEL, ModelConfig
from rl_keras.settings.run import FIGURES, RunConfig
from rl_keras.settings.stage import (
    AUGMENTATIONS,
    CORRUPTION_KINDS,
    LABEL_MAPS,
    OPTIMIZERS,
    StageConfig,
)
from rl_keras.settings.transfer import FIRST_LAYER_STARTS, STARTS, TransferConfig, split_arm

__all__ = [
    "AUGMENTATIONS",
    "CORRUPTION_KINDS",
    "FIGURES",
    "FIRST_LAYER_STARTS",
    "INPUT_CORRUPTIONS",
    "LABEL_MAPS",
    "OPTIMIZERS",
    "SCALINGS",
    "STARTS",
    "DataConfig",
    "ExperimentConfig",
    "MeasureConfig",
    "ModelConfig",
    "RunConfig",
    "Setting",
    "StageConfig",
    "TransferConfig",
    "all_settings",
    "from_values",
    "split_arm",
    "to_values",
]
FORMAT = 1  # of config.json; raised when an old reader would misread a new file


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


def check_config(config: ExperimentConfig) -> None:
    """Refuses every contradiction between settings, naming the flag to change.

    Raises:
        UsageError: with one line of text.
    """
    _check_each(config)
    _check_lists(config)
    _check_transfer(config)
    _check_model(config)
    check_data(config)
    for prefix in ("upstream", "downstream"):
        _check_stage(prefix, getattr(config, prefix))
        _check_schedules(prefix, config)
    if config.measure.feature_alignment and config.measure.alignment_layers == ("none",):
        raise UsageError(
            "--feature_alignment looks at the filters of --alignment_layers; name some there. "
            "Received: --alignment_layers=none"
        )
    if len(config.upstream.labels) != 1:
        raise UsageError(
            "--upstream_labels takes one label map, since all starts share the upstream stage. "
            f"Received: {','.join(config.upstream.labels)}"
        )
    for flag in ("tpu", "tpu_zone", "tpu_project"):
        if getattr(config.run, flag) and config.run.strategy != "tpu":
            raise UsageError(
                f"--{flag} has an effect only with --strategy=tpu. "
                f"Received: --strategy={config.run.strategy}"
            )
    _check_multi_worker(config)
    upstream = config.upstream
    fits = config.model.model == "linear" and upstream.loss == "squared_error"
    if config.measure.minimum_norm and not (fits and config.transfer.starts == ("none",)):
        raise UsageError(
            "--minimum_norm needs --model=linear, --upstream_loss=squared_error and --starts=none. "
            f"Received: {config.model.model}, {upstream.loss}, {','.join(config.transfer.starts)}"
        )
    if config.run.require_fit > 1:
        raise UsageError(
            f"--require_fit is an accuracy from 0 to 1. Received: {config.run.require_fit}"
        )
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", config.run.experiment):
        raise UsageError(
            "--experiment must be a plain name of letters, digits, '_', '-' and '.'. "
            f"Received: {config.run.experiment!r}"
        )


def _check_multi_worker(config):
    if config.run.strategy != "multi_worker":
        return
    values = to_values(config)
    for flag in (
        "upstream_steps_per_execution",
        "downstream_steps_per_execution",
        "num_logical_cpus",
    ):
        if values[flag] > 1:
            raise UsageError(
                f"--{flag} must be 1 with --strategy=multi_worker. Received: {values[flag]}"
            )


def _check_each(config):
    values = to_values(config)
    for setting in all_settings():
        value = values[setting.flag]
        items = value if setting.is_list else (value,)
        for item in items:
            if isinstance(item, float) and not math.isfinite(item):
                raise UsageError(f"--{setting.flag} must be a finite number. Received: {item}")
            if setting.choices and item not in setting.choices:
                raise UsageError(
                    f"--{setting.flag} must be one of {', '.join(setting.choices)}. "
                    f"Received: {item}"
                )
            if setting.minimum is not None and item < setting.minimum:
                raise UsageError(
                    f"--{setting.flag} must be at least {setting.minimum}. Received: {item}"
                )


def _check_lists(config):
    values = to_values(config)
    flags = ("seeds", "starts", "upstream_labels", "downstream_labels", "figures")
    for flag in (*flags, "transfer_depths"):
        items = values[flag]
        if not items and flag not in ("figures", "transfer_depths"):
            raise UsageError(f"--{flag} must not be empty.")
        if len(set(items)) < len(items):
            raise UsageError(
                f"--{flag} must not repeat an entry. Received: {','.join(map(str, items))}"
            )
    alone = (("transfer_layers", "all"), ("alignment_layers", "none"), ("starts", "none"))
    for flag, word in alone:
        if word in values[flag] and len(values[flag]) > 1:
            raise UsageError(f"--{flag}={word} stands alone. Received: {','.join(values[flag])}")


def _check_transfer(config):
    transfer = config.transfer
    if transfer.transfer_depths and transfer.transfer_layers:
        raise UsageError(
            "--transfer_depths and --transfer_layers both say what to transfer; remove one. "
            f"Received: --transfer_layers={','.join(transfer.transfer_layers)}"
        )
    if transfer.transfer_depths and set(transfer.starts) <= {"scratch", "none"}:
        raise UsageError(
            "--transfer_depths has an effect only with a start that transfers; remove it or add "
            f"one to --starts. Received: --starts={','.join(transfer.starts)}"
        )


def _check_model(config):
    model = config.model
    defaults = {s.name: s.default for s in all_settings() if s.section == "model"}
    taken = MODELS[model.model]
    for name in defaults:
        if name in ("model", *OF_EVERY_MODEL, *taken):
            continue
        if getattr(model, name) != defaults[name]:
            raise UsageError(
                f"--{name} has no effect on --model={model.model}; remove it. "
                f"Received: {getattr(model, name)}"
            )
    for name in ("init_scale", "width", "last_width"):
        if getattr(model, name) <= 0:
            raise UsageError(f"--{name} must be positive. Received: {getattr(model, name)}")
    if not 0 <= model.dropout < 1:
        raise UsageError(f"--dropout must be at least 0 and below 1. Received: {model.dropout}")
    if len(model.conv_filters) != 3:
        raise UsageError(
            "--conv_filters must be three numbers. "
            f"Received: {','.join(map(str, model.conv_filters))}"
        )
    if model.depth % 6 != 4:
        raise UsageError(
            f"--depth must be 6 n + 4, such as 10, 16, 22 or 28. Received: {model.depth}"
        )
    if model.batch_normalization == "none" and model.model in ("resnet18", "wide_resnet"):
        raise UsageError(
            "--batch_normalization must be local, synchronized or auto for "
            f"--model={model.model}, whose units begin with one. Received: none"
        )


def _check_stage(prefix, stage):
    if not 0 <= stage.corruption <= 1:
        raise UsageError(
            f"--{prefix}_corruption is a probability from 0 to 1. Received: {stage.corruption}"
        )
    if stage.corruption > 0 and "partial" not in stage.labels:
        raise UsageError(
            f"--{prefix}_corruption has an effect only with --{prefix}_labels=partial. "
            f"Received: --{prefix}_labels={','.join(stage.labels)}"
        )
    if stage.learning_rate <= 0:
        raise UsageError(
            f"--{prefix}_learning_rate must be positive. Received: {stage.learning_rate}"
        )
    if not 0 <= stage.momentum < 1:
        raise UsageError(
            f"--{prefix}_momentum must be at least 0 and below 1. Received: {stage.momentum}"
        )
    _check_learning_rate_schedule(prefix, stage)


def _check_learning_rate_schedule(prefix, stage):
    drops = stage.learning_rate_drops
    if any(not 0 < drop < 1 for drop in drops) or list(drops) != sorted(set(drops)):
        raise UsageError(
            f"--{prefix}_learning_rate_drops must be rising fractions between 0 and 1. "
            f"Received: {','.join(map(str, drops))}"
        )
    if stage.learning_rate_drop_factor <= 0:
        raise UsageError(
            f"--{prefix}_learning_rate_drop_factor must be positive. "
            f"Received: {stage.learning_rate_drop_factor}"
        )
    if drops and stage.learning_rate_decay != 1:
        raise UsageError(
            f"--{prefix}_learning_rate_drops and --{prefix}_learning_rate_decay are two ways for "
            f"the rate to fall; remove one. Received: {stage.learning_rate_decay}"
        )
    if not 0 < stage.learning_rate_decay <= 1:
        raise UsageError(
            f"--{prefix}_learning_rate_decay must be above 0 and at most 1. "
            f"Received: {stage.learning_rate_decay}"
        )


def _check_schedules(prefix, config):
    steps = getattr(config, prefix).steps_per_execution
    measure = config.measure
    flags = ["probe_every"]
    if measure.measure_schedule == "linear":
        flags.append("measure_every")
    for flag in flags:
        if getattr(measure, flag) % steps:
            raise UsageError(
                f"--{flag} must be a multiple of --{prefix}_steps_per_execution={steps}, since "
                "Keras calls back only between executions. "
                f"Received: {getattr(measure, flag)}"
            )


def check_data(config: ExperimentConfig) -> None:
    """Refuses contradictions between settings of the data.

    Raises:
        UsageError: with one line of text.
    """
    _check_dataset(config)
    _check_inputs(config)


def _check_dataset(config):
    data = config.data
    if data.dataset == "gaussian":
        if not data.gaussian_variances:
            raise UsageError(
                "--dataset=gaussian needs --gaussian_variances, one for each input dimension. "
                "Received: none"
            )
        if data.scaling != "none":
            raise UsageError(
                "--dataset=gaussian has its scale in --gaussian_variances and needs "
                f"--scaling=none. Received: {data.scaling}"
            )
        for flag, nothing in (("image_size", 0), ("crop_size", 0), ("input_corruption", "none")):
            if getattr(data, flag) != nothing:
                raise UsageError(
                    f"--{flag} has no effect on --dataset=gaussian, whose examples are vectors; "
                    f"remove it. Received: {getattr(data, flag)}"
                )
    else:
        for flag in ("gaussian_variances", "gaussian_counts", "gaussian_rotation"):
            if getattr(data, flag):
                raise UsageError(
                    f"--{flag} has no effect without --dataset=gaussian. "
                    f"Received: --dataset={data.dataset}"
                )
    if any(variance <= 0 for variance in data.gaussian_variances):
        raise UsageError(
            f"--gaussian_variances must be positive. Received: {min(data.gaussian_variances)}"
        )
    if data.gaussian_counts and len(data.gaussian_counts) != len(data.gaussian_variances):
        raise UsageError(
            "--gaussian_counts must have a number for each of the "
            f"{len(data.gaussian_variances)} --gaussian_variances. "
            f"Received: {len(data.gaussian_counts)}"
        )


def _check_inputs(config):
    data = config.data
    if data.crop_size > data.image_size > 0:
        raise UsageError(
            f"--crop_size must not exceed --image_size={data.image_size}. "
            f"Received: {data.crop_size}"
        )
    permutes = data.input_corruption in ("shuffled_pixels", "random_pixels")
    if data.input_corruption_channels == "apart" and not permutes:
        raise UsageError(
            "--input_corruption_channels=apart has an effect only with --input_corruption="
            f"shuffled_pixels or random_pixels. Received: {data.input_corruption}"
        )
    if data.input_corruption_seed and data.input_corruption == "none":
        raise UsageError(
            "--input_corruption_seed has no effect without --input_corruption. "
            f"Received: {data.input_corruption_seed}"
        )
    for prefix in ("upstream", "downstream"):
        kind = getattr(config, prefix).augmentation
        if kind != "none" and not data.crop_size:
            raise UsageError(
                f"--{prefix}_augmentation={kind} needs --crop_size, the side of the squares that "
                "it cuts out. Received: --crop_size=0"
            )
        if kind != "none" and data.input_corruption != "none":
            raise UsageError(
                f"--{prefix}_augmentation={kind} would act on corrupted images; set it or "
                f"--input_corruption to none. Received: --input_corruption={data.input_corruption}"
            )


def memorisation_warnings(config: ExperimentConfig) -> list[str]:
    """Returns a line for each stage with noisy labels and a regulariser, empty if there is none.

    Augmentation, weight decay and dropout are not refused: whether they hinder the fit of
    random labels is a question of Zhang et al., Table 4.

    Example:
        >>> memorisation_warnings(from_values({"upstream_weight_decay": 0.01}))[0][:50]
        'experiment: upstream labels are random, and --upst'
    """
    lines = []
    for prefix in ("upstream", "downstream") if config.transfer.arms else ("upstream",):
        stage = getattr(config, prefix)
        noisy = [labels for labels in stage.labels if is_noisy(labels, stage.corruption)]
        flags = {
            f"--{prefix}_augmentation={stage.augmentation}": stage.augmentation != "none",
            f"--{prefix}_weight_decay={stage.weight_decay}": stage.weight_decay > 0,
            f"--dropout={config.model.dropout}": config.model.dropout > 0,
        }
        given = [flag for flag, is_on in flags.items() if is_on]
        if noisy and given:
            lines.append(
                f"{config.run.experiment}: {prefix} labels are {' and '.join(noisy)}, and "
                f"{' and '.join(given)} may keep the network from memorising them."
            )
    return lines


def is_noisy(labels: str, corruption: float) -> bool:
    """Says whether a label map gives wrong labels."""
    return labels in ("random", "permuted") or (labels == "partial" and corruption > 0)
