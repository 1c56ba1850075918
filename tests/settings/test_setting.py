"""What a declared setting takes, and how the refusal of all else is worded."""

import dataclasses
import doctest
import importlib
import pkgutil
import typing

import pytest

from rl_keras import settings
from rl_keras.errors import UsageError
from rl_keras.settings.setting import NO_REPETITION, NOT_EMPTY, Range, Setting, alone, setting


def declared(type_, **declaration):
    field = setting(None, "A setting.", **declaration)
    return Setting("flag", "section", "name", type_, None, **field.metadata)


@pytest.mark.parametrize(
    ("limits", "words", "inside", "outside"),
    [
        ({"above": 0}, "positive", (1e-9, 5), (0, -1)),
        ({"at_least": 2}, "at least 2", (2, 7), (1,)),
        ({"at_least": 0, "below": 1}, "at least 0 and below 1", (0, 0.5), (-0.1, 1)),
        ({"at_least": 0, "at_most": 1}, "from 0 to 1", (0, 1), (-0.1, 1.1)),
        ({"above": 0, "at_most": 1}, "above 0 and at most 1", (0.1, 1), (0, 1.1)),
        ({"above": 0, "below": 1}, "above 0 and below 1", (0.5,), (0, 1)),
    ],
)
def test_a_range_holds_for_a_number_and_for_each_of_a_list(limits, words, inside, outside):
    one, many = declared(float, **limits), declared(tuple[float, ...], **limits)
    assert str(one.range) == str(Range(**limits)) == words
    many.check(inside)
    for number in inside:
        one.check(number)
    for number in outside:
        message = f"^--flag must be {words}. Received: {number}$"
        with pytest.raises(UsageError, match=message):
            one.check(number)
        with pytest.raises(UsageError, match=message):
            many.check((*inside, number))


def test_without_a_range_every_finite_number_is_taken():
    free = declared(float)
    assert str(free.range) == ""
    free.check(-1e30)
    for number in (float("nan"), float("inf")):
        with pytest.raises(UsageError, match=f"--flag must be a finite number. Received: {number}"):
            free.check(number)


def test_choices():
    one = declared(str, choices=("a", "b"))
    one.check("a")
    with pytest.raises(UsageError, match="^--flag must be one of a, b. Received: c$"):
        one.check("c")


@pytest.mark.parametrize(
    ("rule", "taken", "refused", "message"),
    [
        (NOT_EMPTY, ("a",), (), "not be empty. Received: ''"),
        (NO_REPETITION, ("a", "b"), ("a", "b", "a"), "not repeat an entry. Received: a,b,a"),
        (alone("all"), ("all",), ("a", "all"), "not combine all with others. Received: a,all"),
        (alone("all"), ("a", "b"), ("all", "all"), "not combine all with others"),
    ],
)
def test_rules_for_a_whole_list(rule, taken, refused, message):
    names = declared(tuple[str, ...], rules=(rule,))
    names.check(taken)
    with pytest.raises(UsageError, match=f"^--flag must {message}"):
        names.check(refused)


def test_lists_and_the_type_of_their_items():
    assert declared(tuple[int, ...]).is_list and declared(tuple[int, ...]).item_type is int
    assert not declared(int).is_list and declared(int).item_type is int


def test_a_declared_field_is_a_field_of_a_dataclass():
    @dataclasses.dataclass(frozen=True)
    class Section:
        steps: int = setting(3, "Steps.", at_least=1)

    assert Section().steps == 3 and typing.get_type_hints(Section) == {"steps": int}


@pytest.mark.parametrize(
    "name", [module.name for module in pkgutil.iter_modules(settings.__path__)]
)
def test_docstring_examples_are_true(name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # one writes a flagfile
    assert doctest.testmod(importlib.import_module(f"rl_keras.settings.{name}")).failed == 0
