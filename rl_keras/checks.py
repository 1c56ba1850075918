"""Checks of settings that need neither data nor model.

What needs the data set or the built model is checked by `experiments.plan`,
also before any work begins.
"""

import math
import re

from rl_keras.config import ExperimentConfig, all_settings, to_values
from rl_keras.data_checks import check_data
from rl_keras.errors import UsageError

OF_EVERY_MODEL = ("init_scale", "batch_normalization")
MODEL_SETTINGS = {  # those that each builder takes besides
    "simple_cnn": ("filters", "kernel_size", "padding", "units", "dropout"),
    "mlp": ("widths", "dropout"),
    "cnn3": ("conv_filters", "kernel_size", "padding", "dense_units"),
    "vgg16": ("width", "last_width", "dense_units", "dropout"),
    "resnet18": ("stem", "width"),
    "wide_resnet": ("depth", "widen", "stem_filters", "stem_kernel_size"),
    "small_inception": ("width", "dropout"),
    "small_alexnet": ("width", "dropout"),
    "linear": ("random_filters", "kernel_size"),
}


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
    taken = MODEL_SETTINGS[model.model]
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
