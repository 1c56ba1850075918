"""Settings: the only home of defaults, help texts and checks.

An experiment is one `ExperimentConfig` made of small frozen sections. Command
line flags, `config.json` and the flagfile of a run are all derived from the
fields, in the order in which they stand in `sections`. `StageConfig` is used
twice, and its flags carry the prefix `upstream_` or `downstream_`.
"""

import dataclasses
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rl_keras.errors import UsageError
from rl_keras.sections import (
    AUGMENTATIONS,
    CORRUPTION_KINDS,
    FIGURES,
    FIRST_LAYER_STARTS,
    INPUT_CORRUPTIONS,
    LABEL_MAPS,
    OPTIMIZERS,
    SCALINGS,
    STARTS,
    DataConfig,
    MeasureConfig,
    ModelConfig,
    RunConfig,
    StageConfig,
    TransferConfig,
    split_arm,
)

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
