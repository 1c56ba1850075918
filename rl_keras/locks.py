"""One process at a time in a folder that several share, also over the network.

A lock is a file that names its holder. A holder on this machine is dead when its
process is; one elsewhere when its lock has not been touched for ten minutes, by
the clock of the file system, so that no machine's own clock matters. Under gs://
`tickets` takes the place of the file, by the same rules.
"""

import contextlib
import json
import os
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from rl_keras.cloud import CloudPath
from rl_keras.files import AnyPath
from rl_keras.processes import announce_waiting, describe_process, lives_here, read_holder
from rl_keras.tickets import hold_ticket

HEARTBEAT = 60.0  # seconds between two touches of a lock
STALE = 600.0  # seconds without a touch after which a holder elsewhere counts as dead


@contextlib.contextmanager
def hold(path: AnyPath, what: str, poll: float = 1.0) -> Iterator[None]:
    """Holds a lock during a `with` block; waits while another process holds it.

    Args:
        path: the lock file; its folder is made.
        what: what is locked, for the message that names the holder.
        poll: seconds between two attempts.

    Example:
        >>> with hold(Path("runs/a/lock"), "stage a"):
        ...     pass
    """
    if isinstance(path, CloudPath):
        with hold_ticket(path, what, poll, HEARTBEAT, STALE):
            yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    token = uuid.uuid4().hex
    told = False
    while not _create(path, token):
        holder = read_holder(path)
        if holder is None:
            continue  # released, or just being written
        if _is_dead(path, holder):
            _break(path, holder)
            continue
        if not told:
            announce_waiting(what, holder)
            told = True
        time.sleep(poll)
    finished = threading.Event()
    beat = threading.Thread(target=_keep_alive, args=(path, finished), daemon=True)
    beat.start()
    try:
        yield
    finally:
        finished.set()
        beat.join()
        holder = read_holder(path)
        if holder and holder["token"] == token:
            path.unlink(missing_ok=True)


def _create(path, token):
    # Written aside and linked into place, so that nobody sees a lock without its holder.
    aside = path.with_name(f"{path.name}.{token}")
    aside.write_text(json.dumps({**describe_process(os.getpid()), "token": token}))
    try:
        os.link(aside, path)
        return True
    except FileExistsError:
        return False
    finally:
        aside.unlink()


def _is_dead(path: Path, holder):
    lives = lives_here(holder)
    if lives is not None:
        return not lives
    probe = path.with_name(f"{path.name}.now.{uuid.uuid4().hex}")
    try:
        probe.touch()
        return probe.stat().st_mtime - path.stat().st_mtime > STALE
    except FileNotFoundError:
        return False  # released meanwhile
    finally:
        probe.unlink(missing_ok=True)


def _break(path, holder):
    """Removes the lock of a dead holder, unless somebody else has taken it meanwhile."""
    aside = path.with_name(f"{path.name}.dead.{uuid.uuid4().hex}")
    try:
        os.rename(path, aside)
    except FileNotFoundError:
        return
    taken = read_holder(aside)
    if taken and taken["token"] != holder["token"]:
        with contextlib.suppress(FileExistsError):
            os.link(aside, path)  # it was alive: put it back
    aside.unlink()


def _keep_alive(path, finished):
    while not finished.wait(HEARTBEAT):
        with contextlib.suppress(OSError):
            os.utime(path)
