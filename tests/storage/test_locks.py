import json
import os
import subprocess
import sys
import threading
import time

import pytest

from rl_keras.storage import locks
from rl_keras.storage.locks import describe_process, hold, read_holder


@pytest.fixture
def path(tmp_path):
    return tmp_path / "stage" / "lock"


def write_lock(path, **changes):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**describe_process(os.getpid()), "token": "old", **changes}))


def test_the_lock_names_its_holder_and_goes_away(path):
    with hold(path, "a"):
        assert json.loads(path.read_text())["process"] == os.getpid()
    assert list(path.parent.iterdir()) == []


def test_it_goes_away_after_an_error(path):
    with pytest.raises(KeyError), hold(path, "a"):
        raise KeyError
    assert not path.exists()


def test_a_second_holder_waits_and_is_told_of_the_first(path, capsys):
    order = []

    def second():
        with hold(path, "stage a", poll=0.01):
            order.append("second")

    with hold(path, "stage a"):
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(0.2)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
    expected = f"stage a is in the hands of process {os.getpid()} on "
    assert capsys.readouterr().out.count(expected) == 1


def test_many_holders_never_meet(path):
    inside, most = [0], [0]

    def work():
        for _ in range(5):
            with hold(path, "a", poll=0.001):
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                time.sleep(0.001)
                inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]
    assert list(path.parent.iterdir()) == []


def test_the_lock_of_a_dead_process_is_taken_over(path):
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    write_lock(path, process=process.pid)
    with hold(path, "a"):
        assert json.loads(path.read_text())["token"] != "old"


def test_the_lock_of_a_reused_process_number_is_taken_over(path):
    write_lock(path, started="1")
    with hold(path, "a"):
        assert json.loads(path.read_text())["token"] != "old"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"host": "a"}'])
def test_a_damaged_lock_is_taken_over_when_it_is_old(path, content):
    path.parent.mkdir()
    path.write_text(content)
    os.utime(path, (time.time() - 2 * locks.STALE,) * 2)
    with hold(path, "a"):
        assert json.loads(path.read_text())["process"] == os.getpid()


@pytest.mark.parametrize(("age", "dead"), [(0, False), (2 * locks.STALE, True)])
def test_a_holder_elsewhere_is_judged_by_the_age_of_its_lock(path, age, dead):
    write_lock(path, machine="elsewhere", host="node7")
    os.utime(path, (time.time() - age,) * 2)
    assert locks._is_dead(path, read_holder(path)) is dead


def test_clock_jumps_do_not_matter(path, monkeypatch):
    write_lock(path, machine="elsewhere")
    monkeypatch.setattr(time, "time", lambda: 4e9)
    assert not locks._is_dead(path, read_holder(path))


def test_a_held_lock_is_kept_young(path, monkeypatch):
    monkeypatch.setattr(locks, "HEARTBEAT", 0.01)
    with hold(path, "a"):
        os.utime(path, (0, 0))
        time.sleep(0.3)
        assert path.stat().st_mtime > 1e9


def test_breaking_puts_back_a_lock_that_changed_hands(path):
    write_lock(path, token="new")
    locks._break(path, {"token": "old"})
    assert json.loads(path.read_text())["token"] == "new"
    assert list(path.parent.iterdir()) == [path]
