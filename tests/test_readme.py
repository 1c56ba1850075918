"""The READMEs promise only what runs, link only to what is there, and stay short."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest

import main
from rl_keras.settings import command_line

ROOT = Path(__file__).parents[1]
PAGES = {
    name: (ROOT / name).read_text()
    for name in (
        "README.md",
        "flags/README.md",
        "flags/running.md",
        "rl_keras/README.md",
        "rl_keras/science/README.md",
        "tests/README.md",
    )
}
FRONT = PAGES["README.md"]
# The examples of this part change the package: tests/test_extending.py runs them in a copy.
RUN_HERE = {name: text.partition("## How to extend")[0] for name, text in PAGES.items()}
BLOCKS = [
    (name, block)
    for name, text in RUN_HERE.items()
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL)
]
COMMANDS = sorted(
    (name, command)
    for name, text in RUN_HERE.items()
    for command in re.findall(r"python (?:main\.py|-m rl_keras) (--[^`\n]+)", text)
)
SHORT = (
    "--seeds=0 --starts=scratch,pretrained --upstream_split=train[:64] --upstream_epochs=2 "
    "--downstream_split=train[64:128] --downstream_epochs=1 --test_split=test[:64] "
    "--measure_every=1 --probe_every=1"
).split()


@pytest.fixture(scope="module")
def workplace(tmp_path_factory, patches_dir):
    """A folder like a checkout in which the first command of the front page was run, shortened."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("main.py", "rl_keras", "flags"):
        (folder / name).symlink_to(ROOT / name)
    line = next(line for line in FRONT.splitlines() if "main.py" in line)
    install, command = line.split(" && ")
    assert install == "pip install -r requirements.txt"
    program, *arguments = shlex.split(command)
    assert program == "python"
    command = [sys.executable, *arguments, *SHORT, f"--data_dir={patches_dir}"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


def test_the_first_command_draws_the_picture_that_the_front_page_shows(workplace):
    (path,) = set(re.findall(r"`(runs/[\w/]+\.png)`", FRONT))
    assert (workplace / path).exists()
    assert "flags/results/quickstart/overview.png" in FRONT


@pytest.mark.parametrize(("name", "command"), COMMANDS)
def test_commands_run_where_they_read_and_parse_where_they_train(
    name, command, workplace, monkeypatch, capsys
):
    monkeypatch.chdir(workplace)
    arguments = shlex.split(command.replace("$SLURM_ARRAY_TASK_ID", "3"))
    if "--help" in arguments:
        with pytest.raises(SystemExit, match="0"):
            main.main(arguments)
        assert "--flagfile" in capsys.readouterr().out
    elif "--mode=" in command:
        assert main.main(arguments) == 0
        assert "wrote" in capsys.readouterr().out
    else:
        command_line.parse(arguments)


def test_the_package_runs_as_a_module(workplace):
    line = next(line for line in FRONT.splitlines() if line.startswith("python -m rl_keras"))
    command = [sys.executable, *shlex.split(line)[1:], *SHORT, "--workdir=other", "--dry_run"]
    done = subprocess.run(command, cwd=workplace, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("quickstart: 3 stages")


@pytest.mark.parametrize(("name", "block"), BLOCKS)
def test_python_blocks_run(name, block, workplace, monkeypatch, capsys):
    monkeypatch.chdir(workplace)
    exec(compile(block, name, "exec"), {})
    assert capsys.readouterr().out


def test_python_blocks_are_found():
    names = ["README.md", "rl_keras/README.md", *2 * ["rl_keras/science/README.md"]]
    assert [name for name, _ in BLOCKS] == names


def test_your_own_model_takes_ten_lines():
    (block,) = (block for name, block in BLOCKS if name == "README.md")
    assert len([line for line in block.splitlines() if line]) <= 10


def test_the_test_command_is_the_one_that_ci_runs():
    line = next(line for line in FRONT.splitlines() if "-m pytest" in line)
    assert line == "pip install -r requirements.txt && python -m pytest"
    assert "-m pytest' README.md" in (ROOT / ".ci" / "run").read_text()


@pytest.mark.parametrize("name", PAGES)
def test_pages_are_short(name):
    assert len(PAGES[name].splitlines()) <= (200 if name == "README.md" else 250)
    assert len(FRONT.split()) <= 1400


def links(name):
    """The addresses in a page that lead to files of this project, as path and anchor."""
    text = re.sub(r"```.*?```", "", PAGES[name], flags=re.DOTALL)
    addresses = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'(?:href|src)="([^"]+)"', text)
    for address in addresses:
        if not re.match(r"https?:", address):
            path, _, anchor = unquote(address).partition("#")
            folder = (ROOT / name).parent
            yield (folder / path).resolve() if path else ROOT / name, anchor


def anchors(text):
    """The anchors that GitHub gives to the headings of a page."""
    text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("name", PAGES)
def test_links_and_pictures_lead_somewhere(name):
    targets = list(links(name))
    for path, anchor in targets:
        assert path.exists(), path
        assert ROOT in path.parents
        assert not anchor or anchor in anchors(path.read_text()), f"{path}#{anchor}"


def test_every_page_is_reached_from_the_front_page():
    reached, new = set(), {"README.md"}
    while new:
        reached |= new
        paths = {path for name in new for path, _ in links(name)}
        new = {os.path.relpath(path, ROOT) for path in paths} & set(PAGES) - reached
    assert reached == set(PAGES)


def test_every_experiment_with_results_is_in_the_gallery():
    for path in (ROOT / "flags" / "results").glob("*/summary.csv"):
        assert f"({path.parent.name}.cfg)" in PAGES["flags/README.md"]


@pytest.mark.parametrize(
    "path",
    sorted(
        {
            p
            for text in PAGES.values()
            for p in re.findall(r"`((?:tests|flags|rl_keras)/[\w/.]+)`", text)
        }
    ),
)
def test_paths_exist(path):
    assert (ROOT / path).exists()
