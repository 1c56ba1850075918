"""Two processes train one model: the same bytes as two replicas, also after one of them is lost."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading

import pytest
import tensorflow as tf
from resuming import ROOT, assert_same

import main
from rl_keras.errors import UsageError
from rl_keras.experiments import workers
from rl_keras.experiments.devices import make_strategy
from rl_keras.experiments.workers import Cluster, Workers, meet, read_cluster
from rl_keras.settings.experiment import from_values
from rl_keras.settings.run import RunConfig

# Two processes cannot share a GPU, and its sums have other last bits.
ON_CPU = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
SMALL = (
    "--dataset=gaussian --gaussian_variances=0.5,1,2 --gaussian_examples=80 --scaling=none "
    "--model=mlp --widths=16,8 --upstream_split=train[:40] --downstream_split=train[40:] "
    "--test_split=test[:20] --upstream_batch_size=10 --downstream_batch_size=10 "
    "--upstream_epochs=4 --downstream_epochs=4 --probe_every=4 --measure_every=4 "
    "--downstream_labels=random --starts=scratch,covariance --keep_weights=all "
    "--checkpoint_every=4 --notensorboard --figures= --null_draws=9 "
    "--ledger --feature_alignment --keep_representations=20"
).split()
# Runs main.py, and sends itself a signal right after the n-th checkpoint.
STRUCK = """
import os, sys
import main
from rl_keras.experiments.start_up import start_tensorflow
start_tensorflow()
from rl_keras.experiments import stage
left, number, save = int(sys.argv[1]), int(sys.argv[2]), stage.save_checkpoint
def struck(*args):
    global left
    save(*args)
    left -= 1
    if left == 0:
        os.kill(os.getpid(), number)
