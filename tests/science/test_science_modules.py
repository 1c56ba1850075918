"""What holds for every module of the science package."""

import doctest
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

from rl_keras import science

_MODULES = [f"rl_keras.science.{module.name}" for module in pkgutil.iter_modules(science.__path__)]


def test_science_loads_without_tensorflow_and_keras():
    lines = [
        "import importlib, sys",
        f"[importlib.import_module(name) for name in {_MODULES}]",
        "print(sorted({'tensorflow', 'keras', 'jax', 'torch'} & set(sys.modules)))",
    ]
    root = Path(science.__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], cwd=root, capture_output=True, text=True
    )
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr


@pytest.mark.parametrize("name", sorted(_MODULES))
def test_docstring_examples_are_true(name):
    results = doctest.testmod(importlib.import_module(name))
    assert results.attempted > 0
    assert results.failed == 0
