"""The state of an unfinished stage on disk, so that a killed run goes on where it was.

A checkpoint is one file with everything that the rest of the stage depends on:
weights, optimiser, seed state, measurements and log lines so far. Its name ends
with a digest of its content, so it becomes visible and valid at once, and a
damaged one is told from a good one.
"""

import hashlib
import io
import json
import sys
from dataclasses import dataclass

import numpy as np

from rl_keras.storage.files import AnyPath, write_bytes

KEPT = 2


@dataclass(frozen=True)
class Checkpoint:
    """One stage after a number of steps.

    Args:
        step: optimiser steps done.
        variables: the trainer's state, from `Trainer.read_state`.
        records: rows of each measurement, in the order of the callbacks.
        log: rows of the metric log.
        seconds: training time so far.
    """

    step: int
    variables: list[np.ndarray]
    records: list[list[dict]]
    log: list[dict]
    seconds: float


def save_checkpoint(folder: AnyPath, checkpoint: Checkpoint) -> AnyPath:
    """Writes a checkpoint atomically, and removes all but the last two."""
    content = _to_bytes(checkpoint)
    digest = hashlib.sha256(content).hexdigest()[:16]
    path = folder / f"step-{checkpoint.step:09d}-{digest}.npz"
    write_bytes(path, content)
    for old in _newest_first(folder)[KEPT:]:
        old.unlink()
    return path


def load_checkpoint(folder: AnyPath) -> Checkpoint | None:
    """Returns the newest checkpoint that is whole, or `None` if there is none.

    A damaged one is named on stderr and passed over.
    """
    for path in _newest_first(folder):
        try:
            content = path.read_bytes()
            if hashlib.sha256(content).hexdigest()[:16] == path.stem.rsplit("-", 1)[1]:
                return _from_bytes(content)
        except OSError:
            pass
        sys.stderr.write(f"warning: {path} is damaged; going back to an earlier state.\n")
    return None


def remove_checkpoints(folder: AnyPath) -> None:
    """Removes the checkpoints of a finished stage."""
    for path in _newest_first(folder):
        path.unlink()
    if folder.exists() and not any(folder.iterdir()):
        folder.rmdir()


def _newest_first(folder):
    return sorted(folder.glob("step-*-*.npz"), reverse=True)


def _to_bytes(checkpoint):
    arrays = {f"variables/{i}": value for i, value in enumerate(checkpoint.variables)}
    columns = []
    for i, rows in enumerate(checkpoint.records):
        names = list(rows[0]) if rows else []
        columns.append(names)
        for j, name in enumerate(names):
            arrays[f"records/{i}/{j}"] = np.array([row[name] for row in rows])
    header = {
        "step": checkpoint.step,
        "num_variables": len(checkpoint.variables),
        "columns": columns,
        "log": checkpoint.log,
        "seconds": checkpoint.seconds,
    }
    buffer = io.BytesIO()
    np.savez(buffer, header=np.array(json.dumps(header)), **arrays)
    return buffer.getvalue()


def _from_bytes(content):
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        header = json.loads(str(arrays["header"]))
        variables = [arrays[f"variables/{i}"] for i in range(header["num_variables"])]
        records = []
        for i, names in enumerate(header["columns"]):
            columns = [arrays[f"records/{i}/{j}"] for j in range(len(names))]
            records.append(
                [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
            )
    return Checkpoint(header["step"], variables, records, header["log"], header["seconds"])
