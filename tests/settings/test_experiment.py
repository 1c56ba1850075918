import dataclasses
import pkgutil
import re
from pathlib import Path

import pytest

import rl_keras
from rl_keras.errors import UsageError
from rl_keras.settings.experiment import ExperimentConfig, all_settings, from_values, to_values
from rl_keras.settings.run import FIGURES
from rl_keras.settings.stage import StageConfig


def test_every_setting_has_help_and_a_flag_of_its_own():
    settings = list(all_settings())
    assert all(setting.help for setting in settings)
    flags = [setting.flag for setting in settings]
    assert len(set(flags)) == len(flags)


def test_stage_settings_appear_once_for_each_stage():
    flags = {setting.flag for setting in all_settings()}
    for field in dataclasses.fields(StageConfig):
        assert {f"upstream_{field.name}", f"downstream_{field.name}"} <= flags


def test_values_and_back_is_the_same_configuration():
    config = from_values({"seeds": [0, 5], "upstream_epochs": 3, "model": "mlp", "widths": [7]})
    assert from_values(to_values(config)) == config
    assert config.model.widths == (7,)


def test_defaults_of_the_stages_differ_where_they_must():
    config = ExperimentConfig()
    assert config.upstream.split != config.downstream.split
    assert config.upstream.labels == ("random",)


BAD = [
    ({"no_such": 1}, "unknown setting.*Received: no_such"),
    ({"seeds": ()}, "--seeds must not be empty. Received: ''"),
    ({"seeds": (1, 1)}, "--seeds must not repeat an entry. Received: 1,1"),
    ({"seeds": (-1,)}, "--seeds must be at least 0. Received: -1"),
    ({"starts": ("scratch", "lucky")}, "--starts must be one of .*Received: lucky"),
    ({"upstream_labels": ("true", "random")}, "--upstream_labels takes one label map"),
    ({"upstream_corruption": 0.5}, "--upstream_corruption has an effect only with"),
    (
        {"downstream_labels": ("partial",), "downstream_corruption": 1.5},
        "--downstream_corruption must be from 0 to 1. Received: 1.5",
    ),
    ({"downstream_learning_rate": 0.0}, "--downstream_learning_rate must be positive"),
    (
        {"downstream_optimizer": "lion"},
        "--downstream_optimizer must be one of sgd, adam. Rec.*lion",
    ),
    ({"upstream_momentum": 1.0}, "--upstream_momentum must be at least 0 and below 1"),
    ({"upstream_num_random_classes": 1}, "--upstream_num_random_classes must be at least 2"),
    ({"init_scale": -1.0}, "--init_scale must be positive"),
    ({"init_scale": float("nan")}, "--init_scale must be a finite number"),
    ({"widths": (5,)}, "--widths has no effect on --model=simple_cnn"),
    ({"model": "mlp", "filters": 5}, "--filters has no effect on --model=mlp"),
    ({"dataset": "gaussian"}, "--dataset=gaussian needs --gaussian_variances"),
    (
        {"dataset": "gaussian", "gaussian_variances": (1.0,)},
        "needs --scaling=none. Received: standardize",
    ),
    (
        {
            "dataset": "gaussian",
            "scaling": "none",
            "gaussian_variances": (1.0,),
            "image_size": 8,
        },
        "--image_size has no effect on --dataset=gaussian, whose examples are vectors",
    ),
    ({"gaussian_variances": (1.0,)}, "--gaussian_variances has no effect without"),
    ({"gaussian_rotation": 1}, "--gaussian_rotation has no effect without"),
    ({"gaussian_counts": (1,)}, "--gaussian_counts has no effect without"),
    ({"gaussian_counts": (0,)}, "--gaussian_counts must be at least 1. Received: 0"),
    (
        {
            "dataset": "gaussian",
            "scaling": "none",
            "gaussian_variances": (9.0, 1.0),
            "gaussian_counts": (4,),
        },
        "--gaussian_counts must have a number for each of the 2 --gaussian_variances. Received: 1",
    ),
    ({"null_draws": -1}, "--null_draws must be at least 0. Received: -1"),
    (
        {"dataset": "gaussian", "scaling": "none", "gaussian_variances": (1.0, -2.0)},
        "--gaussian_variances must be positive. Received: -2.0",
    ),
    (
        {"upstream_steps_per_execution": 3},
        "--probe_every must be a multiple of --upstream_steps_per_execution=3",
    ),
    (
        {"downstream_steps_per_execution": 4, "probe_every": 8, "measure_every": 6},
        "--measure_every must be a multiple of --downstream_steps_per_execution=4",
    ),
    (
        {"transfer_layers": ("all", "conv1")},
        "--transfer_layers must not combine all with others. Received: all,conv1",
    ),
    (
        {"alignment_layers": ("none", "conv1")},
        "--alignment_layers must not combine none with others. Received: none,conv1",
    ),
    ({"experiment": "../up"}, "--experiment must be a plain name of .* Received: ../up"),
    ({"experiment": " up"}, "--experiment must be a plain name of .* Received: ' up'"),
    ({"tpu": "node"}, "--tpu has an effect only with --strategy=tpu. Received: --strategy=auto"),
    ({"mode": "fly"}, "--mode must be one of run, draw, report. Received: fly"),
]


@pytest.mark.parametrize(("values", "message"), BAD, ids=[message for _, message in BAD])
def test_contradictions_are_refused(values, message):
    with pytest.raises(UsageError, match=message):
        from_values(values)


def test_logarithmic_schedule_does_not_look_at_measure_every():
    values = {"downstream_steps_per_execution": 4, "probe_every": 8, "measure_every": 6}
    assert from_values({**values, "measure_schedule": "logarithmic"})


def test_every_number_outside_its_declared_range_is_refused():
    for setting in all_settings():
        limits, kind = setting.range, setting.item_type
        outside = [limits.above, limits.below]
        outside += [limits.at_least - 1] if limits.at_least is not None else []
        outside += [limits.at_most + 1] if limits.at_most is not None else []
        for number in (kind(number) for number in outside if number is not None):
            value = (number,) if setting.is_list else number
            expected = f"--{setting.flag} must be {limits}. Received: {number}"
            with pytest.raises(UsageError, match=re.escape(expected)):
                from_values({setting.flag: value})


def test_defaults_are_values_that_their_settings_take():
    for setting in all_settings():
        setting.check(setting.default)


def test_the_figures_are_the_modules_of_their_folder():
    folder = Path(rl_keras.__file__).parent / "figures"
    modules = {name for _, name, is_folder in pkgutil.iter_modules([folder]) if not is_folder}
    assert set(FIGURES) == modules and "plotting" not in modules
