"""A claim, the effect that decides it in one run, and the rule that leads to a verdict.

The rule is the same for every claim. It *holds* if the 95% interval of its effect over seeds
lies wholly on the claimed side of a bound, and it *fails* if the interval lies wholly on the
other side. Otherwise, and with fewer than three seeds, it is *undecided*.

Some claims say only that there are settings with an effect. If the settings of a run do not have
it, such a claim stays *undecided* instead of failing, since other settings may have it.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from rl_keras.results.runs import Results, Variants
from rl_keras.science.summaries import Interval, mean_interval

HOLDS, FAILS, UNDECIDED = VERDICTS = ("holds", "fails", "undecided")
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
        measure: function of the variants of a run that returns the effects which decide the
            claim there; none if the run's settings do not offer the measurement.
        measured_as: what an effect is, for the reader.
        unit: of the effect.
        side: on which side of the bound the effect must lie: `"above"`, `"below"`, or
            `"within"` for between minus and plus the bound.
        bound: in the unit of the effect.
        size: what the paper says about the size, as far as that is known to us.
        of_some: whether the claim is only that there are settings with this effect.
        across_runs: whether it compares runs, so that `measure` gets the variants of all runs.
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


def decide(claim: Claim, effect: Effect) -> tuple[str, str]:
    """Returns the verdict on a claim and the reason in words.

    Example:
        >>> claim = Claim("k", "it grows", "", lambda variants: [], "growth", "nats")
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
    if claim.of_some:
        return UNDECIDED, f"{reason} here; other settings may differ"
    return FAILS, reason


def _decide_within(claim, interval):
    bound = claim.bound
    if -bound < interval.low and interval.high < bound:
        return HOLDS, f"the interval lies wholly within ±{bound:g}"
    if interval.low > bound or interval.high < -bound:
        return FAILS, f"the interval lies wholly beyond ±{bound:g}"
    return UNDECIDED, f"the interval reaches across an end of ±{bound:g}"


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


def upstream_effect(
    variant: str, results: Results, by_seed: Mapping[int, float], note: str = ""
) -> Effect:
    """Returns an effect that was measured upstream in one variant.

    Args:
        variant: its name, and `results` are its results.
        by_seed: as in `effect_of`, and so is `note`.
    """
    text = about(variant, results.config.upstream.labels[0])
    return effect_of(text, by_seed, results.num_planned_seeds, note)


def about(variant: str, labels: str, start: str = "") -> str:
    """Returns the words for a part of a run, for `Effect.about`.

    Args:
        variant: its name, empty in a run without variants.
        labels: kind of labels.
        start: of the downstream training, if there are several.

    Example:
        >>> about("wide", "true", "layerwise"), about("random", "random")
        ('wide: true labels, layerwise', 'random labels')
    """
    text = f"{labels} labels" if variant in ("", labels) else f"{variant}: {labels} labels"
    return f"{text}, {start}" if start else text


def difference(first: Mapping[int, float], second: Mapping[int, float]) -> dict[int, float]:
    """Returns the first less the second, of the seeds that both have.

    Example:
        >>> difference({0: 3.0, 1: 5.0}, {1: 1.0})
        {1: 4.0}
    """
    return {seed: value - second[seed] for seed, value in first.items() if seed in second}


def shares(values: Mapping[int, float], whole: Mapping[int, float]) -> tuple[dict, str]:
    """Returns values as shares of the mean of others, and a note if there is no such share.

    Args:
        values: by seed.
        whole: by seed; what they are compared with, which must be positive on the mean.

    Example:
        >>> shares({0: 1.0, 1: 2.0}, {0: 3.0, 1: 5.0})
        ({0: 0.25, 1: 0.5}, '')
    """
    seeds = [seed for seed in values if seed in whole]
    mean = sum(whole[seed] for seed in seeds) / max(1, len(seeds))
    if seeds and not mean > 0:
        return {}, f"what it is compared with is not positive: {mean:.3g} on the mean"
    return {seed: values[seed] / mean for seed in seeds}, ""
