"""Locks under gs://: never two holders, whoever dies or falls asleep, and at whatever instant."""

import fnmatch
import json
import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from rl_keras.storage import locks
from rl_keras.storage.locks import describe_process, hold

ROOT = Path(__file__).parents[2]


class Turns:
    """Lets one thread after another go on by one access, in an order drawn at random."""

    def __init__(self, num_threads, seed):
        self.numbers, self.active = random.Random(seed), num_threads
        self.waiting, self.chosen, self.changed = set(), None, threading.Condition()

    def take(self):
        me = threading.current_thread().name
        with self.changed:
            self.waiting.add(me)
            self.choose()
            self.changed.wait_for(lambda: self.chosen == me)
            self.waiting.remove(me)
            self.chosen = None

    def finish(self):
        with self.changed:
            self.active -= 1
            self.choose()

    def choose(self):
        if self.waiting and len(self.waiting) == self.active:
            self.chosen = self.numbers.choice(sorted(self.waiting))
            self.changed.notify_all()


class MemoryPath:
    """A path in an object store in memory; `before` is called before each access."""

    def __init__(self, name, store, before=lambda: None):
        self.name, self.store, self.before = name, store, before
        self.parent = self

    def with_name(self, name):
        return MemoryPath(name, self.store, self.before)

    def __eq__(self, other):
        return isinstance(other, MemoryPath) and self.name == other.name

    def __lt__(self, other):
        return self.name < other.name

    def glob(self, pattern):
        self.before()
        return [self.with_name(name) for name in fnmatch.filter(list(self.store), pattern)]

    def write_bytes(self, content):
        self.before()
        self.store[self.name] = content.decode(), time.monotonic()

    def read_text(self):
        return self.found()[0]

    def modified(self):
        return self.found()[1]

    def found(self):
        self.before()
        if self.name not in self.store:
            raise FileNotFoundError
        return self.store[self.name]

    def unlink(self, missing_ok=False):
        self.before()
        if self.store.pop(self.name, None) is None and not missing_ok:
            raise FileNotFoundError


@pytest.fixture
def memory():
    return MemoryPath("lock", {})


@pytest.fixture
def path(bucket, request):
    return bucket / request.node.name / "lock"


