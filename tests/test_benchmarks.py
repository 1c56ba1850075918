"""What the benchmarks compute from their readings; no test depends on speed."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from rl_keras.models import mlp, simple_cnn
from tests.benchmarks.__main__ import PARTS
from tests.benchmarks.results import Result, Seconds, compared, take_turns, text
from tests.benchmarks.training import (
    BARE,
    EVERYTHING,
    MEASURED,
    OURS,
    compiled,
    make_variants,
    training_flops,
)

ROOT = Path(__file__).parents[1]


def test_ratios_are_of_the_same_turn_and_a_target_is_for_their_median():
    seconds = {"bare": [1.0, 2.0, 4.0], "ours": [2.0, 2.5, 4.0]}
    bare, ours = compared(seconds, "bare", 100, "images/s", {"ours": ">= 0.75"}, "CNN: ")
    assert (bare.name, bare.value, bare.ratio, bare.verdict) == ("CNN: bare", 50, None, "")
    assert (ours.value, ours.ratio, ours.verdict) == (40, (0.8, 0.5, 1.0), "met")
    assert text([ours]).split() == (
        "CNN: ours 40 images/s 0.8 [0.5, 1] of bare target >= 0.75: met".split()
    )


@pytest.mark.parametrize(("target", "verdict"), [(">= 2", "missed"), ("<= 2", "met"), ("", "")])
def test_a_target_without_a_ratio_is_for_the_value(target, verdict):
    assert Result("memory", 1.5, "MB", target=target).verdict == verdict


def test_turns_go_round_and_the_first_does_not_count():
    calls = []
    seconds = take_turns({name: lambda name=name: calls.append(name) for name in "ab"}, repeats=2)
    assert calls == list("ababab")
    assert [len(own) for own in seconds.values()] == [2, 2]


def test_a_function_may_time_itself_and_a_number_is_no_time():
    seconds = take_turns({"timed": lambda: Seconds(7), "not": lambda: 7.0}, repeats=1)
    assert seconds["timed"] == [7] and seconds["not"][0] < 1


def test_every_variant_of_the_training_times_itself():
    model = compiled(mlp((3,), widths=(20,)))
    variants, shares = make_variants(model, (3,), batch=8, steps=2)
    assert list(variants) == [BARE, OURS, MEASURED, EVERYTHING]
    assert all(isinstance(train(), Seconds) for train in variants.values())
    assert len(shares) == 1 and shares[0] > 0


def test_operations_of_a_training_step_by_hand():
    assert training_flops(mlp((3,), classes=2, widths=(5,))) == 2 * (2 * 3 * 5 + 3 * 5 * 2)
    model = simple_cnn((4, 4, 1), classes=2, filters=3, units=5)
    convolution, dense, head = 4 * 9 * 3, 4 * 3 * 5, 5 * 2
    assert training_flops(model) == 2 * (2 * convolution + 3 * dense + 3 * head)


def test_every_part_is_a_module_and_others_are_refused():
    for part in PARTS:
        assert importlib.import_module(f"tests.benchmarks.{part}").measure
    command = [sys.executable, "-m", "tests.benchmarks", "--parts=training,speed"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert "--parts must be some of training, " in done.stderr
    assert "Received: speed" in done.stderr
