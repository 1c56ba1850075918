"""Which processes train one model together, and how they find each other.

TF_CONFIG names them, as for every program with TensorFlow on several hosts. Before
TensorFlow starts, they meet at the address of the first: TensorFlow itself would wait
for the others in native code, without a word or an end, and deaf to Ctrl-C and SIGTERM.
"""

import contextlib
import errno
import json
import os
import re
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass

from rl_keras.errors import UsageError

MEET_SECONDS = 600.0  # for all workers to come
PORT_SECONDS = 60.0  # for a process that was killed to let go of its port
_QUIET_SECONDS = 5.0  # of waiting before it is mentioned
_EXAMPLE = (
    '{"cluster": {"worker": ["host0:2222", "host1:2222"]}, "task": {"type": "worker", "index": 0}}'
)


@dataclass(frozen=True)
class Cluster:
    """The workers of a run, and which of them this process is.

    Args:
        addresses: `"host:port"` of each; the first writes the files of the run.
        index: of this process.
    """

    addresses: tuple[str, ...]
    index: int

    @property
    def is_chief(self) -> bool:
        return self.index == 0


def read_cluster(environment: Mapping[str, str] = os.environ) -> Cluster:
    """Returns what TF_CONFIG says, checked.

    A job named `chief`, as some cluster managers add, counts as the first worker.

    Raises:
        UsageError: saying what TF_CONFIG must be.

    Example:
        >>> text = '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 1}}'
        >>> read_cluster({"TF_CONFIG": text})
        Cluster(addresses=('a:1', 'b:1'), index=1)
    """
    text = environment.get("TF_CONFIG", "")
    if not text:
        raise _refused("nothing")
    try:
        document = json.loads(text)
        jobs, task = document["cluster"], document["task"]
        tasks = {(job, i): a for job in sorted(jobs) for i, a in enumerate(jobs[job])}
        index = list(tasks).index((task["type"], int(task["index"])))
        ports = [_parts(address)[1] for address in tasks.values()]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise _refused(text) from None
    if set(jobs) - {"chief", "worker"} or len(jobs.get("chief", ())) > 1 or 0 in ports:
        raise _refused(text)
    if len(tasks) < 2:
        raise _refused(f"one worker in {text}; for one host use another --strategy")
    return Cluster(tuple(tasks.values()), index)


def _refused(received):
    return UsageError(
        "--strategy=multi_worker needs the environment variable TF_CONFIG with all workers, at "
        f"least two, and with the number of this one: {_EXAMPLE}. Received: {received}"
    )


def meet(cluster: Cluster, seconds: float = MEET_SECONDS) -> None:
    """Returns in all workers when all are there; the first listens and the others call it.

    Args:
        cluster: from `read_cluster`.
        seconds: how long to wait.

    Raises:
        UsageError: naming who did not come, or that the port of this worker is taken.
    """
    wait = _Wait(cluster, seconds)
    with _listen(cluster.addresses[cluster.index]) as server:
        if cluster.is_chief:
            _await_calls(server, wait)
            return
    _call(wait)


class _Wait:
    """Says once whom it waits for, and gives up in time."""

    def __init__(self, cluster, seconds):
        self.cluster, self.seconds = cluster, seconds
        self.begin, self.told = time.monotonic(), False

    def left(self, missing) -> float:
        """Returns the seconds that are left to wait for these workers."""
        past = time.monotonic() - self.begin
        who = ", ".join(f"worker {i} ({self.cluster.addresses[i]})" for i in missing)
        if past >= self.seconds:
            raise UsageError(
                f"{who} did not come within {self.seconds:.0f} s; start the same command on every "
                "host of TF_CONFIG, and see that the addresses can be reached from here. "
                f"Received: nothing, at worker {self.cluster.index}"
            )
        if past > _QUIET_SECONDS and not self.told:
            sys.stdout.write(f"waiting for {who}.\n")
            sys.stdout.flush()
            self.told = True
        return self.seconds - past


def _await_calls(server, wait):
    """Lets everybody go once all have called and still answer."""
    calls: dict[int, socket.socket] = {}
    everybody = range(1, len(wait.cluster.addresses))
    while missing := [i for i in everybody if i not in calls]:
        server.settimeout(min(1.0, wait.left(missing)))
        with contextlib.suppress(OSError):
            call, _ = server.accept()
            call.settimeout(5.0)
            # Others may call at this port: what an earlier run left, or a scanner.
            hello = re.fullmatch(rb"rl_keras worker (\d+)\n", call.recv(64))
            if hello and int(hello[1]) in everybody:
                calls[int(hello[1])] = call  # a worker that was started again calls again
        if len(calls) == len(everybody):
            calls = {i: call for i, call in calls.items() if _says(call, b"?", b"!")}
    for call in calls.values():
        # Who hangs up first keeps the port for a while: not we, TensorFlow needs it now.
        _says(call, b"go", b"")
        call.close()


def _says(call, question, answer):
    try:
        call.sendall(question)
        return call.recv(1) == answer
    except OSError:
        return False


def _call(wait):
    while True:
        left = wait.left([0])
        with contextlib.suppress(OSError):
            address = _parts(wait.cluster.addresses[0])
            with socket.create_connection(address, min(5.0, left)) as call:
                call.sendall(f"rl_keras worker {wait.cluster.index}\n".encode())
                call.settimeout(left)
                while said := call.recv(2):
                    if said == b"go":
                        return
                    call.sendall(b"!")
        time.sleep(min(0.5, left))


def _listen(address):
    port, end = _parts(address)[1], time.monotonic() + PORT_SECONDS
    while True:
        try:
            if socket.has_dualstack_ipv6():
                family = {"family": socket.AF_INET6, "dualstack_ipv6": True}
                return socket.create_server(("", port), **family)
            return socket.create_server(("", port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() > end:
                raise UsageError(
                    f"cannot listen at the address of this worker in TF_CONFIG ({error.strerror}); "
                    f"give it a free port. Received: {address}"
                ) from None
        time.sleep(1.0)


def _parts(address):
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)
