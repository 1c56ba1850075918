"""Killed at any instant, the same command goes on and ends with the same bytes."""

import dataclasses
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import main
from rl_keras.data.label_table import labels_sha256, load_labels, save_labels
from rl_keras.experiments import checkpoints, stage
from rl_keras.experiments.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from rl_keras.storage import RunDirectory, read_arrays, stage_keys

ROOT = Path(__file__).parents[2]
SMALL = (
    "--upstream_split=train[:40] --downstream_split=train[40:80] --test_split=test[:20] "
    "--upstream_batch_size=10 --downstream_batch_size=10 --upstream_epochs=4 --downstream_epochs=3 "
    "--probe_every=4 --measure_every=4 --filters=32 --units=4 --starts=scratch,covariance "
    "--keep_weights=all --checkpoint_every=4 --notensorboard"
).split()
VARIANTS = {
    "resident": [],
    "streaming": ["--max_resident_mb=0"],
    "executions": ["--upstream_steps_per_execution=4", "--downstream_steps_per_execution=4"],
    "replicas": ["--strategy=mirrored", "--num_logical_cpus=2"],
}


def arguments(workdir, data_dir, variant="resident"):
    return [*SMALL, f"--workdir={workdir}", f"--data_dir={data_dir}", *VARIANTS[variant]]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, patches_dir):
    """Returns a function from a variant to its finished, never interrupted run."""
    done = {}

    def run(variant):
        if variant not in done:
            done[variant] = tmp_path_factory.mktemp("undisturbed") / "run"
            assert main.main(arguments(done[variant], patches_dir, variant)) == 0
        return done[variant]

    return run


def assert_same(one, other):
    for name in ("metrics.jsonl", "summary.csv"):
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
    first, second = RunDirectory(one), RunDirectory(other)
    for key in stage_keys(first.read_config()):
        for path in (RunDirectory.weights_path, RunDirectory.arrays_path):
            arrays = read_arrays(path(first, key)), read_arrays(path(second, key))
            assert arrays[0].keys() == arrays[1].keys()
            for name in arrays[0]:
                np.testing.assert_array_equal(arrays[0][name], arrays[1][name], err_msg=name)
    assert not list(other.rglob("step-*.npz"))
    assert not list(other.rglob("*.tmp"))


def interrupt_after(saves, monkeypatch):
    """Makes the process stop right after a number of checkpoints."""
    left = [saves]

    def save(*args):
        save_checkpoint(*args)
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt

    monkeypatch.setattr(stage, "save_checkpoint", save)


@pytest.mark.parametrize("variant", VARIANTS)
def test_interrupted_runs_go_on_to_the_same_bytes(
    variant, undisturbed, patches_dir, tmp_path, monkeypatch
):
    expected = undisturbed(variant)
    workdir = tmp_path / "run"
    # 3 saves in the upstream stage of 16 steps, 2 in each arm of 12.
    for saves in (2, 2, 2):
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


@pytest.mark.parametrize(("damage", "num_damaged"), [*((d, 1) for d in DAMAGES), ("flipped", 2)])
def test_damaged_checkpoints_are_passed_over(
    damage, num_damaged, undisturbed, patches_dir, tmp_path, monkeypatch, capsys
):
    expected = undisturbed("resident")
    workdir = tmp_path / "run"
    with monkeypatch.context() as patch:
        interrupt_after(3, patch)
        assert main.main(arguments(workdir, patches_dir)) == 130
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


def test_an_interrupted_stage_is_held_to_its_labels(patches_dir, tmp_path, monkeypatch, capsys):
    workdir = tmp_path / "run"
    with monkeypatch.context() as patch:
        interrupt_after(1, patch)
        assert main.main(arguments(workdir, patches_dir)) == 130
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