stage.save_checkpoint = struck
sys.exit(main.main(sys.argv[3:]))
"""


def free_addresses(number):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind(("localhost", 0))
        return [f"localhost:{one.getsockname()[1]}" for one in sockets]


def tf_config(addresses, index):
    return json.dumps(
        {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
    )


def two_workers(*flags, struck=None, after=1, by=0, only_second=()):
    """Runs a command on two workers; returns the status, output and errors of each.

    `struck` is the worker that gets the signal `by` after so many checkpoints.
    """
    addresses = free_addresses(2)
    processes = []
    for index in range(2):
        command = [sys.executable, "-c", STRUCK, str(after if index == struck else 0), str(by)]
        command += [*SMALL, "--strategy=multi_worker", *flags, *(only_second if index else ())]
        environment = {**ON_CPU, "TF_CONFIG": tf_config(addresses, index)}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        processes.append(subprocess.Popen(command, cwd=ROOT, env=environment, **pipes))
    try:
        said = [process.communicate(timeout=240) for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [(process.returncode, *own) for process, own in zip(processes, said, strict=True)]


@pytest.fixture(scope="module")
def mirrored(tmp_path_factory):
    """The same run on two replicas of one process."""
    workdir = tmp_path_factory.mktemp("mirrored") / "run"
    flags = ["--strategy=mirrored", "--num_logical_cpus=2", f"--workdir={workdir}"]
    command = [sys.executable, "main.py", *SMALL, *flags]
    subprocess.run(command, cwd=ROOT, env=ON_CPU, check=True, stdout=subprocess.DEVNULL)
    return workdir


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch):
    """Where the second worker writes; a killed one leaves its folder there."""
    monkeypatch.setitem(ON_CPU, "TMPDIR", str(tmp_path / "own"))
    (tmp_path / "own").mkdir()
    return tmp_path / "own"


def test_two_workers_leave_what_two_replicas_leave(mirrored, tmp_path, own_folders):
    (status, out, err), *other = two_workers(f"--workdir={tmp_path / 'run'}")
    assert (status, err) == (0, "") and "[3/3] downstream" in out
    assert other == [(0, "", "")]
    assert_same(mirrored, tmp_path / "run")
    assert not list(own_folders.glob("rl_keras-*"))  # AutoGraph leaves a folder of its own


def stop_and_go_on(mirrored, workdir, after):
    """Stops a run at its second worker, and compares what the same command then leaves."""
    flags = [f"--workdir={workdir}"]
    ended = two_workers(*flags, struck=1, after=after, by=signal.SIGTERM)
    assert [status for status, *_ in ended] == [75, 75]
    assert all("the same command goes on from here" in err for *_, err in ended)
    # The first stage is finished by then, and its weights are wanted on both.
    assert {path.parent.parent.name for path in workdir.rglob("step-*.npz")} == {
        "downstream-random-scratch-seed0"
    }
    ended = two_workers(*flags)
    assert [(status, err) for status, _, err in ended] == [(0, ""), (0, "")]
    assert_same(mirrored, workdir)


@pytest.mark.slow
def test_a_request_to_stop_on_one_worker_stops_both(mirrored, tmp_path):
    stop_and_go_on(mirrored, tmp_path / "run", after=4)


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_a_worker_that_is_killed_changes_no_byte(victim, mirrored, tmp_path):
    workdir = tmp_path / "run"
    flags = [f"--workdir={workdir}"]
    ended = two_workers(*flags, struck=victim, after=2, by=signal.SIGKILL)
    status, _, err = ended[1 - victim]
    assert ended[victim][0] == -signal.SIGKILL
    assert status == 1
    # TensorFlow may have said something before, which no setting silences.
    last = err.splitlines()[-1]
    assert re.match("error: a worker was lost.*; start all workers again, the same command", last)
    assert f"task:{victim}" in last and "Traceback" not in err
    # From step 4 or 8 of 16 on, depending on what the first had saved.
    stop_and_go_on(mirrored, workdir, after=2)


def test_other_flags_on_one_worker_are_refused_on_both(tmp_path):
    flags = [f"--workdir={tmp_path / 'run'}", "--dry_run"]
    ended = two_workers(*flags, only_second=["--upstream_epochs=5"])
    refused = "error: all workers must have the same flags. "
    assert [status for status, *_ in ended] == [2, 2]
    assert ended[0][2] == f"{refused}Received: a worker that differs, and says where\n"
    assert "Expected, as worker 0: upstream_epochs=4. Received: upstream_epochs=5" in ended[1][2]
    assert not (tmp_path / "run").exists()


HOSTS = ["host0:2222", "host1:2222"]
BAD_CLUSTERS = {
    "absent": ("", "Received: nothing"),
    "no JSON": ("{cluster", "Received: {cluster"),
    "no object": ("[1]", r"Received: \[1\]"),
    "no task": (json.dumps({"cluster": {"worker": HOSTS}}), "Received: "),
    "one worker": (tf_config(HOSTS[:1], 0), "Received: one worker"),
    "no such index": (tf_config(HOSTS, 2), "Received: "),
    "no port": (tf_config(["host0", "host1"], 0), "Received: "),
    "another job": (
        json.dumps({"cluster": {"worker": HOSTS, "ps": HOSTS}, "task": {"type": "ps", "index": 0}}),
        "Received: ",
    ),
}


@pytest.mark.parametrize("name", BAD_CLUSTERS)
def test_a_tf_config_that_is_not_right_is_refused_at_once(name, monkeypatch, tmp_path, capsys):
    text, message = BAD_CLUSTERS[name]
    monkeypatch.setenv("TF_CONFIG", text)
    workdir = tmp_path / "run"
    assert main.main([*SMALL, "--strategy=multi_worker", f"--workdir={workdir}"]) == 2
    error = capsys.readouterr().err
    assert re.fullmatch(f"error: --strategy=multi_worker needs .*TF_CONFIG .*{message}.*\n", error)
    assert not workdir.exists()


def test_a_chief_counts_as_the_first_worker():
    jobs = {"worker": ["b:1", "c:1"], "chief": ["a:1"]}
    text = json.dumps({"cluster": jobs, "task": {"type": "worker", "index": 1}})
    read = read_cluster({"TF_CONFIG": text})
    assert read == Cluster(("a:1", "b:1", "c:1"), 2) and not read.is_chief


@pytest.mark.parametrize(
    "flag",
    ["upstream_steps_per_execution", "downstream_steps_per_execution", "num_logical_cpus"],
)
def test_settings_that_fail_with_several_workers_are_refused(flag):
    message = f"--{flag} must be 1 with --strategy=multi_worker. Received: 4"
    with pytest.raises(UsageError, match=message):
        from_values({"strategy": "multi_worker", flag: 4})


def test_it_must_be_the_first_that_tensorflow_does(monkeypatch):
    tf.constant(1.0)
    monkeypatch.setenv("TF_CONFIG", tf_config(HOSTS, 0))
    monkeypatch.setattr("rl_keras.experiments.devices.meet", lambda _: None)
    with pytest.raises(UsageError, match="cannot start; it must be the first that TensorFlow does"):
        make_strategy(RunConfig(strategy="multi_worker"))


def in_threads(addresses, indices, seconds):
    """Lets some workers meet, and returns how it ended for each."""
    ends = {}

    def come(index):
        try:
            ends[index] = meet(Cluster(tuple(addresses), index), seconds)
        except UsageError as error:
            ends[index] = str(error)

    threads = [threading.Thread(target=come, args=(index,)) for index in indices]
    for thread in threads:
        thread.start()
    return threads, ends


def test_workers_meet_whatever_else_calls(capsys):
    addresses = free_addresses(3)
    host, port = addresses[0].split(":")
    threads, ends = in_threads(addresses, (0, 1), seconds=30.0)
    with contextlib.ExitStack() as stack:
        for hello in (b"PRI * HTTP/2.0\r\n", b"rl_keras worker 2\n", b"rl_keras worker 7\n"):
            while True:
                with contextlib.suppress(ConnectionRefusedError):
                    call = stack.enter_context(socket.create_connection((host, int(port))))
                    break
            call.sendall(hello)
    # A worker that died after its call is waited for again.
    more, _ = in_threads(addresses, (2,), seconds=30.0)
    for thread in [*threads, *more]:
        thread.join()
    assert ends == {0: None, 1: None}


@pytest.mark.parametrize("index", [0, 1])
def test_a_worker_that_does_not_come_is_named(index, monkeypatch, capsys):
    monkeypatch.setattr(workers, "_QUIET_SECONDS", 0.5)
    addresses = free_addresses(3)
    with pytest.raises(UsageError) as error:
        meet(Cluster(tuple(addresses), index), seconds=1.5)
    missing = "worker 0 " if index else "worker 1 "
    assert str(error.value).startswith(f"{missing}({addresses[1 - index]})")
    assert "did not come within 2 s; start the same command on every host" in str(error.value)
    said = capsys.readouterr().out
    assert said.startswith(f"waiting for {missing}") and said.count("\n") == 1


def test_a_port_that_is_taken_is_refused(monkeypatch):
    monkeypatch.setattr(workers, "PORT_SECONDS", 0.0)
    with socket.create_server(("", 0)) as taken:
        address = f"localhost:{taken.getsockname()[1]}"
        with pytest.raises(UsageError, match=f"Address already in use.*Received: {address}"):
            meet(Cluster((address, "localhost:1"), 0), seconds=1.0)


def test_one_process_agrees_with_itself(tmp_path):
    alone = Workers(tf.distribute.get_strategy())
    assert alone.is_chief and alone.any(True) and not alone.chief_says(False)
    alone.require_same("flags", {"a": 1})
    alone.share(tmp_path, "*")
    with alone.chief_first():
        assert not list((tmp_path / "own").iterdir())
