"""One model trained by several processes, each with a part of every batch.

All workers run the same command and do the same work: they build, train, measure and
evaluate alike, since every step needs all of them. The first one, the chief, is the run:
it alone writes --workdir, draws and prints. The others write to a temporary folder of their own,
print nothing but errors, and need no access to --workdir.

TF_CONFIG names the workers, as for every program with TensorFlow on several hosts. Before
TensorFlow starts, they meet at the address of the first: TensorFlow itself would wait for the
others in native code, without a message or a time limit, and would ignore Ctrl-C and SIGTERM.

So that all workers do the same, the chief says which stages are left to do and sends the states
and weights that it has on disk, and a request to stop on any worker stops all of them at the same
step. Data must be readable on every host.

Tested on CPUs of one machine. On GPUs TensorFlow reduces through NCCL, which is not tested.
"""

import contextlib
import dataclasses
import errno
import json
import os
import re
import socket
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from rl_keras.errors import UsageError
from rl_keras.settings.experiment import ExperimentConfig
from rl_keras.storage.files import AnyPath, write_bytes

_CHUNK = 2**18  # numbers in one reduction; always as many, so that TensorFlow traces it once
MEET_SECONDS = 600.0  # how long the workers wait until all have come
PORT_SECONDS = 60.0  # how long to wait for the port of a process that was killed
_QUIET_SECONDS = 5.0  # how long to wait before saying so
_EXAMPLE = (
    '{"cluster": {"worker": ["host0:2222", "host1:2222"]}, "task": {"type": "worker", "index": 0}}'
)


class WorkerLostError(UsageError):
    """Another worker died or cannot be reached; what was saved is kept."""

    status = 1


@contextlib.contextmanager
def part_of_run(config: ExperimentConfig) -> Iterator[ExperimentConfig]:
    """Yields the configuration with which this process takes part in a run.

    It is `config` itself, unless the process is a worker other than the chief.

    Raises:
        UsageError: if TF_CONFIG is not right.
        WorkerLostError: if another worker is lost during the `with` block.
    """
    if config.run.strategy != "multi_worker":
        yield config
        return
    index = read_cluster().index
    with contextlib.ExitStack() as stack:
        if index:
            prefix = f"rl_keras-worker{index}-"
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix=prefix))
            nowhere = stack.enter_context(open(os.devnull, "w"))
            stack.enter_context(contextlib.redirect_stdout(nowhere))
            run = dataclasses.replace(
                config.run, workdir=os.path.join(folder, "run"), tensorboard=False
            )
            config = dataclasses.replace(config, run=run)
        try:
            yield config
        except tf.errors.OpError as error:
            reason = _lost(error)
            if reason is None:
                raise
            raise WorkerLostError(
                "a worker was lost, or ended with a message of its own; start all workers again, "
                f"the same command goes on from the last saved state. Received: {reason}"
            ) from None


def _lost(error):
    """Returns why the workers lost touch, or `None` for an error of another kind."""
    _, aborted, reason = str(error).partition("Collective ops is aborted by: ")
    kinds = tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError
    if not aborted and not isinstance(error, (*kinds, tf.errors.DeadlineExceededError)):
        return None
    return textwrap.shorten(reason or str(error), 160, placeholder=" ...")  # names the worker


