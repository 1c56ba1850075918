"""The picture of the finding: numbers as in other figures, titles that claim what holds."""

import pytest

from rl_keras.figures import finding
from rl_keras.figures.plotting.drawing import draw_figure, rows_of
from rl_keras.results.runs import Results

ALIGNED, FASTER = "align with the data", "is learnt faster"


def titles(run):
    results = Results(run)
    axes = finding.draw(finding.read(results), results).figure.axes
    return [ax.get_title("left") or ax.get_title() for ax in axes]


def pick(rows, panel):
    return [row for row in rows if row["panel"] == panel]


def test_its_numbers_are_those_of_the_other_figures(make_run):
    run = make_run()
    rows = rows_of("finding", run)
    assert pick(rows, "misalignment") == pick(rows_of("overview", run), "misalignment")
    assert pick(rows, "accuracy") == pick(rows_of("initialisations", run), "accuracy")
    assert {row["panel"] for row in rows} == {"misalignment", "accuracy"}


def test_titles_state_what_every_seed_shows(make_run):
    left, right = titles(make_run())
    assert "random labels" in left and ALIGNED in left and FASTER in right


def test_titles_claim_nothing_where_one_seed_disagrees(make_run):
    def spoil(key, arrays):
        if key.seed == 1 and "alignment/conv1/data_basis" in arrays:
            arrays["alignment/conv1/data_basis"] = arrays["alignment/conv1/data_basis"] + 30
        if key.seed == 2 and key.start == "pretrained":
            arrays["probe/train/accuracy"] = arrays["probe/train/accuracy"] / 2

    left, right = titles(make_run(change=spoil))
    assert ALIGNED not in left and FASTER not in right


@pytest.mark.parametrize(
    "values",
    [
        {"measured": ()},
        {"starts": ("none",)},
        {"starts": ("scratch",), "seeds": (0,)},
        {"upstream_labels": ("true",), "transfer_depths": (1, 2)},
    ],
)
def test_what_is_missing_is_not_claimed(make_run, values):
    run = make_run(**values)
    left, right = titles(run)
    if "measured" in values:
        assert ALIGNED not in left
    elif "starts" in values:
        assert FASTER not in right
    else:
        assert left.startswith("Filters trained on true labels")
    assert draw_figure("finding", run).notes == []
