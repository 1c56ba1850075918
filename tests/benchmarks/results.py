"""What a benchmark says: rates and ratios with their spread over turns, and how to take turns."""

import argparse
import dataclasses
import json
import os
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


@dataclasses.dataclass(frozen=True)
class Result:
    """One line of a benchmark.

    Attributes:
        name: what was measured.
        value: median over the turns.
        unit: of the value.
        ratio: median, least and largest over the turns of the ratio to `base`, if there is one.
        base: what the ratio is to.
        target: bound on the median ratio, or on the value without a ratio, such as `">= 0.97"`.
        points: of a cost that grows, sizes and seconds.
    """

    name: str
    value: float
    unit: str
    ratio: tuple[float, float, float] | None = None
    base: str = ""
    target: str = ""
    points: tuple[tuple[float, float], ...] = ()

    @property
    def verdict(self) -> str:
        """`met` or `missed`; empty without a target."""
        if not self.target:
            return ""
        sign, bound = self.target.split()
        number = self.ratio[0] if self.ratio else self.value
        is_met = number >= float(bound) if sign == ">=" else number <= float(bound)
        return "met" if is_met else "missed"


class Seconds(float):
    """What a function returns that has timed itself."""


def take_turns(
    variants: Mapping[str, Callable[[], object]], repeats: int, warm_up: int = 1
) -> dict[str, list[float]]:
    """Returns the seconds of each variant in each turn.

    The variants take turns, so that a drift of the machine's speed strikes all of them.

    Args:
        variants: functions by name; one that returns `Seconds` has timed itself.
        repeats: turns that count.
        warm_up: turns before, in which everything is traced and loaded.
    """
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for turn in range(warm_up + repeats):
        for name, function in variants.items():
            begin = time.perf_counter()
            own = function()
            whole = time.perf_counter() - begin
            if turn >= warm_up:
                seconds[name].append(own if isinstance(own, Seconds) else whole)
    return seconds


def compared(
    seconds: Mapping[str, list[float]],
    base: str,
    amount: float,
    unit: str,
    targets: Mapping[str, str] | None = None,
    prefix: str = "",
) -> Iterator[Result]:
    """Yields the rate of each variant and its ratio to that of the base in the same turn.

    Args:
        seconds: of `take_turns`.
        base: name of the variant that the others are compared with.
        amount: what one call gets done, in `unit` without its "/s".
        unit: of the rates.
        targets: for the ratios, by variant.
        prefix: of the names of the results.
    """
    for name, own in seconds.items():
        ratios = sorted(b / o for b, o in zip(seconds[base], own, strict=True))
        rate = amount / statistics.median(own)
        spread = None if name == base else (statistics.median(ratios), ratios[0], ratios[-1])
        target = (targets or {}).get(name, "")
        yield Result(f"{prefix}{name}", rate, unit, spread, base if spread else "", target)


def text(results: Iterable[Result]) -> str:
    """Lays results out in lines."""
    lines = []
    for one in results:
        number = f"{one.value:,.3g}" if one.value < 1000 else f"{one.value:,.0f}"
        line = f"{one.name:58s} {number:>9s} {one.unit:12s}"
        if one.ratio:
            middle, low, high = one.ratio
            line += f" {middle:6.3g} [{low:.3g}, {high:.3g}] of {one.base}"
        if one.target:
            line += f"   target {one.target}: {one.verdict}"
        lines.append(line.rstrip())
    return "\n".join(lines)


def command(
    measure: Callable[[int], Iterable[Result]],
    description: str,
    repeats: int,
    draw: Callable[[list[Result], Path], None] | None = None,
) -> None:
    """Runs a benchmark from the command line: prints it, and with --json=FILE stores it.

    With `draw` there is --figure=FILE too.
    """
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=repeats)
    parser.add_argument("--json", type=Path)
    if draw:
        parser.add_argument("--figure", type=Path)
    arguments = parser.parse_args()
    results = []
    for result in measure(arguments.repeats):
        print(text([result]), flush=True)
        results.append(result)
    if arguments.json:
        arguments.json.write_text(json.dumps([dataclasses.asdict(one) for one in results]))
    if draw and arguments.figure:
        draw(results, arguments.figure)
