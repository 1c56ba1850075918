"""Killed at any instant, the same command goes on and ends with the same bytes."""

import dataclasses
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
from resuming import ROOT, VARIANTS, arguments, assert_same

import main
from rl_keras.callbacks import CovarianceAlignment
from rl_keras.data.label_table import labels_sha256, load_labels, save_labels
from rl_keras.experiments import checkpoints, stage
from rl_keras.experiments.checkpoints import Checkpoint, load_checkpoint, save_checkpoint


def interrupt_after(saves, monkeypatch):
    """Makes the process stop right after a number of checkpoints."""
    left = [saves]

    def save(*args):
        save_checkpoint(*args)
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt

    monkeypatch.setattr(stage, "save_checkpoint", save)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory, patches_dir):
    """A run that was interrupted after its third checkpoint; tests go on with copies of it."""
    workdir = tmp_path_factory.mktemp("stopped") / "run"
    with pytest.MonkeyPatch.context() as patch:
        interrupt_after(3, patch)
        assert main.main(arguments(workdir, patches_dir)) == 130
    return workdir


# "regularised" runs on replicas and "corrupted" streams; the variants that do only that are left to
# the slow kills.
@pytest.mark.parametrize("variant", sorted(set(VARIANTS) - {"replicas", "streaming"}))
def test_interrupted_runs_go_on_to_the_same_bytes(
    variant, undisturbed, patches_dir, tmp_path, monkeypatch
):
    expected = undisturbed(variant)
    workdir = tmp_path / "run"
    # 3 saves in the upstream stage of 16 steps, 2 in each arm of 12.
    for saves in (2, 3) if variant == "resident" else (2,):
        with monkeypatch.context() as patch:
            interrupt_after(saves, patch)
            assert main.main(arguments(workdir, patches_dir, variant)) == 130
    assert main.main(arguments(workdir, patches_dir, variant)) == 0
    assert_same(expected, workdir)


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


