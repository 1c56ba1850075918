"""All settings of an experiment together, and the checks of those that contradict each other.

An experiment is one `ExperimentConfig`, made of small frozen sections. Each field of a section
declares its default, help text and range (see `setting`); command line flags, `config.json` and the
flagfile of a run follow from the fields, in order. `StageConfig` is used twice: its flags begin
with `upstream_` or `downstream_`.

What needs the data set or the built model is checked by `experiments.plan`, also before any work
begins.
"""

import dataclasses
import functools
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rl_keras.errors import UsageError
from rl_keras.settings.data import DataConfig
from rl_keras.settings.measure import MeasureConfig
from rl_keras.settings.model import MODELS, OF_EVERY_MODEL, ModelConfig
from rl_keras.settings.run import RunConfig
from rl_keras.settings.setting import Setting, format_value
from rl_keras.settings.stage import StageConfig
from rl_keras.settings.transfer import TransferConfig

FORMAT = 1  # of config.json; raised when an old reader would misread a new file
STAGES = ("upstream", "downstream")


@dataclass(frozen=True)
class ExperimentConfig:
    """Everything that defines a run: upstream, transfer, downstream, repeated over seeds.

    Raises:
        UsageError: for every value that a setting does not take, and every contradiction that
            can be seen without the data.

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
        values = to_values(self)
        for setting in all_settings():
            setting.check(values[setting.flag])
        check_contradictions(self)


@functools.cache
def all_settings() -> tuple[Setting, ...]:
    """Returns every setting, in the order of the sections of `ExperimentConfig`."""
    settings = []
    for section, section_type in _section_types().items():
        prefix = f"{section}_" if section in STAGES else ""
        types = typing.get_type_hints(section_type)
        defaults = getattr(ExperimentConfig, section)
        settings += [
            Setting(
                flag=prefix + field.name,
                section=section,
                name=field.name,
                type=types[field.name],
                default=getattr(defaults, field.name),
                **field.metadata,
            )
            for field in dataclasses.fields(section_type)
        ]
    return tuple(settings)


def _section_types() -> dict[str, Any]:
    return typing.get_type_hints(ExperimentConfig)


def to_values(config: ExperimentConfig) -> dict[str, Any]:
    """Returns `{flag: value}`, the flat form of flags and of `config.json`."""
    return {s.flag: getattr(getattr(config, s.section), s.name) for s in all_settings()}


def from_values(values: Mapping[str, Any]) -> ExperimentConfig:
    """Returns the configuration with these flags set and defaults for the rest.

    Raises:
        UsageError: for an unknown name, a value that its setting does not take, or a
            contradiction between settings.

    Example:
        >>> from_values({"upstream_epochs": 3}).upstream.epochs
        3
    """
    unknown = sorted(set(values) - {s.flag for s in all_settings()})
    if unknown:
        raise UsageError(f"unknown setting. Expected one of the flags. Received: {unknown[0]}")
    sections: dict[str, dict[str, Any]] = {}
    for setting in all_settings():
        value = values.get(setting.flag, setting.default)
        value = tuple(value) if setting.is_list else value
        sections.setdefault(setting.section, {})[setting.name] = value
    types = _section_types()
    return ExperimentConfig(**{name: types[name](**fields) for name, fields in sections.items()})


def check_contradictions(config: ExperimentConfig) -> None:
    """Refuses settings that contradict each other, naming the flag to change.

    Raises:
        UsageError: with one line of text.
    """
    _check_transfer(config)
    _check_model_takes_its_settings(config)
    _check_data_set(config)
    _check_image_sizes(config)
    _check_input_corruption(config)
    _check_labels(config)
    for stage in STAGES:
        _check_augmentation(stage, config)
        _check_learning_rate(stage, config)
        _check_callback_steps(stage, config)
    _check_diagnostics(config)
    _check_devices(config)


def _check_transfer(config):
    transfer = config.transfer
    if transfer.transfer_depths and transfer.transfer_layers:
        raise UsageError(
            "--transfer_depths and --transfer_layers both say what to transfer; remove one. "
            f"Received: --transfer_layers={format_value(transfer.transfer_layers)}"
        )
    if transfer.transfer_depths and set(transfer.starts) <= {"scratch", "none"}:
        raise UsageError(
            "--transfer_depths has an effect only with a start that transfers; remove it or add "
            f"one to --starts. Received: --starts={format_value(transfer.starts)}"
        )


def _check_model_takes_its_settings(config):
    model = config.model.model
    taken = {"model", *OF_EVERY_MODEL, *MODELS[model]}
    for field in dataclasses.fields(ModelConfig):
        value = getattr(config.model, field.name)
        if field.name not in taken and value != field.default:
            raise UsageError(
                f"--{field.name} has no effect on --model={model}; remove it. "
                f"Received: {format_value(value)}"
            )


def _check_data_set(config):
    if config.data.is_synthetic:
        _check_gaussian(config.data)
        return
    for flag in ("gaussian_variances", "gaussian_counts", "gaussian_rotation"):
        if getattr(config.data, flag):
            raise UsageError(
                f"--{flag} has no effect without --dataset=gaussian. "
                f"Received: --dataset={config.data.dataset}"
            )


def _check_gaussian(data):
    if not data.gaussian_variances:
        raise UsageError(
            "--dataset=gaussian needs --gaussian_variances, one for each input dimension. "
            "Received: none"
        )
    if data.gaussian_counts and len(data.gaussian_counts) != len(data.gaussian_variances):
        raise UsageError(
            "--gaussian_counts must have a number for each of the "
            f"{len(data.gaussian_variances)} --gaussian_variances. "
            f"Received: {len(data.gaussian_counts)}"
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


def _check_image_sizes(config):
    data = config.data
    if data.crop_size > data.image_size > 0:
        raise UsageError(
            f"--crop_size must not exceed --image_size={data.image_size}. "
            f"Received: {data.crop_size}"
        )


def _check_input_corruption(config):
    data = config.data
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


def _check_labels(config):
    if len(config.upstream.labels) != 1:
        raise UsageError(
            "--upstream_labels takes one label map, since all starts share the upstream stage. "
            f"Received: {format_value(config.upstream.labels)}"
        )
    for name in STAGES:
        stage = getattr(config, name)
        if stage.corruption > 0 and "partial" not in stage.labels:
            raise UsageError(
                f"--{name}_corruption has an effect only with --{name}_labels=partial. "
                f"Received: --{name}_labels={format_value(stage.labels)}"
            )


def _check_augmentation(stage, config):
    kind, data = getattr(config, stage).augmentation, config.data
    if kind == "none":
        return
    if not data.crop_size:
        raise UsageError(
            f"--{stage}_augmentation={kind} needs --crop_size, the side of the squares that "
            "it cuts out. Received: --crop_size=0"
        )
    if data.input_corruption != "none":
        raise UsageError(
            f"--{stage}_augmentation={kind} would act on corrupted images; set it or "
            f"--input_corruption to none. Received: --input_corruption={data.input_corruption}"
        )


def _check_learning_rate(stage, config):
    settings = getattr(config, stage)
    if settings.learning_rate_drops and settings.learning_rate_decay != 1:
        raise UsageError(
            f"--{stage}_learning_rate_drops and --{stage}_learning_rate_decay are two ways for "
            f"the rate to fall; remove one. Received: {settings.learning_rate_decay}"
        )


def _check_callback_steps(stage, config):
    steps, measure = getattr(config, stage).steps_per_execution, config.measure
    intervals = {"probe_every": measure.probe_every}
    if measure.measure_schedule == "linear":
        intervals["measure_every"] = measure.measure_every
    for flag, interval in intervals.items():
        if interval % steps:
            raise UsageError(
                f"--{flag} must be a multiple of --{stage}_steps_per_execution={steps}, since "
                f"Keras calls back only between executions. Received: {interval}"
            )


def _check_diagnostics(config):
    measure, upstream, starts = config.measure, config.upstream, config.transfer.starts
    if measure.feature_alignment and measure.alignment_layers == ("none",):
        raise UsageError(
            "--feature_alignment looks at the filters of --alignment_layers; name some there. "
            "Received: --alignment_layers=none"
        )
    least_squares = config.model.model == "linear" and upstream.loss == "squared_error"
    if measure.minimum_norm and not (least_squares and starts == ("none",)):
        raise UsageError(
            "--minimum_norm needs --model=linear, --upstream_loss=squared_error and --starts=none. "
            f"Received: {config.model.model}, {upstream.loss}, {format_value(starts)}"
        )


def _check_devices(config):
    run = config.run
    for flag in ("tpu", "tpu_zone", "tpu_project"):
        if getattr(run, flag) and run.strategy != "tpu":
            raise UsageError(
                f"--{flag} has an effect only with --strategy=tpu. "
                f"Received: --strategy={run.strategy}"
            )
    if run.strategy != "multi_worker":
        return
    values = to_values(config)
    for flag in (*(f"{stage}_steps_per_execution" for stage in STAGES), "num_logical_cpus"):
        if values[flag] > 1:
            raise UsageError(
                f"--{flag} must be 1 with --strategy=multi_worker. Received: {values[flag]}"
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
    for name in STAGES if config.transfer.arms else STAGES[:1]:
        stage = getattr(config, name)
        noisy = [labels for labels in stage.labels if _is_noisy(labels, stage.corruption)]
        flags = {
            f"--{name}_augmentation={stage.augmentation}": stage.augmentation != "none",
            f"--{name}_weight_decay={stage.weight_decay}": stage.weight_decay > 0,
            f"--dropout={config.model.dropout}": config.model.dropout > 0,
        }
        given = [flag for flag, is_on in flags.items() if is_on]
        if noisy and given:
            lines.append(
                f"{config.run.experiment}: {name} labels are {' and '.join(noisy)}, and "
                f"{' and '.join(given)} may keep the network from memorising them."
            )
    return lines


def _is_noisy(labels: str, corruption: float) -> bool:
    return labels in ("random", "permuted") or (labels == "partial" and corruption > 0)
