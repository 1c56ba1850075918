"""Checks of settings that need neither data nor model.

What needs the data set or the built model is checked by `experiments.plan`,
also before any work begins.
"""

import math
import re

from rl_keras.config import ExperimentConfig, all_settings, to_values
from rl_keras.errors import UsageError

# Model settings that each builder takes, besides init_scale.
MODEL_SETTINGS = {
    "simple_cnn": ("filters", "kernel_size", "padding", "units"),
    "mlp": ("widths",),
}


def check_config(config: ExperimentConfig) -> None:
    """Refuses every contradiction between settings, naming the flag to change.

    Raises:
        UsageError: with one line of text.
    """
    _check_each(config)
    _check_lists(config)
    _check_model(config)
    _check_data(config)
    for prefix in ("upstream", "downstream"):
        _check_stage(prefix, getattr(config, prefix))
        _check_schedules(prefix, config)
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
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", config.run.experiment):
        raise UsageError(
            "--experiment must be a plain name of letters, digits, '_', '-' and '.'. "
            f"Received: {config.run.experiment!r}"
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
    for flag in ("seeds", "starts", "upstream_labels", "downstream_labels", "figures"):
        items = values[flag]
        if not items and flag != "figures":
            raise UsageError(f"--{flag} must not be empty.")
        if len(set(items)) < len(items):
            raise UsageError(
                f"--{flag} must not repeat an entry. Received: {','.join(map(str, items))}"
            )
    for flag, word in (("transfer_layers", "all"), ("alignment_layers", "none")):
        if word in values[flag] and len(values[flag]) > 1:
            raise UsageError(f"--{flag}={word} stands alone. Received: {','.join(values[flag])}")


def _check_model(config):
    defaults = {s.name: s.default for s in all_settings() if s.section == "model"}
    taken = MODEL_SETTINGS[config.model.model]
    for name in defaults:
        if name in ("model", "init_scale", *taken):
            continue
        if getattr(config.model, name) != defaults[name]:
            raise UsageError(
                f"--{name} has no effect on --model={config.model.model}; remove it. "
                f"Received: {getattr(config.model, name)}"
            )
    if config.model.init_scale <= 0:
        raise UsageError(f"--init_scale must be positive. Received: {config.model.init_scale}")


def _check_data(config):
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
    elif data.gaussian_variances:
        raise UsageError(
            "--gaussian_variances has no effect without --dataset=gaussian. "
            f"Received: --dataset={data.dataset}"
        )
    if any(variance <= 0 for variance in data.gaussian_variances):
        raise UsageError(
            f"--gaussian_variances must be positive. Received: {min(data.gaussian_variances)}"
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