DAMAGES = {
    "flipped": flip,
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-100]),
    "empty": lambda path: path.write_bytes(b""),
    "foreign": lambda path: path.write_bytes(b"not an archive"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_named_and_passed_over(damage, tmp_path, capsys):
    for step in (4, 8):
        save_checkpoint(tmp_path, Checkpoint(step, [np.arange(300.0)], [], [], 1.0))
    newest = max(tmp_path.glob("step-*.npz"))
    DAMAGES[damage](newest)
    assert load_checkpoint(tmp_path).step == 4
    assert capsys.readouterr().err == (
        f"warning: {newest} is damaged; going back to an earlier state.\n"
    )


@pytest.mark.parametrize(("damage", "num_damaged"), [("truncated", 1), ("flipped", 2)])
def test_runs_go_on_before_damaged_checkpoints(
    damage, num_damaged, stopped, undisturbed, patches_dir, tmp_path, capsys
):
    expected = undisturbed("resident")
    workdir = shutil.copytree(stopped, tmp_path / "run")
    files = sorted(workdir.rglob("step-*.npz"), reverse=True)
    assert [path.name[:14] for path in files] == ["step-000000012", "step-000000008"]
    for path in files[:num_damaged]:
        DAMAGES[damage](path)
    capsys.readouterr()
    assert main.main(arguments(workdir, patches_dir)) == 0
    assert (
        capsys.readouterr().err.count("is damaged; going back to an earlier state") == num_damaged
    )
    assert_same(expected, workdir)


def test_an_interrupted_stage_is_held_to_its_labels(stopped, patches_dir, tmp_path, capsys):
    workdir = shutil.copytree(stopped, tmp_path / "run")
    path = next((workdir / "labels").glob("upstream*"))
    table = load_labels(path)
    given = np.roll(table.given, 1)
    other = dataclasses.replace(table, given=given, sha256=labels_sha256(table.ids, given))
    save_labels(path, other)
    capsys.readouterr()
    assert main.main(arguments(workdir, patches_dir)) == 2
    assert "holds other labels than the data set gives now" in capsys.readouterr().err


def test_sigterm_saves_and_exits_with_its_own_status(
    undisturbed, patches_dir, tmp_path, monkeypatch, capsys
):
    expected = undisturbed("resident")
    workdir = tmp_path / "run"
    flags = [*arguments(workdir, patches_dir), "--checkpoint_every=0"]

    def fit(self, dataset, callbacks):
        os.kill(os.getpid(), signal.SIGTERM)
        return original(self, dataset, callbacks)

    original = stage.Trainer.fit
    with monkeypatch.context() as patch:
        patch.setattr(stage.Trainer, "fit", fit)
        assert main.main(flags) == 75
    assert "the same command goes on from here" in capsys.readouterr().err
    assert [path.name[:14] for path in workdir.rglob("step-*")] == ["step-000000004"]
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert main.main(flags) == 0
    assert_same(expected, workdir)


def test_a_full_disk_keeps_what_was_finished(
    undisturbed, patches_dir, tmp_path, monkeypatch, capsys
):
    expected = undisturbed("resident")
    workdir = tmp_path / "run"
    calls = [0]

    def fsync(file):
        calls[0] += 1
        if calls[0] > 12:
            raise OSError(28, "No space left on device", "arrays.npz")
        return original(file)

    original = os.fsync
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        assert main.main(arguments(workdir, patches_dir)) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines[-1].startswith("error: No space left on device: ")
    assert main.main(arguments(workdir, patches_dir)) == 0
    assert_same(expected, workdir)


def test_a_loss_of_nan_stops_and_names_the_step(patches_dir, tmp_path, capsys):
    flags = [*arguments(tmp_path / "run", patches_dir), "--upstream_learning_rate=1e30"]
    assert main.main(flags) == 3
    error = capsys.readouterr().err.strip()
    assert error.startswith("error: the loss is not finite at step ")
    assert "of stage upstream-random-seed0; lower --upstream_learning_rate" in error
    assert "\n" not in error


def test_a_measurement_that_fails_ends_the_run_which_goes_on_later(
    undisturbed, patches_dir, tmp_path, monkeypatch
):
    def measure(self, step):
        if step > 4:
            raise MemoryError("no room for it")
        return original(self, step)

    original = CovarianceAlignment.measure
    with monkeypatch.context() as patch:
        patch.setattr(CovarianceAlignment, "measure", measure)
        with pytest.raises(MemoryError, match="no room for it"):
            main.main(arguments(tmp_path / "run", patches_dir))
    assert main.main(arguments(tmp_path / "run", patches_dir)) == 0
    assert_same(undisturbed("resident"), tmp_path / "run")


def test_a_failing_tensorboard_does_not_stop_training(
    undisturbed, patches_dir, tmp_path, monkeypatch
):
    import tensorflow as tf

    def fail(*_):
        raise OSError("stale file handle")

    monkeypatch.setattr(tf.summary, "create_file_writer", fail)
    flags = [*arguments(tmp_path / "run", patches_dir), "--tensorboard"]
    with pytest.warns(UserWarning, match="training goes on. stale file handle"):
        assert main.main(flags) == 0
    assert_same(undisturbed("resident"), tmp_path / "run")


def test_checkpoints_come_back_as_they_were(tmp_path):
    variables = [np.arange(3, dtype="float32"), np.array(7, dtype="int64")]
    records = [
        [{"step": 0, "a": 0.1, "b": np.ones(2)}, {"step": 4, "a": 0.2, "b": np.zeros(2)}],
        [],
    ]
    log = [{"step": 4, "name": "x", "value": 1 / 3}]
    for step in (4, 8, 12):
        save_checkpoint(tmp_path, Checkpoint(step, variables, records, log, 1.5))
    assert len(list(tmp_path.iterdir())) == checkpoints.KEPT == 2
    loaded = load_checkpoint(tmp_path)
    assert (loaded.step, loaded.log, loaded.seconds) == (12, log, 1.5)
    for one, other in zip(loaded.variables, variables, strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype
    assert [row["a"] for row in loaded.records[0]] == [0.1, 0.2] and loaded.records[1] == []


def test_a_kill_after_the_result_leaves_no_states_behind(
    undisturbed, patches_dir, tmp_path, monkeypatch
):
    def die(folder):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(stage, "remove_checkpoints", die)
        assert main.main(arguments(tmp_path / "run", patches_dir)) == 130
    assert list((tmp_path / "run").rglob("step-*.npz"))
    assert main.main(arguments(tmp_path / "run", patches_dir)) == 0
    assert_same(undisturbed("resident"), tmp_path / "run")


def test_deterministic_kernels_are_switched_on_and_repeat_themselves(patches_dir, tmp_path):
    # In a process of their own, since nothing switches them off again. Their sums differ in the
    # last bits from those of the usual kernels.
    asked = (
        "import sys, main; statuses = [main.main([*sys.argv[3:], '--workdir=' + folder])"
        " for folder in sys.argv[1:3]];"
        "from tensorflow.python.framework import config;"
        "sys.exit(any(statuses) or 10 + config.is_op_determinism_enabled())"
    )
    folders = [tmp_path / "one", tmp_path / "other"]
    flags = [*arguments(tmp_path, patches_dir), "--deterministic", "--starts=scratch"]
    command = [sys.executable, "-c", asked, *map(str, folders), *flags]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == 11
    assert_same(*folders)
