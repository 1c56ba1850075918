"""One model trained by several processes, each with a part of every batch.

All workers run the same command and do the same work: they build, train, measure and
evaluate alike, since every step needs all of them. The first one, the chief, is the run:
it alone writes --workdir, draws and prints. The others write to a folder of their own,
which goes when they end, and say nothing but errors; of --workdir they need nothing.

What could make them part ways is agreed on: the chief says which stages are left to
do and sends the states and weights that it has on disk, and a request to stop on any
worker stops all of them at the same step. Data must be readable on every host.

Tried on CPUs of one machine; on GPUs TensorFlow reduces through NCCL, which is untried.
"""

import contextlib
import dataclasses
import json
import os
import tempfile
import textwrap
from collections.abc import Iterator, Mapping

import numpy as np
import tensorflow as tf

from rl_keras.config import ExperimentConfig
from rl_keras.errors import UsageError
from rl_keras.experiments.cluster import read_cluster
from rl_keras.files import AnyPath, write_bytes

_CHUNK = 2**18  # numbers in one reduction: one shape, so that TensorFlow traces it once


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
    """What the workers of a run tell each other; a single process agrees with itself.

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
        """Says whether the flag is set on any worker; also where all wait for the last."""
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
        own = json.loads(json.dumps(dict(values)))
        chiefs = json.loads(self._send(json.dumps(own).encode()))
        differ = [name for name in {**chiefs, **own} if chiefs.get(name) != own.get(name)]
        if not self.any(bool(differ)):
            return
        detail = "Received: a worker that differs, and says where"
        if differ:
            name = differ[0]
            detail = f"Expected, as worker 0: {name}={chiefs.get(name)}. "
            detail += f"Received: {name}={own.get(name)}"
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
