import json
import os
from importlib import metadata

import keras
import numpy as np
import pytest
import tensorflow as tf

import rl_keras
from rl_keras.errors import UsageError
from rl_keras.settings.experiment import from_values
from rl_keras.storage.files import write_bytes
from rl_keras.storage.run_folder import (
    RunDirectory,
    StageKey,
    installed_versions,
    read_arrays,
    write_arrays,
    write_table,
)

UP = StageKey("upstream", "random", "", 0)
DOWN = StageKey("downstream", "true", "scratch", 0)


def finish(run, key, value):
    summary = {"start": key.start, "labels": key.labels, "seed": key.seed, "steps": 3}
    metrics = [{"step": 0, "name": "a", "value": value}]
    run.finish_stage(key, {"summary": summary}, metrics, {"x/y": np.arange(3)})


def test_names_of_stages_are_pinned():
    assert UP.name == "upstream-random-seed0"
    assert DOWN.name == "downstream-true-scratch-seed0"


def test_a_stage_is_finished_when_its_result_stands(tmp_path):
    run = RunDirectory(tmp_path)
    assert run.read_result(DOWN) is None
    finish(run, DOWN, 0.5)
    assert run.read_result(DOWN)["summary"]["steps"] == 3
    np.testing.assert_array_equal(read_arrays(run.arrays_path(DOWN))["x/y"], [0, 1, 2])


def test_collect_joins_the_stages_in_order_and_twice_is_once(tmp_path):
    run = RunDirectory(tmp_path)
    run.claim(from_values({}), "")
    finish(run, DOWN, 0.5)
    finish(run, UP, 0.25)
    for _ in range(2):
        run.collect()
    assert [row["value"] for row in run.read_metrics()] == [0.25, 0.5]
    assert list(run.read_metrics()[0]) == [
        *("stage", "labels", "start", "seed"),
        *("step", "name", "value"),
    ]
    assert run.read_summary() == [{"start": "scratch", "labels": "true", "seed": "0", "steps": "3"}]


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    write_bytes(path, b"old")

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.json"]


def test_tables_write_none_as_an_empty_cell(tmp_path):
    write_table(tmp_path / "t.csv", [{"a": 1, "b": None}])
    assert (tmp_path / "t.csv").read_text() == "a,b\n1,\n"


def test_claim_and_read_back(tmp_path):
    run = RunDirectory(tmp_path / "new" / "run")
    config = from_values({"seeds": (4,)})
    run.check(config)
    assert not run.path.exists()
    run.claim(config, "--seeds=4\n")
    assert run.read_config() == config
    run.check(config)


def test_the_versions_that_made_a_run_are_recorded(tmp_path):
    run = RunDirectory(tmp_path)
    run.claim(from_values({}), "")
    document = json.loads(run.config_path.read_text())
    assert list(document) == ["format", "settings", "versions"]
    assert document["versions"] == {
        "rl_keras": rl_keras.__version__,
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "numpy": np.__version__,
    }


@pytest.mark.parametrize("versions", [{}, {"versions": {"rl_keras": "0.0.1", "keras": "2.0"}}])
def test_a_run_without_versions_or_with_others_goes_on(tmp_path, versions):
    run, config = RunDirectory(tmp_path), from_values({"seeds": (0,)})
    run.claim(config, "")
    document = json.loads(run.config_path.read_text())
    del document["versions"]
    run.config_path.write_text(json.dumps(document | versions))
    run.check(config)
    assert run.read_config() == config
    run.claim(config, "")
    assert json.loads(run.config_path.read_text())["versions"]["numpy"] == np.__version__


def test_the_build_for_tpus_counts_as_tensorflow(monkeypatch):
    def version(name):
        if name != "tensorflow-tpu":
            raise metadata.PackageNotFoundError(name)
        return "2.19.1"

    monkeypatch.setattr(metadata, "version", version)
    assert installed_versions() == {"rl_keras": rl_keras.__version__, "tensorflow": "2.19.1"}


def test_more_seeds_may_join_a_run_but_other_settings_not(tmp_path):
    run = RunDirectory(tmp_path)
    run.claim(from_values({"seeds": (0,)}), "")
    run.check(from_values({"seeds": (0, 1), "figures": ()}))
    with pytest.raises(UsageError, match="holds a run with --upstream_epochs=10.*_epochs=11"):
        run.check(from_values({"upstream_epochs": 11}))


def test_streaming_is_no_free_setting_since_its_order_differs(tmp_path):
    run = RunDirectory(tmp_path)
    run.claim(from_values({}), "")
    run.check(from_values({"data_dir": "elsewhere", "tensorboard": False}))
    with pytest.raises(UsageError, match="holds a run with --max_resident_mb=2000"):
        run.check(from_values({"max_resident_mb": 0}))


def test_joined_seeds_are_those_of_both_runs(tmp_path):
    run = RunDirectory(tmp_path)
    config = from_values({"seeds": (3, 1)})
    assert run.with_stored_seeds(config) == config
    run.claim(config, "")
    assert run.with_stored_seeds(from_values({"seeds": (2, 3)})).run.seeds == (1, 2, 3)


def test_a_folder_with_other_files_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(UsageError, match="holds other files and no config.json"):
        RunDirectory(tmp_path).check(from_values({}))


def test_a_file_in_the_way_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(UsageError, match="--workdir must be a folder"):
            RunDirectory(path).check(from_values({}))


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 1}', '"text"'])
def test_a_foreign_config_is_refused(tmp_path, text):
    run = RunDirectory(tmp_path)
    run.config_path.write_text(text)
    with pytest.raises(UsageError, match="was not written by this project"):
        run.check(from_values({}))


def test_a_newer_config_is_refused(tmp_path):
    run = RunDirectory(tmp_path)
    run.config_path.write_text(json.dumps({"format": 99, "settings": {}}))
    with pytest.raises(UsageError, match="another format. Expected: 1. Received: 99"):
        run.check(from_values({}))


def test_draw_without_a_run_is_refused(tmp_path):
    with pytest.raises(UsageError, match="--workdir holds no run"):
        RunDirectory(tmp_path).read_config()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken", b"no archive"])
def test_damaged_arrays_are_refused(tmp_path, content):
    path = tmp_path / "a.npz"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="cannot read .*delete it and run again"):
        read_arrays(path)


def test_pickled_arrays_are_refused(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, x=np.array([{"a": 1}], dtype=object))
    with pytest.raises(UsageError, match="cannot read"):
        read_arrays(path)


def test_arrays_round_trip_with_slashes_in_names(tmp_path):
    path = tmp_path / "a.npz"
    write_arrays(path, {"alignment/conv1/step": np.arange(4)})
    assert list(read_arrays(path)) == ["alignment/conv1/step"]
