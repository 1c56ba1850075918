"""Every flagfile is a valid experiment that says where its values come from."""

from pathlib import Path

import pytest

from rl_keras import cli

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "flags").rglob("*.cfg"))
MARKS = {"paper", "inferred", "ours"}


def test_there_are_flagfiles():
    assert {"quickstart.cfg", "fig5_initialisations_cpu.cfg"} <= {path.name for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_flagfile_parses_and_its_experiment_has_its_name(path, monkeypatch):
    monkeypatch.chdir(ROOT)
    config, given = cli.parse([f"--flagfile={path.relative_to(ROOT)}"])
    assert config.run.experiment == path.stem
    assert "workdir" not in given and "data_dir" not in given


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_setting_is_marked_with_its_origin(path):
    mark = None
    for line in path.read_text().splitlines():
        if line.startswith("# ["):
            mark = line[3:].split("]")[0]
            assert mark in MARKS, line
        elif line.startswith("--") and not line.startswith(("--experiment", "--figures")):
            assert mark, f"{path.name}: {line} stands before any of # [paper], [inferred], [ours]"
