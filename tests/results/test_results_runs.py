"""What is read of a run, where every number is given here."""

import numpy as np
import pytest

from rl_keras.results.runs import Results
from rl_keras.settings.experiment import from_values
from rl_keras.storage.run_folder import RunDirectory, stage_keys

STEPS = {0: [0, 5, 10], 1: [0, 10], 2: [0, 10]}


@pytest.fixture
def results(tmp_path):
    """Three upstream seeds with two layers; the last seed diverged and has no test accuracy."""
    values = {"experiment": "made_up", "workdir": str(tmp_path / "run"), "seeds": (0, 1, 2)}
    config = from_values({**values, "starts": ("none",)})
    run = RunDirectory(tmp_path / "run")
    run.claim(config, "")
    for key in stage_keys(config):
        steps = np.array(STEPS[key.seed])
        scores = steps + key.seed if key.seed < 2 else np.full(len(steps), np.nan)
        arrays = {}
        for layer in ("conv_b", "conv_a"):  # in the order of the network
            arrays |= {f"alignment/{layer}/step": steps, f"alignment/{layer}/score": scores}
        summary = {"final_test_accuracy": 0.25 if key.seed < 2 else None}
        run.finish_stage(key, {"summary": summary, "num_classes": 4}, [], arrays)
    return Results(run)


def test_first_layer_is_that_nearest_to_the_input(results):
    assert results.layers("alignment") == ["conv_b", "conv_a"]
    assert results.first_layer("alignment") == "conv_b"
    assert results.first_layer("activity") == ""


def test_columns_of_the_summary_have_no_empty_cells(results):
    keys = results.upstream_keys
    assert results.summaries(keys, "final_test_accuracy") == {0: 0.25, 1: 0.25}
    assert results.summaries(keys, "steps_to_80") == {}


def test_steps_are_those_that_all_seeds_share(results):
    at = {
        index: results.at_step(results.upstream_keys, "alignment/conv_a", "score", index)
        for index in (0, 1, -1)
    }
    assert at == {0: {0: 0.0, 1: 1.0}, 1: {0: 10.0, 1: 11.0}, -1: {0: 10.0, 1: 11.0}}
    assert results.at_step(results.upstream_keys, "alignment/conv_c", "score", 0) == {}
    assert results.notes == [
        "left out, since not finite: upstream-random-seed2 alignment/conv_a/score"
    ]


def test_seeds_and_classes_are_counted(results):
    assert (results.num_planned_seeds, results.num_classes) == (3, 4)
