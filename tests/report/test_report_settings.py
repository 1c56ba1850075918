"""Where a setting comes from: the mark of the flagfile, a change on top of it, or the default."""

from pathlib import Path

import pytest

from rl_keras.report.settings import read_flagfile, setting_rows
from rl_keras.settings.experiment import from_values

TEXT = """\
# Figure 0 of Nobody et
# al., at no scale.
#
# Question: is a line
# that breaks read whole? It says more.
# Expect: that it is.
--experiment=made_up

# [paper] the network
--filters=128
--widths=

# [inferred] what the paper does not say
--upstream_learning_rate=0.050
--starts=scratch,pretrained
--nofew_filters

# [ours] the rest
--seeds=0,1
--tensorboard
"""


@pytest.fixture
def flagfile(tmp_path):
    (tmp_path / "made_up.cfg").write_text(TEXT.replace("--widths=\n", ""))
    return read_flagfile("made_up", tmp_path)


def marks(flagfile, **values):
    config = from_values({"experiment": "made_up", **values})
    return {row.flag: (row.value, row.mark, row.note) for row in setting_rows(config, flagfile)}


def test_title_and_question(flagfile):
    assert flagfile.title == "Figure 0 of Nobody et al., at no scale."
    assert flagfile.question == "is a line that breaks read whole?"


def test_marks_of_a_run_as_the_flagfile_has_it(flagfile):
    values = {"filters": 128, "upstream_learning_rate": 0.05, "seeds": (0, 1)}
    marked = marks(flagfile, starts=("scratch", "pretrained"), **values)
    assert marked["filters"] == ("128", "paper", "")
    assert marked["upstream_learning_rate"] == ("0.05", "inferred", "")
    assert marked["starts"] == ("scratch,pretrained", "inferred", "")
    assert marked["few_filters"] == ("false", "inferred", "")
    assert marked["seeds"] == ("0,1", "ours", "")
    assert marked["padding"] == ("valid", "default", "")


def test_what_differs_from_the_flagfile_or_goes_beyond_it_is_changed(flagfile):
    marked = marks(flagfile, filters=64, padding="same", transfer_layers=("conv1",))
    assert marked["filters"] == ("64", "changed", "flagfile: 128")
    assert marked["padding"] == ("same", "changed", "default: valid")
    assert marked["transfer_layers"] == ("conv1", "changed", "default: empty")


def test_without_a_flagfile_there_are_only_defaults_and_changes(tmp_path):
    assert read_flagfile("made_up", tmp_path) is None
    marked = marks(None, filters=64)
    assert marked["filters"] == ("64", "changed", "default: 256")
    assert {mark for _, mark, _ in marked.values()} == {"default", "changed"}


def test_only_what_has_a_part_in_the_results_is_listed(flagfile):
    marked = marks(flagfile, model="mlp", widths=(300,), starts=("none",))
    assert "widths" in marked and "upstream_epochs" in marked and "variants" in marked
    left_out = {"filters", "depth", "downstream_epochs", "gaussian_examples", "workdir", "data_dir"}
    assert not left_out & set(marked)


FLAGS = sorted((Path(__file__).parents[2] / "flags").glob("*.cfg"))


@pytest.mark.parametrize("path", FLAGS, ids=lambda path: path.name)
def test_every_flagfile_of_ours_asks_something_and_marks_all_its_settings(path):
    flagfile = read_flagfile(path.stem)
    assert flagfile.title.endswith(".") and "Question:" not in flagfile.title
    assert flagfile.question.endswith("?")
    shown = {"experiment", "experiments", "figures"}
    assert set(flagfile.marks) == set(flagfile.values)
    assert {m for f, m in flagfile.marks.items() if f not in shown} <= {"paper", "inferred", "ours"}