def hold_in_threads(path, num_threads, rounds, pause, finish=lambda: None):
    """Lets threads hold a lock again and again; returns how many ever held it at once."""
    inside, most, errors = [0], [0], []

    def work():
        try:
            for _ in range(rounds):
                with locks.hold_ticket(path, "a", poll=0.001, heartbeat=60, stale=600):
                    inside[0] += 1
                    most[0] = max(most[0], inside[0])
                    pause()
                    inside[0] -= 1
        except Exception as error:
            errors.append(error)
        finally:
            finish()

    threads = [threading.Thread(target=work, name=str(number)) for number in range(num_threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    return most[0]


def most_at_once(seed, monkeypatch):
    """Returns how many of three threads met in one drawn order of their accesses."""
    turns, store = Turns(3, seed), {}
    monkeypatch.setattr(locks.time, "sleep", lambda _: turns.take())
    path = MemoryPath("lock", store, turns.take)
    most = hold_in_threads(path, 3, 2, turns.take, turns.finish)
    assert not store
    return most


def test_many_holders_never_meet(path):
    assert hold_in_threads(path, 4, 2, pause=lambda: time.sleep(0.01)) == 1
    assert not path.parent.exists()


def test_holders_never_meet_in_whatever_order_their_accesses_fall(monkeypatch):
    assert {most_at_once(seed, monkeypatch) for seed in range(150)} == {1}


def test_without_the_door_they_would_meet(monkeypatch):
    # The test above has the power to see a broken lock.
    class Careless(locks._Queue):
        def enter(self):
            numbers = [int(ticket.name.split(".")[-2]) for ticket in self._tickets()]
            self.ticket = self._name(1 + max(numbers, default=0))
            text = json.dumps({**describe_process(os.getpid()), "token": self.token})
            self.ticket.write_bytes(text.encode())

    monkeypatch.setattr(locks, "_Queue", Careless)
    assert max(most_at_once(seed, monkeypatch) for seed in range(150)) > 1


def test_it_goes_away_after_an_error(path):
    with pytest.raises(KeyError), hold(path, "a"):
        assert [ticket.name[:14] for ticket in path.parent.iterdir()] == ["lock.00000001."]
        raise KeyError
    assert not path.parent.exists()


HOLDS = """
import sys
from rl_keras.storage.cloud import CloudPath
from rl_keras.storage.locks import hold
with hold(CloudPath(sys.argv[1]), "stage a", poll=0.05):
    print("inside", flush=True)
"""


def test_another_process_waits_and_is_told_of_the_holder(path):
    command = [sys.executable, "-c", HOLDS, str(path)]
    with hold(path, "stage a"):
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        told = process.stdout.readline()
        time.sleep(0.2)
        left = process.poll()
    assert told.startswith(f"stage a is in the hands of process {os.getpid()} on ")
    assert left is None
    assert process.communicate()[0] == "inside\n"


def write_ticket(path, number, **changes):
    ticket = path.with_name(f"{path.name}.{number:08d}.{'f' * 32}")
    holder = {**describe_process(os.getpid()), "token": "f" * 32, **changes}
    ticket.write_bytes(json.dumps(holder).encode())
    return ticket


@pytest.mark.parametrize("number", [0, 7])
def test_a_dead_process_of_this_machine_is_passed_over(path, number):
    ticket = write_ticket(path, number, started="1")  # its number belongs to another process now
    with hold(path, "a"):
        assert not ticket.exists()
    assert not path.parent.exists()


@pytest.mark.parametrize("content", [b"", b"{", b"[]"])
def test_a_damaged_ticket_counts_until_it_is_old(memory, content):
    memory.with_name("lock.00000003.x").write_bytes(content)
    begin = time.monotonic()
    with locks.hold_ticket(memory, "a", poll=0.01, heartbeat=0.05, stale=0.3):
        assert time.monotonic() - begin > 0.3
    assert not memory.store


def test_a_process_elsewhere_is_dead_when_it_gives_no_sign(memory, capsys):
    ticket = write_ticket(memory, 3, machine="elsewhere", host="node7", process=12)
    beat = memory.with_name(f"lock.beat.{'f' * 32}")
    inside = threading.Event()

    def wait():
        with locks.hold_ticket(memory, "a", poll=0.01, heartbeat=0.02, stale=0.5):
            inside.set()

    thread = threading.Thread(target=wait)
    thread.start()
    for _ in range(5):
        beat.write_bytes(b"")
        assert not inside.wait(0.2)
    assert inside.wait(5)
    thread.join()
    assert ticket.name not in memory.store and beat.name not in memory.store
    assert "a is in the hands of process 12 on node7; waiting for it." in capsys.readouterr().out


def test_dates_are_those_of_the_store(path, monkeypatch):
    monkeypatch.setattr(time, "time", lambda: 4e9)
    monkeypatch.setattr(locks, "STALE", 1.0)
    monkeypatch.setattr(locks, "HEARTBEAT", 0.1)
    write_ticket(path, 3, machine="elsewhere")
    begin = time.monotonic()
    with hold(path, "a", poll=0.1):
        assert time.monotonic() - begin > 0.9
    assert not path.parent.exists()


def test_who_was_taken_for_dead_while_asleep_takes_a_new_number(memory):
    queue = locks._Queue(memory, 600)
    queue.enter()
    first = queue.ticket
    first.unlink()  # by one who has gone in with a higher number
    other = write_ticket(memory, 2)
    assert queue.first_before_me()["token"] == "f" * 32
    assert queue.ticket > other > first


def test_who_was_taken_for_dead_while_choosing_chooses_again(memory, monkeypatch):
    queue = locks._Queue(memory, 600)
    name = queue._name

    def sleep_long(number):
        if number == 1:  # chosen, not yet shown: the door is removed, another goes in
            queue.door.unlink()
            write_ticket(memory, 2)
        return name(number)

    monkeypatch.setattr(queue, "_name", sleep_long)
    queue.enter()
    assert queue.ticket.name.startswith("lock.00000003.")
    assert sorted(memory.store) == [f"lock.00000002.{'f' * 32}", queue.ticket.name]
