"""The README promises only what runs."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from rl_keras.settings import command_line

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
COMMANDS = re.findall(r"python main\.py ([^`\n]+)", TEXT)


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_python_blocks_run(number):
    command = [sys.executable, "-c", BLOCKS[number]]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_python_blocks_are_found():
    assert len(BLOCKS) == 3


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_are_valid_flags(command, monkeypatch):
    monkeypatch.chdir(ROOT)
    if "runs/" in command:  # written by the quickstart; its format has a test of its own
        command = command.replace("runs/quickstart/flags.cfg", "flags/quickstart.cfg")
    command_line.parse(command.replace("$SLURM_ARRAY_TASK_ID", "3").split())


def test_the_test_command_is_the_one_that_ci_runs():
    line = next(line for line in TEXT.splitlines() if "-m pytest" in line)
    assert line == "pip install -r requirements.txt && python -m pytest"
    assert "-m pytest' README.md" in (ROOT / ".ci" / "run").read_text()


@pytest.mark.parametrize(
    "path", sorted(set(re.findall(r"`((?:tests|flags|rl_keras)/[\w/.]+)`", TEXT)))
)
def test_paths_exist(path):
    assert (ROOT / path).exists()
