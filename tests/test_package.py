"""The package: which files it has, what it needs, and that its public functions have types."""

import ast
import hashlib
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

import rl_keras

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SETUPTOOLS = PROJECT["tool"]["setuptools"]
CODE = sorted(path.relative_to(ROOT) for path in (ROOT / "rl_keras").rglob("*.py"))
FLAGFILES = sorted(path.relative_to(ROOT) for path in (ROOT / "flags").glob("*.cfg"))
# The files in the package beside code and flagfiles.
OTHER_FILES = {"rl_keras/py.typed", "rl_keras/report/page.css", "rl_keras/flags/fig1_search.csv"}


def expected_files():
    """Returns the files of the package as they are named in a wheel."""
    flagfiles = {f"rl_keras/{path.as_posix()}" for path in FLAGFILES}
    return {path.as_posix() for path in CODE} | flagfiles | OTHER_FILES


def declared_files():
    """Returns the files that the settings of setuptools name."""
    files = set()
    for package in SETUPTOOLS["packages"]:
        folder = Path(SETUPTOOLS["package-dir"].get(package, package.replace(".", "/")))
        for pattern in ("*.py", *SETUPTOOLS["package-data"].get(package, ())):
            names = {path.name for path in (ROOT / folder).glob(pattern)}
            files |= {f"{package.replace('.', '/')}/{name}" for name in names}
    return files


def test_everything_that_the_package_needs_comes_along():
    assert declared_files() == expected_files()


def test_each_file_that_is_no_code_comes_along_or_is_for_readers():
    files = {p for p in (ROOT / "rl_keras").rglob("*") if p.is_file() and p.suffix != ".pyc"}
    names = {path.relative_to(ROOT).as_posix() for path in files}
    assert {n for n in names if not n.endswith((".py", ".md"))} == {
        name for name in OTHER_FILES if "/flags/" not in name
    }


@pytest.mark.slow
def test_a_wheel_holds_just_these_files(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("rl_keras", "flags"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "-w", tmp_path, source]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name for name in names if ".dist-info/" not in name} == expected_files()
    assert any(name.endswith("licenses/LICENSE") for name in names)


def pinned():
    """Returns, by package, the versions that are tested, of both sets."""
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    groups = PROJECT["dependency-groups"]
    lines += [line for line in groups["with-2-19"] + groups["cpu-2-19"] if isinstance(line, str)]
    versions = {}
    for line in lines:
        text = line.partition("#")[0].strip()
        if text:
            requirement = Requirement(text)
            (pin,) = requirement.specifier
            assert pin.operator == "==", line
            versions.setdefault(requirement.name, set()).add(Version(pin.version))
    return versions


@pytest.mark.parametrize(
    "text",
    PROJECT["project"]["dependencies"] + PROJECT["project"]["optional-dependencies"]["test"],
)
def test_ranges_go_from_the_lowest_tested_version_to_below_the_next_major_one(text):
    requirement = Requirement(text)
    bounds = {pin.operator: Version(pin.version) for pin in requirement.specifier}
    tested = pinned()[requirement.name]
    if requirement.name == "tensorboard":  # TensorFlow 2.19 brings its own
        tested = tested | {Version("2.19.0")}
    assert bounds == {">=": min(tested), "<": Version(str(max(tested).major + 1))}


def test_tensorflow_for_tpus_is_that_of_the_other_tests():
    groups = PROJECT["dependency-groups"]
    (tpu,), (cpu,) = (
        [Requirement(r) for r in groups[name] if isinstance(r, str)] for name in ("tpu", "cpu-2-19")
    )
    assert (tpu.name, tpu.specifier) == ("tensorflow-tpu", cpu.specifier)


def test_the_version_and_the_name_stand_also_in_the_citation():
    text = (ROOT / "CITATION.cff").read_text()
    assert f"\nversion: {rl_keras.__version__}\n" in text
    assert "\n  - name: the rl_keras authors\n" in text
    assert PROJECT["project"]["authors"] == [{"name": "the rl_keras authors"}]
    assert PROJECT["project"]["license"] in text


def test_the_licence_is_the_unmodified_apache_licence():
    digest = hashlib.sha256((ROOT / "LICENSE").read_bytes()).hexdigest()
    assert digest == "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"


def test_no_private_key_is_committed():
    for path in (ROOT / "tests").rglob("*"):
        if path.is_file() and path.suffix not in (".pyc", ".png"):
            text = path.read_text(errors="ignore")
            assert not re.search("^-----BEGIN .*PRIVATE KEY", text, re.MULTILINE), path


def public_functions(path):
    """Yields the functions and methods without an underscore, and initialisers, of a file."""

    def visit(body):
        for node in body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                yield from visit(node.body)
            elif isinstance(node, ast.FunctionDef) and (
                node.name == "__init__" or not node.name.startswith("_")
            ):
                yield node

    return visit(ast.parse(path.read_text()).body)


def without_type(function):
    """Returns the arguments that have no type, and "return" if there is none."""
    arguments = function.args
    all_arguments = arguments.posonlyargs + arguments.args + arguments.kwonlyargs
    bare = [a.arg for a in all_arguments if a.annotation is None and a.arg not in ("self", "cls")]
    return bare + ["return"] * (function.returns is None and function.name != "__init__")


SCIENCE = sorted((ROOT / "rl_keras" / "science").glob("*.py"))
MODELS = sorted((ROOT / "rl_keras" / "models").glob("*.py"))


@pytest.mark.parametrize("path", SCIENCE, ids=lambda path: path.stem)
def test_the_functions_of_science_have_types(path):
    assert {f.name: without_type(f) for f in public_functions(path) if without_type(f)} == {}


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_builders_of_models_have_types(path):
    builders = {path.stem, "build_model", "finite_sample_network"}
    functions = [f for f in public_functions(path) if f.name in builders]
    assert {f.name: without_type(f) for f in functions if without_type(f)} == {}


def test_the_command_line_has_types():
    for name in ("__main__.py", "errors.py", "seeds.py"):
        functions = public_functions(ROOT / "rl_keras" / name)
        assert {f.name: without_type(f) for f in functions if without_type(f)} == {}
