"""A claim, the effect that decides it in one run, and the rule that leads to a verdict.

The rule is the same for every claim. An effect with its 95% interval over seeds *holds* up the
claim if the interval lies wholly on the claimed side of a bound, and the claim *fails* if it
lies wholly on the other side. Else, and with fewer than three seeds, it is *undecided*. So is
the claim that there are settings of some kind, where those that were tried are not: others may be.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from rl_keras.results.runs import Variants
from rl_keras.science.summaries import Interval, mean_interval

HOLDS, FAILS, UNDECIDED = VERDICTS = ("holds", "fails", "undecided")
SIDES = ("above", "below", "within")
MIN_SEEDS = 3  # an interval from two seeds says little


@dataclass(frozen=True)
class Effect:
    """What was measured about a claim in one run.

    Attributes:
        about: which part of the run: its variant, kind of labels, start.
        by_seed: the effect in each seed; empty if it belongs to all of them together.
        interval: mean and 95% interval, `None` without any value.
        seeds: that are in it.
        planned: how many seeds the run was asked for.
        note: what the reader must know, such as why there is no value.
    """

    about: str
    by_seed: Mapping[int, float] = field(default_factory=dict)
    interval: Interval | None = None
    seeds: Sequence[int] = ()
    planned: int = 0
    note: str = ""


@dataclass(frozen=True)
class Claim:
    """One claim of a paper.

    Attributes:
        key: its name in `claims.json`.
        statement: what is claimed, in a sentence.
        source: where.
        measure: from the variants of a run to the effects that decide it there; none if the
            run's settings do not offer the measurement.
        measured_as: what an effect is, for the reader.
        unit: of the effect.
        side: on which side of the bound the effect must lie: `"above"`, `"below"`, or
            `"within"` for between minus and plus the bound.
        bound: in the unit of the effect.
        size: what the paper says about the size, as far as that is known to us.
        of_some: whether the claim is only that there are such settings.
        across_runs: whether it compares runs, so that `measure` gets all of them at once.
    """

    key: str
    statement: str
    source: str
    measure: Callable[[Variants], list[Effect]]
    measured_as: str
    unit: str
    side: str = "above"
    bound: float = 0.0
    size: str = "not known to us"
    of_some: bool = False
    across_runs: bool = False

    @property
    def expected(self) -> str:
        """The direction, such as `above 0` or `within ±0.25`."""
        return f"{self.side} {'±' if self.side == 'within' else ''}{self.bound:g}"


def effect_of(
    about: str, by_seed: Mapping[int, float], planned: int, note: str = "", confidence: float = 0.95
) -> Effect:
    """Returns the effect with these values, one for each seed.

    Args:
        about: as in `Effect`, and so are `planned` and `note`.
        by_seed: values; those that are not finite are left out, and the note says so.
        confidence: of the interval.
    """
    kept = {seed: value for seed, value in sorted(by_seed.items()) if math.isfinite(value)}
    left_out = sorted(set(by_seed) - set(kept))
    if left_out:
        text = f"left out, since not finite: seed {', '.join(map(str, left_out))}"
        note = "; ".join(filter(None, (note, text)))
    interval = mean_interval(list(kept.values()), confidence) if kept else None
    return Effect(about, kept, interval, tuple(kept), planned, note)


def decide(claim: Claim, effect: Effect) -> tuple[str, str]:
    """Returns the verdict on a claim and the reason in words.

    Example:
        >>> claim = Claim("k", "it grows", "", lambda found: [], "growth", "nats")
        >>> decide(claim, effect_of("", {0: 1.0, 1: 1.1, 2: 1.2}, planned=3))
        ('holds', 'the interval lies wholly above 0')
        >>> decide(claim, effect_of("", {0: 1.0}, planned=3))
        ('undecided', '1 seed; an interval needs 3')
    """
    interval = effect.interval
    if interval is None:
        return UNDECIDED, effect.note or "no seed has the measurement yet"
    if interval.num < MIN_SEEDS:
        seeds = "1 seed" if interval.num == 1 else f"{interval.num} seeds"
        return UNDECIDED, f"{seeds}; an interval needs {MIN_SEEDS}"
    if claim.side == "within":
        return _decide_within(claim, interval)
    is_above, is_below = interval.low > claim.bound, interval.high < claim.bound
    if not is_above and not is_below:
        return UNDECIDED, f"the interval reaches to both sides of {claim.bound:g}"
    side = "above" if is_above else "below"
    reason = f"the interval lies wholly {side} {claim.bound:g}"
    if side == claim.side:
        return HOLDS, reason
    return (
        (UNDECIDED, f"{reason} here; other settings may differ")
        if claim.of_some
        else (FAILS, reason)
    )


def _decide_within(claim, interval):
    bound = claim.bound
    if -bound < interval.low and interval.high < bound:
        return HOLDS, f"the interval lies wholly within ±{bound:g}"
    if interval.low > bound or interval.high < -bound:
        return FAILS, f"the interval lies wholly beyond ±{bound:g}"
    return UNDECIDED, f"the interval reaches across an end of ±{bound:g}"
