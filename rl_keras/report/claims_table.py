"""The table of verdicts: a group of rows for each claim, a row for each run that decides it."""

import math
from collections.abc import Mapping, Sequence

from rl_keras.papers.claim import VERDICTS, Claim
from rl_keras.papers.verdicts import Verdict
from rl_keras.report.markup import Markup, join, scrolling, tag

_HEADER = ("verdict, run", "effect [95% interval]", "seeds", "why")
_COARSE = ("percentage points", "per cent")  # units in which one decimal is enough
RULE = (
    "One rule for all: a claim holds in a run if the 95% interval of the effect over seeds lies "
    "wholly on the claimed side, and fails if it lies wholly on the other side. Otherwise, and "
    "with fewer than three seeds, it is undecided. A claim that an effect is seen in some settings "
    "cannot fail in one run, since others may show it: it is undecided instead. No verdict is "
    "corrected for the number of claims or runs."
)


def claims_section(
    claims: Sequence[Claim], verdicts: Sequence[Verdict], anchors: Mapping[str, str]
) -> Markup:
    """Returns the verdicts, with the claims that no run has measured named under them.

    Args:
        claims: all of them, in order.
        verdicts: of those that were measured.
        anchors: where on the page each run is.
    """
    measured = [c for c in claims if any(verdict.claim is c for verdict in verdicts)]
    others = [claim for claim in claims if claim not in measured]
    parts = [tag("h2", "Claims"), tag("p", _counts(verdicts)), tag("p", RULE, class_="faint")]
    if measured:
        head = tag("thead", tag("tr", *(_head(name) for name in _HEADER)))
        groups = (_group(claim, verdicts, anchors) for claim in measured)
        parts.append(scrolling(tag("table", head, *groups, class_="claims")))
    if others:
        parts.append(tag("h3", "Not measured by any of these runs"))
        items = (tag("li", f"{c.statement} ", _faint(c.source)) for c in others)
        parts.append(tag("ul", *items))
    return join(parts, "\n")


def effect_text(verdict: Verdict) -> str:
    """Returns an effect with its interval, as far as there is one.

    Example:
        `+5.8 [+4.7, +6.9]`, `+5.8` for one seed, `-` for none
    """
    interval, digits = verdict.effect.interval, 1 if verdict.claim.unit in _COARSE else 2
    if interval is None:
        return "-"
    mean, low, high = (f"{v:+.{digits}f}" for v in (interval.mean, interval.low, interval.high))
    return mean if math.isnan(interval.low) else f"{mean} [{low}, {high}]"


def _counts(verdicts):
    counts = {name: sum(v.verdict == name for v in verdicts) for name in VERDICTS}
    text = ", ".join(f"{name} {count}" for name, count in counts.items())
    keys = len({verdict.claim.key for verdict in verdicts})
    return f"{keys} claims were measured, some in several runs or parts of runs. Verdicts: {text}."


def _head(name):
    look = {"class_": "number"} if name in _HEADER[1:3] else {}
    return tag("th", name, scope="col", **look)


def _group(claim, verdicts, anchors):
    about = tag(
        "div",
        tag("strong", claim.statement),
        _faint(
            f"{claim.source}. Effect: {claim.measured_as}, in {claim.unit}. Expected: "
            f"{claim.expected}; size in the paper: {claim.size}."
        ),
        class_="statement",
    )
    first = tag("tr", tag("th", about, colspan=str(len(_HEADER)), scope="rowgroup"))
    rows = (_row(verdict, anchors) for verdict in verdicts if verdict.claim is claim)
    return tag("tbody", first, *rows, id=f"claim-{claim.key}")


def _row(verdict, anchors):
    effect = verdict.effect
    seeds = f"{len(effect.seeds)} of {effect.planned}"
    anchor = anchors.get(verdict.run)  # none for what compares all runs
    link = tag("a", verdict.run, href=f"#{anchor}") if anchor else verdict.run
    note = "" if effect.note == verdict.reason or not effect.note else f"; {effect.note}"
    return tag(
        "tr",
        tag("td", tag("span", verdict.verdict, class_="verdict"), " ", link, f": {effect.about}"),
        tag("td", effect_text(verdict), class_="number"),
        tag("td", seeds, class_="number"),
        tag("td", f"{verdict.reason}{note}", class_="reason"),
        class_=verdict.verdict,
    )


def _faint(text):
    return tag("span", text, class_="faint")
