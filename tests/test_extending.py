"""The worked examples of rl_keras/README.md, put into a copy of the package and run as it says."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "rl_keras" / "README.md").read_text().partition("## How to extend")[2]
# Of a file: what begins with its name in a comment, up to the next such comment.
PIECE = re.compile(r"^# (rl_keras/\S+\.py)(?:, (.*))?\n((?:(?!# rl_keras/).*\n)*)", re.MULTILINE)
COMMAND = re.search(r"```\npython main\.py (.*)\n```", PAGE)[1]
SMALL = (
    "--upstream_split=train[:32] --downstream_split=train[32:64] --test_split=test[:16] "
    "--upstream_batch_size=16 --downstream_batch_size=16 --upstream_epochs=2 "
    "--downstream_epochs=1 --probe_every=2 --measure_every=2 --probe_examples=16 "
    "--moment_examples=32 --notensorboard"
)


def pieces():
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    return [piece for block in blocks for piece in PIECE.findall(block)]


def put(root, name, where, text):
    """Writes a new file, or puts the text where the comment says; the place must be there once."""
    path = root / name
    if not where:
        assert not path.exists()
        path.write_text(text)
        return
    old = path.read_text()
    if where == "at the end":
        path.write_text(f"{old.rstrip()}\n{text}")
        return
    how, _, line = where.partition(": ")
    lines = [one for one in old.splitlines(keepends=True) if one.strip() == line]
    assert len(lines) == 1, f"{name} has {len(lines)} lines {line!r}"
    kept = {"below the line": lines[0], "instead of the line": ""}[how]
    path.write_text(old.replace(lines[0], kept + text.strip("\n") + "\n"))


@pytest.fixture(scope="module")
def extended(tmp_path_factory, patches_dir):
    """A run of the command of the page, by a copy of the package with all of its examples."""
    root = tmp_path_factory.mktemp("extended")
    shutil.copytree(ROOT / "rl_keras", root / "rl_keras")
    shutil.copy(ROOT / "main.py", root)
    for piece in pieces():
        put(root, *piece)
    flags = [*shlex.split(COMMAND), *SMALL.split(), f"--data_dir={patches_dir}", "--workdir=run"]
    done = subprocess.run(
        [sys.executable, "main.py", *flags], cwd=root, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return root / "run"


def test_the_examples_touch_what_the_table_says():
    files = [name.removeprefix("rl_keras/") for name, _, _ in pieces()]
    new = [name.removeprefix("rl_keras/") for name, where, _ in pieces() if not where]
    assert sorted(new) == ["callbacks/kernel_rank.py", "figures/kernel_rank.py", "models/lenet.py"]
    assert [name for name in files if name not in new] == [
        "settings/model.py",
        "experiments/starts.py",
        "settings/transfer.py",
        "settings/measure.py",
        "experiments/measurements.py",  # an import, and the entry
        "experiments/measurements.py",
    ]


def test_a_model_is_one_file_and_one_line(extended):
    with np.load(extended / "stages" / "upstream-random-seed0" / "weights.npz") as weights:
        assert weights["conv2/kernel"].shape == (5, 5, 6, 16)
        assert weights["dense2/kernel"].shape == (120, 84)


def test_a_start_is_one_function_and_one_name(extended):
    with np.load(extended / "arrays" / "downstream-true-orthogonal-seed0.npz") as arrays:
        assert "probe/train/accuracy" in arrays
    text = (extended / "figures" / "initialisations.csv").read_text()
    assert "orthogonal" in text


def test_a_diagnostic_and_its_figure(extended):
    lines = (extended / "metrics.jsonl").read_text().splitlines()
    ranks = [row for row in map(json.loads, lines) if row["name"] == "kernel_rank/conv1"]
    assert {row["stage"] for row in ranks} == {"upstream", "downstream"}
    assert all(1 < row["value"] <= 6 for row in ranks)  # of six filters
    # Orthogonal filters use all of their dimensions alike.
    first = {row["start"]: row["value"] for row in reversed(ranks)}
    assert first["orthogonal"] == pytest.approx(6, abs=1e-5)
    assert first["scratch"] < 6
    assert (extended / "figures" / "kernel_rank.png").read_bytes().startswith(b"\x89PNG")
    assert "conv2" in (extended / "figures" / "kernel_rank.csv").read_text()
