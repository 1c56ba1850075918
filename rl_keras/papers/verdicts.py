"""All claims, their verdicts in finished runs, and the file `claims.json` that holds them."""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rl_keras.papers.claim import Claim, Effect, decide
from rl_keras.papers.maennel import MAENNEL
from rl_keras.papers.others import OTHERS
from rl_keras.papers.zhang import ZHANG
from rl_keras.results.runs import Run
from rl_keras.storage.files import AnyPath, write_bytes

CLAIMS = (*MAENNEL, *ZHANG, *OTHERS)  # in the order in which they are told
FORMAT = 1  # of claims.json; raised when an old reader would misread a new file
NAME = "claims.json"
ALL_RUNS = "all runs"


@dataclass(frozen=True)
class Verdict:
    """What one run says about one claim.

    Attributes:
        claim: that is decided.
        run: name of the run's folder, or `ALL_RUNS`.
        effect: what was measured.
        verdict: `"holds"`, `"fails"` or `"undecided"`.
        reason: why, in words.
    """

    claim: Claim
    run: str
    effect: Effect
    verdict: str
    reason: str


def evaluate(runs: Iterable[Run], claims: Sequence[Claim] = CLAIMS) -> list[Verdict]:
    """Returns the verdicts on every claim from every run whose settings offer its measurement.

    Args:
        runs: as `runs.read_runs` returns them.
        claims: the verdicts come in their order, then in that of the runs.

    Raises:
        UsageError: if what a run has left is damaged.
    """
    by_run = {run.name: run.variants for run in runs}
    together = {ALL_RUNS: _together(by_run)} if len(by_run) > 1 else by_run
    return [
        Verdict(claim, name, effect, *decide(claim, effect))
        for claim in claims
        for name, variants in (together if claim.across_runs else by_run).items()
        for effect in claim.measure(variants)
    ]


def _together(by_run):
    """The variants of all runs, the name of the run in front."""
    return {
        f"{run}/{name}" if name else run: results
        for run, variants in by_run.items()
        for name, results in variants.items()
    }


def write_claims(path: AnyPath, verdicts: Iterable[Verdict], claims=CLAIMS) -> None:
    """Writes all claims with their verdicts as JSON, also claims without any."""
    verdicts = list(verdicts)
    document = {"format": FORMAT, "claims": [_claim(claim, verdicts) for claim in claims]}
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    write_bytes(path, f"{text}\n".encode())


def _claim(claim, verdicts):
    texts = ("key", "statement", "source", "measured_as", "unit", "side", "bound", "size")
    return {
        **{name: getattr(claim, name) for name in texts},
        "results": [_result(verdict) for verdict in verdicts if verdict.claim is claim],
    }


def _result(verdict):
    effect = verdict.effect
    ends = {name: _number(getattr(effect.interval, name, None)) for name in ("mean", "low", "high")}
    return {
        "run": verdict.run,
        "about": effect.about,
        "verdict": verdict.verdict,
        "reason": verdict.reason,
        **ends,
        "seeds": list(effect.seeds),
        "seeds_planned": effect.planned,
        "by_seed": {str(seed): value for seed, value in effect.by_seed.items()},
        "note": effect.note,
    }


def _number(value):
    return None if value is None or math.isnan(value) else value
