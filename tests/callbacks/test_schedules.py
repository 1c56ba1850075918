import pytest

from rl_keras.callbacks.measurement import every, logarithmic


def fired(schedule, last, stride=1):
    steps = range(stride, last + 1, stride)
    return [step for step in steps if schedule.due(step - stride, step)]


def test_every_fires_on_multiples():
    assert fired(every(5), 17) == [5, 10, 15]


def test_jumping_counters_miss_nothing():
    assert fired(every(5), 20, stride=4) == [8, 12, 16, 20]
    assert fired(every(8), 24, stride=4) == [8, 16, 24]


def test_logarithmic_ends_on_the_last_step_without_repeats():
    steps = logarithmic(100, 12).steps
    assert steps[0] == 1 and steps[-1] == 100
    assert list(steps) == sorted(set(steps))
    assert fired(logarithmic(100, 12), 100) == list(steps)


def test_logarithmic_keeps_to_multiples():
    schedule = logarithmic(64, 8, multiple_of=4)
    assert all(step % 4 == 0 for step in schedule.steps)
    assert fired(schedule, 64, stride=4) == list(schedule.steps)


@pytest.mark.parametrize("call", [lambda: every(0), lambda: logarithmic(3, 5, multiple_of=4)])
def test_schedules_without_room_are_refused(call):
    with pytest.raises(ValueError, match="must be at least"):
        call()
