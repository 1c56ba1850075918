"""Who may import whom. The science stays readable alone, and drawing needs no TensorFlow."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BASE = {"config", "checks", "errors", "seeds"}
ALLOWED = {
    "errors": set(),
    "seeds": set(),
    "sections": {"sections"},
    "config": {"errors", "checks", "sections"},
    "checks": {"errors", "config", "data_checks"},
    "data_checks": {"errors", "config"},
    "cli": {"errors", "config"},
    "cloud": set(),
    "files": {"errors", "cloud"},
    "processes": {"files"},
    "tickets": {"cloud", "processes"},
    "locks": {"cloud", "files", "processes", "tickets"},
    "variants": {"errors", "config", "cli"},
    "program": {"errors", "config", "cli"},
    "storage": {"errors", "config", "files"},
    "science": {"errors", "science"},
    "data": {"errors", "config", "files", "seeds", "science", "data"},
    "models": {*BASE, "models"},
    "callbacks": {"errors", "cloud", "files", "seeds", "science", "callbacks"},
    "experiments": {
        *BASE,
        "cli",
        "storage",
        "locks",
        "files",
        "science",
        "data",
        "models",
        "callbacks",
        "variants",
        "experiments",
    },
    "figures": {*BASE, "files", "storage", "variants", "science", "figures"},
    "claims": {"errors", "config", "files", "storage", "science", "figures", "claims"},
    "report": {"config", "checks", "cli", "files", "figures", "claims", "report"},
}
OUTSIDE = {  # who may import the heavy packages
    "tensorflow": {"cloud", "data", "experiments", "callbacks"},
    "tensorflow_datasets": {"data"},
    "keras": {"models", "callbacks", "experiments"},
    "matplotlib": {"figures"},
    "absl": {"cli"},
    "scipy": {"science"},
}
FILES = sorted((ROOT / "rl_keras").rglob("*.py"))


def package_of(path):
    return path.relative_to(ROOT / "rl_keras").with_suffix("").parts[0]


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_arrows(path):
    package = package_of(path)
    for name in imported(path):
        parts = name.split(".")
        if parts[0] == "rl_keras" and len(parts) > 1 and package != "__init__":
            assert parts[1] in ALLOWED[package], f"{package} imports {name}"
        if parts[0] in OUTSIDE:
            assert package in OUTSIDE[parts[0]], f"{package} imports {name}"


@pytest.mark.parametrize(
    "package", ["config", "cli", "storage", "science.patches", "figures.drawing", "report.page"]
)
def test_loads_without_tensorflow(package):
    code = f"import sys, rl_keras.{package}; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_files_stay_short():
    lengths = {str(path): len(path.read_text().splitlines()) for path in FILES}
    assert not {path: n for path, n in lengths.items() if n > 300}
