"""One process at a time in a folder that several share, also over the network.

A lock is a file that names its holder. A holder on this machine is dead when its
process is; one elsewhere when its lock has not been touched for ten minutes, by
the clock of the file system, so that no machine's own clock matters.
"""

import contextlib
import json
import os
import socket
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

HEARTBEAT = 60.0  # seconds between two touches of a lock
STALE = 600.0  # seconds without a touch after which a holder elsewhere counts as dead


@contextlib.contextmanager
def hold(path: Path, what: str, poll: float = 1.0) -> Iterator[None]:
    """Holds a lock during a `with` block; waits while another process holds it.

    Args:
        path: the lock file; its folder is made.
        what: what is locked, for the message that names the holder.
        poll: seconds between two attempts.

    Example:
        >>> with hold(Path("runs/a/lock"), "stage a"):
        ...     pass
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    token = uuid.uuid4().hex
    told = False
    while not _create(path, token):
        holder = _read(path)
        if holder is None:
            continue  # released, or just being written
        if _is_dead(path, holder):
            _break(path, holder)
            continue
        if not told:
            sys.stdout.write(
                f"{what} is in the hands of process {holder['process']} on {holder['host']}; "
                "waiting for it.\n"
            )
            sys.stdout.flush()
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
        holder = _read(path)
        if holder and holder["token"] == token:
            path.unlink(missing_ok=True)


def _create(path, token):
    # Written aside and linked into place, so that nobody sees a lock without its holder.
    aside = path.with_name(f"{path.name}.{token}")
    aside.write_text(json.dumps({**_identity(os.getpid()), "token": token}))
    try:
        os.link(aside, path)
        return True
    except FileExistsError:
        return False
    finally:
        aside.unlink()


def _identity(process):
    return {
        "host": socket.gethostname(),
        "machine": _machine(),
        "process": process,
        "started": _started(process),
    }


def _machine():
    """Tells machines apart, and containers of one machine with processes of their own."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return socket.gethostname()


def _started(process):
    """When a process started, so that one that reuses its number is not taken for it."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return None
    return stat.rpartition(")")[2].split()[19]


def _read(path):
    try:
        holder = json.loads(path.read_text())
        return holder if {"host", "machine", "process", "token"} <= set(holder) else _foreign()
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError):
        return _foreign()


def _foreign():
    return {"host": "an unknown machine", "machine": "", "process": "unknown", "token": ""}


def _is_dead(path, holder):
    if holder["machine"] == _machine():
        try:
            os.kill(holder["process"], 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            pass
        return _started(holder["process"]) != holder["started"]
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
    taken = _read(aside)
    if taken and taken["token"] != holder["token"]:
        with contextlib.suppress(FileExistsError):
            os.link(aside, path)  # it was alive: put it back
    aside.unlink()


def _keep_alive(path, finished):
    while not finished.wait(HEARTBEAT):
        with contextlib.suppress(OSError):
            os.utime(path)
