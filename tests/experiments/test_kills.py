"""Killed at any instant, in the middle of a write too, a run goes on to the same bytes."""

import random
import shutil
import signal
import subprocess
import sys
import time

import pytest
from resuming import ROOT, VARIANTS, arguments, assert_same

import main


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


def test_sigkill_after_the_first_saved_state(undisturbed, patches_dir, tmp_path):
    workdir = tmp_path / "run"
    flags = arguments(workdir, patches_dir)
    process = subprocess.Popen([sys.executable, "main.py", *flags], cwd=ROOT)
    # Two stages are still to come when the first state is there.
    while not list(workdir.rglob("step-*.npz")) and process.poll() is None:
        time.sleep(0.01)
    time.sleep(0.17)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert main.main(flags) == 0
    assert_same(undisturbed("resident"), workdir)


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["resident", "streaming", "replicas"])
def test_sigkill_at_twenty_instants(variant, patches_dir, tmp_path):
    kill_test(variant, 20, patches_dir, tmp_path)


# Runs main.py and dies at the n-th write: of a file half written, or just put in place.
DIES_WRITING = """
import os, signal, sys
import main
from rl_keras.storage import files
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


@pytest.mark.parametrize(("where", "number"), [("fsync", 6), ("replace", 8)])
def test_sigkill_in_the_middle_of_a_write_and_right_after_it(
    where, number, undisturbed, patches_dir, tmp_path
):
    flags = arguments(tmp_path / "run", patches_dir)
    assert kill_writing(number, where, flags)
    assert main.main(flags) == 0
    assert_same(undisturbed("resident"), tmp_path / "run")


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
