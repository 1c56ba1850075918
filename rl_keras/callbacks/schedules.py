"""When to measure, in optimiser steps."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Schedule:
    """Steps at which a measurement is due: every `interval` steps, or a fixed list.

    Every measurement is also taken before the first step and after the last.

    Example:
        >>> every(20).due(previous=16, current=20)
        True
    """

    interval: int | None = None
    steps: tuple[int, ...] = ()

    def due(self, previous: int, current: int) -> bool:
        """Says whether a scheduled step lies in `(previous, current]`.

        Keras calls back once an execution, so with `steps_per_execution=4` the
        counter jumps by four and a test for equality would miss steps.
        """
        if self.interval is not None:
            return current // self.interval > previous // self.interval
        return any(previous < step <= current for step in self.steps)


def every(interval: int) -> Schedule:
    """Returns a schedule that is due every `interval` optimiser steps.

    Raises:
        ValueError: if `interval` is not positive.
    """
    if interval < 1:
        raise ValueError(f"`interval` must be at least 1. Received: interval={interval}")
    return Schedule(interval=int(interval))


def logarithmic(last_step: int, num_points: int, multiple_of: int = 1) -> Schedule:
    """Returns about `num_points` steps from 1 to `last_step`, evenly spaced on a log axis.

    Args:
        last_step: the last scheduled step.
        num_points: number of steps before duplicates are dropped.
        multiple_of: steps are rounded up to multiples of this, such as the
            model's `steps_per_execution`.

    Raises:
        ValueError: if there is no room for the points.

    Example:
        >>> logarithmic(1000, 4).steps
        (1, 10, 100, 1000)
    """
    if last_step < multiple_of or num_points < 2 or multiple_of < 1:
        raise ValueError(
            "`last_step` must be at least `multiple_of`, `num_points` at least 2. Received: "
            f"last_step={last_step}, num_points={num_points}, multiple_of={multiple_of}"
        )
    points = np.geomspace(1, last_step, num_points)
    steps = {min(last_step, int(-(-point // multiple_of) * multiple_of)) for point in points}
    return Schedule(steps=tuple(sorted(steps)))