def kill_at(instant, flags):
    """Starts the command, kills it after so many seconds, and says whether it was still running."""
    process = subprocess.Popen(
        [sys.executable, "main.py", *flags],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        process.wait(instant)
    except subprocess.TimeoutExpired:
        process.kill()
    return process.wait() == -signal.SIGKILL


def kill_test(variant, num_instants, data_dir, tmp_path):
    """Kills runs at so many random instants of their length, and compares what they end with."""
    expected = tmp_path / "expected"
    begin = time.monotonic()
    assert not kill_at(600, arguments(expected, data_dir, variant))
    length = time.monotonic() - begin
    generator = random.Random(f"{variant} {num_instants}")
    for number in range(num_instants):
        workdir = tmp_path / f"run{number}"
        # Imports take the first part; there is nothing to lose yet.
        while not kill_at(
            length * generator.uniform(0.4, 1.0), arguments(workdir, data_dir, variant)
        ):
            shutil.rmtree(workdir)
            length *= 0.9  # it was done already: the machine has become faster
        assert not kill_at(600, arguments(workdir, data_dir, variant))
        assert_same(expected, workdir)
        shutil.rmtree(workdir)


def test_sigkill_at_a_random_instant(patches_dir, tmp_path):
    kill_test("resident", 1, patches_dir, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["resident", "streaming", "replicas"])
def test_sigkill_at_twenty_instants(variant, patches_dir, tmp_path):
    kill_test(variant, 20, patches_dir, tmp_path)


# Runs main.py and dies at the n-th write: of a file half written, or just put in place.
DIES_WRITING = """
import os, signal, sys
import main
from rl_keras import files
left, where = int(sys.argv[1]), sys.argv[2]
call = getattr(os, where)
def die(*args, **kwargs):
    global left
    left -= 1
    if left == 0 and where == "fsync":
        os.ftruncate(args[0], os.fstat(args[0]).st_size // 2)
    result = call(*args, **kwargs)
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return result
setattr(files.os, where, die)
sys.exit(main.main(sys.argv[3:]))
"""


def kill_writing(number, where, flags):
    """Starts the command, which dies at a write, and says whether it did."""
    command = [sys.executable, "-c", DIES_WRITING, str(number), where, *flags]
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.run(command, cwd=ROOT, check=False, **silent).returncode == -signal.SIGKILL


@pytest.mark.parametrize("where", ["fsync", "replace"])
def test_sigkill_in_the_middle_of_a_write_and_right_after_it(
    where, undisturbed, patches_dir, tmp_path
):
    flags = arguments(tmp_path / "run", patches_dir)
    assert kill_writing(random.Random(where).randint(1, 8), where, flags)
    assert main.main(flags) == 0
    assert_same(undisturbed("resident"), tmp_path / "run")


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
    # In processes of their own, since nothing switches them off again. Their sums differ in the
    # last bits from those of the usual kernels.
    asked = (
        "import sys, main; status = main.main(sys.argv[1:]);"
        "from tensorflow.python.framework import config;"
        "sys.exit(status or 10 + config.is_op_determinism_enabled())"
    )
    for name in ("one", "other"):
        flags = [*arguments(tmp_path / name, patches_dir), "--deterministic", "--starts=scratch"]
        command = [sys.executable, "-c", asked, *flags]
        assert subprocess.run(command, cwd=ROOT, check=False).returncode == 11
    assert_same(tmp_path / "one", tmp_path / "other")


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["resident", "streaming", "replicas"])
def test_the_quickstart_killed_twenty_times(variant, patches_dir, tmp_path):
    common = ["--flagfile=flags/quickstart.cfg", f"--data_dir={patches_dir}", "--keep_weights=all"]
    common += ["--checkpoint_every=40", "--notensorboard", *VARIANTS[variant]]
    expected, workdir = tmp_path / "expected", tmp_path / "run"
    begin = time.monotonic()
    assert not kill_at(1800, [*common, f"--workdir={expected}"])
    length = time.monotonic() - begin
    generator, flags = random.Random(variant), [*common, f"--workdir={workdir}"]
    for number in range(20):
        if number % 2:
            where = generator.choice(["fsync", "replace"])
            assert kill_writing(generator.randint(1, 10), where, flags)
        else:  # imports take the first seconds; there is nothing to lose yet
            assert kill_at(generator.uniform(8, 8 + length / 12), flags)
    assert not kill_at(1800, flags)
    assert_same(expected, workdir)
