"""Flagfiles are found from any folder, a file of the user's own first, and read line by line."""

import pytest

from rl_keras.errors import UsageError
from rl_keras.report.settings import read_flagfile
from rl_keras.settings import command_line
from rl_keras.settings.flagfiles import expand, locate, shipped_folder
from rl_keras.settings.variants import expand_flagfiles


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """An empty folder as the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_flagfile_that_comes_along_is_found_from_any_folder(elsewhere):
    config, given = command_line.parse(["--flagfile=flags/quickstart.cfg", "--seeds=0"])
    assert (config.run.experiment, config.run.seeds) == ("quickstart", (0,))
    assert "upstream_epochs" in given
    assert read_flagfile("quickstart").title.startswith("From random labels to a figure")


def test_so_are_the_experiments_that_a_flagfile_names(elsewhere):
    config, given = command_line.parse(["--flagfile=flags/paper_cpu.cfg"])
    expanded = expand_flagfiles(config, given)
    assert "fig20_middle" in expanded and len(expanded) == len(config.run.experiments)


def test_a_file_in_the_current_folder_wins(elsewhere):
    (elsewhere / "flags").mkdir()
    (elsewhere / "flags" / "quickstart.cfg").write_text("--experiment=mine\n")
    config, _ = command_line.parse(["--flagfile=flags/quickstart.cfg"])
    assert config.run.experiment == "mine"
    # The folder of the user holds no such file.
    assert locate("flags/zhang_cpu.cfg") == shipped_folder() / "zhang_cpu.cfg"


@pytest.mark.parametrize(
    "path", ["quickstart.cfg", "flags/no_such.cfg", "flags/results/quickstart.cfg", "a/flags/b.cfg"]
)
def test_other_paths_mean_what_they_say(path, elsewhere):
    with pytest.raises(UsageError, match=f"Unable to open flagfile {path} .*flags/NAME.cfg"):
        expand([f"--flagfile={path}"])


def test_the_lines_of_a_flagfile_stand_in_its_place(elsewhere):
    (elsewhere / "inner.cfg").write_text("--depth=2\n  --width=3  \n")
    (elsewhere / "outer.cfg").write_text("# why\n// too\n\n--a=1\n--flagfile=inner.cfg\n--b\n")
    lines = ["--a=1", "--depth=2", "--width=3", "--b"]
    assert expand(["--first", "--flagfile=outer.cfg", "--last=x=y"]) == [
        "--first",
        *lines,
        "--last=x=y",
    ]
    assert expand(["--flagfile", "outer.cfg"]) == expand(["-flagfile=outer.cfg"]) == lines


def test_a_flagfile_of_ones_own_may_include_one_that_comes_along(elsewhere):
    (elsewhere / "mine.cfg").write_text("--flagfile=flags/quickstart.cfg\n--experiment=mine\n")
    config, _ = command_line.parse(["--flagfile=mine.cfg"])
    assert (config.run.experiment, config.data.dataset) == ("mine", "natural_patches")


def test_the_same_file_may_stand_twice_but_not_in_itself(elsewhere):
    (elsewhere / "a.cfg").write_text("--flagfile=b.cfg\n")
    (elsewhere / "b.cfg").write_text("--seeds=1\n")
    assert expand(["--flagfile=a.cfg", "--flagfile=b.cfg"]) == ["--seeds=1"] * 2
    (elsewhere / "b.cfg").write_text("--flagfile=a.cfg\n")
    with pytest.raises(UsageError, match="--flagfile must not include itself. Received: a.cfg"):
        command_line.parse(["--flagfile=a.cfg"])
