"""A lock in an object store, which has no links, no exclusive creation and no renaming.

Lamport's bakery: who wants the lock writes a ticket with a number above all that
it sees, and then waits until no ticket of a living process has a lower one. While
it chooses the number it stands in the door, a ticket with number zero, so that
nobody overtakes one who is about to show a low number. Beside the lock's path lie

    PATH.00000000.TOKEN   its process is choosing a number
    PATH.00000012.TOKEN   its process waits, or holds the lock if no name sorts before
    PATH.beat.TOKEN       written again and again while the process lives

What is assumed of the store: an object is read and listed by everyone from the
end of its writing to its removal (Google Cloud Storage promises that); and the
store dates its objects with a clock that runs. Dates only tell the dead from the
living; they never decide whose turn it is, for they are not fine enough for it.
"""

import contextlib
import json
import os
import threading
import time
import uuid
from collections.abc import Iterator

from rl_keras.cloud import CloudPath
from rl_keras.processes import announce_waiting, describe_process, lives_here, read_holder


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
    beat = threading.Thread(target=_keep_alive, args=(queue.beat, heartbeat, finished), daemon=True)
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
    """The tickets of one lock, as one sees them who wants it."""

    def __init__(self, path, stale):
        self.path, self.stale = path, stale
        self.token = uuid.uuid4().hex
        self.ticket = self.door = self._name(0)
        self.beat = self._beat_of(self.door)
        self.seen = self.holder = None

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
            if first != self.seen:  # a ticket never changes, and to read one is slow
                self.seen, self.holder = first, read_holder(first)
            if self.holder is None:
                self.seen = None
            elif self._lives(first, self.holder):
                return self.holder
            else:
                first.unlink(missing_ok=True)
                self._beat_of(first).unlink(missing_ok=True)

    def leave(self):
        for own in (self.ticket, self.door, self.beat):
            own.unlink(missing_ok=True)

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


def _keep_alive(beat, heartbeat, finished):
    while not finished.wait(heartbeat):
        with contextlib.suppress(OSError):
            beat.write_bytes(b"")
