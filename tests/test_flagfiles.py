"""Every flagfile is a valid experiment that says where its values come from."""

from pathlib import Path

import pytest

from rl_keras.settings import command_line
from rl_keras.settings.variants import expand_flagfiles

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "flags").rglob("*.cfg"))
MARKS = {"paper", "inferred", "ours"}


def test_there_are_flagfiles():
    assert {"quickstart.cfg", "fig5_initialisations_cpu.cfg"} <= {path.name for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_flagfile_parses_and_its_experiment_has_its_name(path, monkeypatch):
    monkeypatch.chdir(ROOT)
    config, given = command_line.parse([f"--flagfile={path.relative_to(ROOT)}"])
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


@pytest.mark.parametrize(
    ("program", "names"), [("paper_cpu", ("fig", "proposition")), ("zhang_cpu", ("zhang_",))]
)
def test_a_paper_in_one_command_leaves_no_experiment_out(program, names, monkeypatch):
    monkeypatch.chdir(ROOT)
    config, given = command_line.parse([f"--flagfile=flags/{program}.cfg"])
    own = {f"flags/{path.name}" for path in FILES if path.name.startswith(names)}
    own.discard(f"flags/{program}.cfg")
    at_this_scale = {name for name in own if name.endswith("_cpu.cfg") or "fig20" in name}
    assert set(config.run.experiments) == at_this_scale
    assert len(expand_flagfiles(config, given)) == len(at_this_scale)
