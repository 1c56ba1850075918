"""Runs with damaged or foreign files: refused in one line, and nothing changed on the disk."""

import json
import shutil

import numpy as np
import pytest
from refusals import SMALL, assert_refused, snapshot

import main


@pytest.fixture(scope="module")
def finished(tmp_path_factory, patches_dir):
    """A small finished run, to be copied before it is damaged."""
    workdir = tmp_path_factory.mktemp("finished") / "run"
    flags = [*SMALL, f"--workdir={workdir}", f"--data_dir={patches_dir}", "--starts=scratch"]
    assert main.main(flags) == 0
    return workdir, flags


def other_labels(workdir):
    path = next((workdir / "labels").glob("upstream*"))
    with np.load(path) as archive:
        arrays = dict(archive)
    arrays["given"] = arrays["given"][::-1].copy()
    np.savez(path, **arrays)


def damaged_labels(workdir):
    path = next((workdir / "labels").glob("upstream*"))
    path.write_bytes(path.read_bytes()[:100])


def damaged_result(workdir):
    next((workdir / "stages").glob("downstream*/result.json")).write_text('{"summary"')


def result_of_other_labels(workdir):
    path = next((workdir / "stages").glob("downstream*/result.json"))
    path.write_text(json.dumps({**json.loads(path.read_text()), "labels_sha256": "0" * 64}))


def damaged_weights(workdir):
    # The upstream weights are read only if an arm is still to be trained.
    shutil.rmtree(next((workdir / "stages").glob("downstream*")))
    path = next((workdir / "stages").glob("upstream*/weights.npz"))
    path.write_bytes(path.read_bytes()[:1000])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (other_labels, "SHA-256"),
        (damaged_labels, "Delete it and run again"),
        (damaged_result, "delete this file and run again"),
        (result_of_other_labels, "was trained on other labels"),
        (damaged_weights, "delete it and run again"),
    ],
)
def test_damaged_runs(damage, message, finished, tmp_path, capsys):
    workdir, flags = finished
    shutil.copytree(workdir, tmp_path / "run")
    damage(tmp_path / "run")
    before = snapshot(tmp_path)
    assert_refused([*flags, f"--workdir={tmp_path / 'run'}"], message, capsys)
    assert snapshot(tmp_path) == before


def test_other_settings_in_the_same_workdir(finished, tmp_path, capsys):
    workdir, flags = finished
    before = snapshot(workdir)
    message = "holds a run with --upstream_epochs=2; use that value or another --workdir"
    assert_refused([*flags, "--upstream_epochs=3"], message, capsys)
    assert snapshot(workdir) == before


def damaged_arrays(workdir):
    path = next((workdir / "arrays").glob("upstream*"))
    path.write_bytes(path.read_bytes()[:100])


def nothing_finished(workdir):
    for name in ("stages", "arrays"):
        shutil.rmtree(workdir / name)
    (workdir / "summary.csv").unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [(damaged_arrays, "cannot read"), (nothing_finished, "--workdir must hold a finished stage")],
)
@pytest.mark.parametrize("mode", ["draw", "report"])
def test_reading_a_damaged_run(damage, message, mode, finished, tmp_path, capsys):
    shutil.copytree(finished[0], tmp_path / "run")
    damage(tmp_path / "run")
    before = snapshot(tmp_path)
    assert_refused([f"--workdir={tmp_path / 'run'}", f"--mode={mode}"], message, capsys)
    assert snapshot(tmp_path) == before
