"""Who may import whom: every arrow runs down to a lower floor; heavy packages have few users."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLOORS = (  # a room imports only from the floors below its own
    {"errors", "seeds"},
    {"settings", "science"},
    {"storage", "models"},
    {"data", "callbacks", "results"},
    {"experiments", "papers"},
    {"figures"},
    {"report"},
    {"__main__"},
)
NEVER = {  # not to be imported though they are on a lower floor
    "science": {"seeds"},
    "callbacks": {"settings", "models"},
    "results": {"models"},
    "papers": {"models", "data", "callbacks"},
    "figures": {"models", "data", "callbacks", "experiments"},
    "report": {"models", "data", "callbacks", "experiments"},
}
OUTSIDE = {  # which rooms may import the heavy packages
    "tensorflow": {"storage", "data", "callbacks", "experiments"},
    "tensorflow_datasets": {"data"},
    "keras": {"models", "callbacks", "experiments", "__main__"},
    "matplotlib": {"figures"},
    "absl": {"settings"},
    "scipy": {"science"},
}
FILES = sorted((ROOT / "rl_keras").rglob("*.py"))


def room_of(path):
    return path.relative_to(ROOT / "rl_keras").with_suffix("").parts[0]


def floor_of(room):
    return next(number for number, rooms in enumerate(FLOORS) if room in rooms)


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def forbidden(room, name):
    """Says why a room must not import a name, or nothing if it may."""
    parts = name.split(".")
    if parts[0] in OUTSIDE and room not in OUTSIDE[parts[0]]:
        return f"{parts[0]} belongs to {', '.join(sorted(OUTSIDE[parts[0]]))}"
    if parts[0] != "rl_keras" or len(parts) == 1 or parts[1] == room:
        return ""
    if not any(parts[1] in rooms for rooms in FLOORS):
        return ""  # a name of the package itself, such as its version
    if parts[1] in NEVER.get(room, ()) or floor_of(parts[1]) >= floor_of(room):
        return f"{room} is on floor {floor_of(room)}, {parts[1]} on floor {floor_of(parts[1])}"
    return ""


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_arrow_runs_downwards(path):
    room = room_of(path)
    for name in imported(path):
        if room != "__init__":
            assert not forbidden(room, name), f"{path.name} imports {name}"


@pytest.mark.parametrize(
    ("room", "name"),
    [
        ("science", "rl_keras.settings.experiment"),  # both on one floor
        ("science", "rl_keras.seeds.derive_seed"),
        ("papers", "rl_keras.figures.filters"),
        ("results", "matplotlib.axes"),
        ("callbacks", "rl_keras.settings.measure"),
        ("figures", "keras"),
        ("report", "rl_keras.experiments.plan"),
        ("data", "absl.flags"),
    ],
)
def test_an_arrow_that_does_not_is_found(room, name):
    assert forbidden(room, name)


def test_every_room_has_a_floor():
    rooms = {room_of(path) for path in FILES} - {"__init__"}
    assert rooms <= set().union(*FLOORS)


def test_nobody_in_the_command_line_but_settings_knows_absl():
    users = {path.stem for path in FILES if any(n.startswith("absl") for n in imported(path))}
    assert users == {"command_line"}


@pytest.mark.parametrize(
    "module",
    [
        "settings.experiment",
        "settings.command_line",
        "storage.run_folder",
        "science.patches",
        "results.quantities",
        "papers.verdicts",
        "figures.plotting.drawing",
        "report.page",
    ],
)
def test_loads_without_tensorflow(module):
    code = f"import sys, rl_keras.{module}; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


@pytest.mark.parametrize("module", ["results.quantities", "papers.verdicts", "settings.experiment"])
def test_loads_without_matplotlib(module):
    code = f"import sys, rl_keras.{module}; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_threads_of_blas_are_told_to_sleep_before_numpy_starts_them():
    code = (
        "import os, sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'numpy':\n"
        "            sys.exit(os.environ.get('OPENBLAS_THREAD_TIMEOUT') != '4')\n"
        "sys.meta_path.insert(0, Finder())\n"
        "import main, numpy\n"
    )
    environment = {k: v for k, v in os.environ.items() if k != "OPENBLAS_THREAD_TIMEOUT"}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment)
    assert done.returncode == 0
