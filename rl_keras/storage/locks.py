"""One process at a time in a folder that several share, also over the network.

On a disk a lock is a file that names its holder. A holder on this machine is dead when its
process is; one elsewhere when its lock has not been touched for ten minutes, by the clock of
the file system, so that no machine's own clock matters.

An object store has no links, no exclusive creation and no renaming. Under gs:// the lock is
therefore Lamport's bakery: who wants the lock writes a ticket with a number above all that it
sees, and waits until no ticket of a living process has a lower one. While it chooses the
number it leaves a ticket with number zero (the "door"), so that nobody overtakes a process that
is about to show a low number. Beside the lock's path lie

    PATH.00000000.TOKEN   its process is choosing a number
    PATH.00000012.TOKEN   its process waits, or holds the lock if no name sorts before
    PATH.beat.TOKEN       written again and again while the process lives

What is assumed of the store: an object is read and listed by everyone from the end of its
writing to its removal (Google Cloud Storage promises that); and the store dates its objects
with a clock that runs. Dates only tell the dead from the living; they never decide whose turn
it is, for they are not fine enough for it.
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

from rl_keras.storage.cloud import CloudPath
from rl_keras.storage.files import AnyPath

HEARTBEAT = 60.0  # seconds between two touches of a lock
STALE = 600.0  # seconds without a touch after which a holder elsewhere counts as dead


@contextlib.contextmanager
def hold(path: AnyPath, what: str, poll: float = 1.0) -> Iterator[None]:
    """Holds a lock during a `with` block; waits while another process holds it.

    Args:
        path: the lock file, or under gs:// the beginning of the names of the tickets.
        what: what is locked, for the message that names the holder.
        poll: seconds between two attempts.

    Example:
        >>> with hold(Path("runs/a/lock"), "stage a"):
        ...     pass
    """
    if isinstance(path, CloudPath):
        lock = hold_ticket(path, what, poll, HEARTBEAT, STALE)
    else:
        lock = _hold_file(path, what, poll)
    with lock:
        yield


# On a disk: a lock file.


@contextlib.contextmanager
def _hold_file(path: Path, what, poll):
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


# In an object store: tickets.


@contextlib.contextmanager
def hold_ticket(
    path: CloudPath, what: str, poll: float, heartbeat: float, stale: float
) -> Iterator[None]:
    """Holds a lock during a `with` block; waits while another process holds it.

    Args:
        path: the beginning of the names of the tickets.
        what: what is locked, for the message that names the holder.
        poll: seconds between two looks at the tickets.
        heartbeat: seconds between two signs of life.
        stale: seconds without one after which a process elsewhere counts as dead.
    """
    queue = _Queue(path, stale)
    finished = threading.Event()
    beat = threading.Thread(
        target=_keep_ticket_alive, args=(queue.beat, heartbeat, finished), daemon=True
    )
    told = False
    try:
        queue.enter()
        beat.start()
        while holder := queue.first_before_me():
            if not told:
                announce_waiting(what, holder)
                told = True
            time.sleep(poll)
        yield
    finally:
        finished.set()
        if beat.is_alive():
            beat.join()
        queue.leave()


class _Queue:
    """The place of this process among those that want one lock.

    Attributes:
        ticket: path of its ticket.
        door: path of ticket number zero, which exists while it chooses a number.
        beat: path of its sign of life.
        first, holder: the first ticket of another process that was read last, and what it says.
    """

    def __init__(self, path, stale):
        self.path, self.stale = path, stale
        self.token = uuid.uuid4().hex
        self.ticket = self.door = self._name(0)
        self.beat = self._beat_of(self.door)
        self.first = self.holder = None

    def enter(self):
        """Takes a number."""
        text = json.dumps({**describe_process(os.getpid()), "token": self.token}).encode()
        while True:
            self.door.write_bytes(text)
            numbers = [int(ticket.name.split(".")[-2]) for ticket in self._tickets()]
            self.ticket = self._name(1 + max(numbers, default=0))
            self.ticket.write_bytes(text)
            try:
                self.door.unlink()
                return
            except FileNotFoundError:  # taken for dead meanwhile: others may have gone in
                self.ticket.unlink(missing_ok=True)

    def first_before_me(self):
        """Returns who is to go first, or `None` if nobody is; removes the dead on the way."""
        while True:
            tickets = self._tickets()
            if self.ticket not in tickets:  # taken for dead, while this machine slept
                self.ticket.unlink(missing_ok=True)
                self.enter()
                continue
            first = tickets[0]
            if first == self.ticket:
                return None
            if first != self.first:  # a ticket never changes, and to read one is slow
                self.first, self.holder = first, read_holder(first)
            if self.holder is None:
                self.first = None
            elif self._lives(first, self.holder):
                return self.holder
            else:
                first.unlink(missing_ok=True)
                self._beat_of(first).unlink(missing_ok=True)

    def leave(self):
        for path in (self.ticket, self.door, self.beat):
            path.unlink(missing_ok=True)

    def _tickets(self):
        return sorted(self.path.parent.glob(f"{self.path.name}.{'[0-9]' * 8}.*"))

    def _name(self, number):
        return self.path.with_name(f"{self.path.name}.{number:08d}.{self.token}")

    def _beat_of(self, ticket):
        return self.path.with_name(f"{self.path.name}.beat.{ticket.name.split('.')[-1]}")

    def _lives(self, ticket, holder):
        lives = lives_here(holder)
        if lives is not None:
            return lives
        # Our own beat is the clock of the store: what we wrote last, it dates with now.
        now, last = self._last_sign(self.ticket), self._last_sign(ticket)
        return now - last <= self.stale

    def _last_sign(self, ticket):
        dates = []
        for path in (ticket, self._beat_of(ticket)):
            with contextlib.suppress(FileNotFoundError):
                dates.append(path.modified())
        return max(dates, default=0.0)


def _keep_ticket_alive(beat, heartbeat, finished):
    while not finished.wait(heartbeat):
        with contextlib.suppress(OSError):
            beat.write_bytes(b"")


# Of both: which process holds a lock, and whether it lives.


def describe_process(process: int) -> dict:
    """Returns what identifies a process: its host, its number and when it started.

    A number alone does not, since the system gives it to another process later.
    """
    return {
        "host": socket.gethostname(),
        "machine": _machine(),
        "process": process,
        "started": _started(process),
    }


def read_holder(path: AnyPath) -> dict | None:
    """Returns what a lock says of its holder, `None` if there is no lock.

    For a lock that cannot be understood it is a stand-in that counts as a process elsewhere.
    """
    try:
        holder = json.loads(path.read_text())
        return holder if {"host", "machine", "process", "token"} <= set(holder) else _foreign()
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError):
        return _foreign()


def lives_here(holder: dict) -> bool | None:
    """Says whether a process of this machine lives; `None` for one of another machine."""
    if holder["machine"] != _machine():
        return None
    try:
        os.kill(holder["process"], 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return _started(holder["process"]) == holder["started"]


def announce_waiting(what: str, holder: dict) -> None:
    """Prints what is waited for, and who has it."""
    sys.stdout.write(
        f"{what} is in the hands of process {holder['process']} on {holder['host']}; "
        "waiting for it.\n"
    )
    sys.stdout.flush()


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


def _foreign():
    return {"host": "an unknown machine", "machine": "", "process": "unknown", "token": ""}
