"""Examples in the docstrings of results and papers are true.

Those of `science` are in tests/science, where every module must have one.
"""

import doctest
import importlib
import pkgutil

import pytest

import rl_keras

ROOMS = ("results", "papers")
MODULES = [
    module.name
    for room in ROOMS
    for module in pkgutil.walk_packages([f"{rl_keras.__path__[0]}/{room}"], f"rl_keras.{room}.")
]


@pytest.mark.parametrize("name", sorted(MODULES))
def test_docstring_examples_are_true(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_claims_have_examples():
    assert doctest.testmod(importlib.import_module("rl_keras.papers.claim")).attempted > 0