class Workers:
    """What the workers of a run tell each other; with a single process there is nothing to tell.

    Each method must be called by all workers, in the same order.

    Args:
        strategy: the one that the run trains with.

    Example:
        >>> Workers(tf.distribute.get_strategy()).any(True)
        True
    """

    def __init__(self, strategy: tf.distribute.Strategy):
        several = isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
        self._strategy = strategy if several else None
        self.is_chief = not several or read_cluster().is_chief

    def any(self, flag: bool) -> bool:
        """Says whether the flag is set on any worker; each waits here for all others."""
        if not self._strategy:
            return flag
        return bool(self._sum([float(flag)], from_all=True)[0])

    def chief_says(self, flag: bool) -> bool:
        """Returns the flag of the chief."""
        return self.any(flag and self.is_chief)

    @contextlib.contextmanager
    def chief_first(self) -> Iterator[None]:
        """Lets the others into the `with` block when the chief has left it."""
        if not self.is_chief:
            self.any(False)
        yield
        if self.is_chief:
            self.any(False)

    def share(self, folder: AnyPath, pattern: str) -> None:
        """Gives all workers the files that the chief has in its own folder of that kind."""
        if not self._strategy:
            return
        files = sorted(folder.glob(pattern)) if self.is_chief else []
        contents = {path.name: path.read_bytes() for path in files}
        sizes = {name: len(content) for name, content in contents.items()}
        sent = self._send(b"\n".join([json.dumps(sizes).encode(), b"".join(contents.values())]))
        if not self.is_chief:
            header, _, rest = sent.partition(b"\n")
            for name, size in json.loads(header).items():
                write_bytes(folder / name, rest[:size])
                rest = rest[size:]

    def require_same(self, what: str, values: Mapping[str, object]) -> None:
        """Refuses to go on if a worker has other values than the chief.

        Raises:
            UsageError: on all workers; on those that differ it says where.
        """
        if not self._strategy:
            return
        mine = json.loads(json.dumps(dict(values)))
        chiefs = json.loads(self._send(json.dumps(mine).encode()))
        differ = [name for name in {**chiefs, **mine} if chiefs.get(name) != mine.get(name)]
        if not self.any(bool(differ)):
            return
        detail = "Received: a worker that differs, and says where"
        if differ:
            name = differ[0]
            detail = f"Expected, as worker 0: {name}={chiefs.get(name)}. "
            detail += f"Received: {name}={mine.get(name)}"
        raise UsageError(f"all workers must have the same {what}. {detail}")

    def _send(self, content: bytes) -> bytes:
        """Returns the content that the chief gives."""
        size = int(self._sum([len(content) >> 20, len(content) & (2**20 - 1)]) @ [2**20, 1])
        if not self.is_chief:
            content = bytes(size)
        # Two bytes to a number: float32 holds them exactly, and every device can add it.
        numbers = np.frombuffer(content + b"\0" * (-size % (2 * _CHUNK)), "<u2")
        parts = [self._sum(part) for part in numbers.reshape(-1, _CHUNK)]
        return b"".join(part.astype("<u2").tobytes() for part in parts)[:size]

    def _sum(self, numbers, from_all=False):
        numbers = np.asarray(numbers, np.float32)

        def part(context):
            # One host may have several replicas; number 0 is the first of the chief's.
            counts = from_all or context.replica_id_in_sync_group == 0
            return tf.constant(numbers if counts else np.zeros_like(numbers))

        values = self._strategy.experimental_distribute_values_from_function(part)
        return self._strategy.reduce("SUM", values, axis=None).numpy().astype(np.int64)


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
    """Waits until all workers are there; the first listens and the others connect to it.

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
    """Says once which workers it waits for, and ends after a time limit."""

    def __init__(self, cluster, seconds):
        self.cluster, self.seconds = cluster, seconds
        self.begin, self.announced = time.monotonic(), False

    def left(self, missing) -> float:
        """Returns the seconds that are left to wait for these workers."""
        waited = time.monotonic() - self.begin
        who = ", ".join(f"worker {i} ({self.cluster.addresses[i]})" for i in missing)
        if waited >= self.seconds:
            raise UsageError(
                f"{who} did not come within {self.seconds:.0f} s; start the same command on every "
                "host of TF_CONFIG, and see that the addresses can be reached from here. "
                f"Received: nothing, at worker {self.cluster.index}"
            )
        if waited > _QUIET_SECONDS and not self.announced:
            sys.stdout.write(f"waiting for {who}.\n")
            sys.stdout.flush()
            self.announced = True
        return self.seconds - waited


def _await_calls(server, wait):
    """Lets all workers go on once all have connected and still answer."""
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
            calls = {i: call for i, call in calls.items() if _answers(call, b"?", b"!")}
    for call in calls.values():
        # Whoever closes first keeps the port for a while. That must not be this worker, whose
        # TensorFlow needs the port now, so it waits for the other to close.
        _answers(call, b"go", b"")
        call.close()


def _answers(call, question, answer):
    """Sends a question to a worker, and says whether the expected answer comes back."""
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
                while message := call.recv(2):
                    if message == b"go":
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
