"""The gallery says what the committed numbers say."""

import doctest

import pytest

from rl_keras.papers.verdicts import CLAIMS
from rl_keras.report import figure_numbers, gallery
from rl_keras.report.committed import FLAGFILES, read_tables
from rl_keras.report.figure_numbers import NUMBERS, interval


def test_the_committed_pages_are_those_that_the_command_writes():
    for path, text in gallery.pages().items():
        message = f"{path.name} is out of date; run python -m rl_keras.report.gallery"
        assert path.read_text() == text, message


def test_every_picture_with_results_has_a_section_and_every_table_has_numbers():
    told = {name for names in gallery.experiments() for name in names}
    pictures = {path.parent.name for path in FLAGFILES.glob("results/*/*.png")}
    assert pictures - told == {"quickstart"}  # the front page has it
    for name in told:
        figures = set(read_tables(FLAGFILES / "results" / name)) - {
            "summary",
            "depth_table",
            "finding",
        }
        assert figures <= set(NUMBERS)


def test_parts_stand_between_their_comments():
    text = "a\n<!-- begin x -->\nold\n<!-- end x -->\nb\n"
    assert gallery.filled(text, {"x": "new"}) == text.replace("old", "new")
    with pytest.raises(ValueError, match="expected <!-- begin y --> and <!-- end y -->"):
        gallery.filled(text, {"y": "new"})


def test_headers_are_read_by_their_first_words(tmp_path):
    path = tmp_path / "a.cfg"
    path.write_text(
        "# Figure 1 of X, at\n# some scale.\n#\n# Question: is it\n# so?\n# Expect: yes.\n"
        "# Differs from the paper, whose sizes\n# are larger.\n# Cost: a minute.\n--seeds=0\n"
    )
    assert gallery.header(path) == {
        "title": "Figure 1 of X, at some scale.",
        "rest": "",
        "Question": "is it so?",
        "Expect": "yes.",
        "Differs from the paper": "whose sizes are larger.",
        "Cost": "a minute.",
    }


def test_intervals_are_told_as_far_as_they_are_known():
    assert interval({"mean": "0.5", "low": "0.25", "high": "0.75"}, 1, 100) == "50.0 [25.0, 75.0]"
    assert interval({"mean": "1234", "low": "", "high": ""}) == "1,234"
    never = {"mean": "", "low": "", "high": "", "seed_0": "inf", "seed_1": "832.0", "seed_2": ""}
    assert interval(never) == "never, 832"


def test_keys_of_claims_begin_with_what_their_source_names():
    named = [claim for claim in CLAIMS if claim.key.startswith(("fig", "table"))]
    for claim in named:
        kind = claim.key.split("_")[0].replace("fig", "figure ").replace("table", "table ")
        assert kind in gallery._figures(claim.source)


@pytest.mark.parametrize("module", [gallery, figure_numbers])
def test_examples_are_true(module):
    result = doctest.testmod(module)
    assert result.attempted and not result.failed
