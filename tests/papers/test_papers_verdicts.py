"""The rule that leads from an effect to a verdict, and what is written of it."""

import json
import math

import pytest

from rl_keras.papers.claim import Claim, Effect, decide, effect_of
from rl_keras.papers.verdicts import CLAIMS, Verdict, write_claims

T2 = 4.302652729911275  # Student's t for two degrees of freedom at 0.975


def claim(side="above", bound=0.0):
    return Claim("k", "it grows", "nowhere", lambda by_key: [], "growth", "nats", side, bound)


def verdict_of(values, side="above", bound=0.0):
    return decide(claim(side, bound), effect_of("", dict(enumerate(values)), len(values)))[0]


@pytest.mark.parametrize(
    ("values", "side", "bound", "expected"),
    [
        ([1.0, 1.1, 1.2], "above", 0, "holds"),
        ([-1.0, -1.1, -1.2], "above", 0, "fails"),
        ([-1.0, 1.1, 1.2], "above", 0, "undecided"),
        ([1.0, 1.1, 1.2], "above", 1.1, "undecided"),
        ([1.0, 1.1, 1.2], "below", 0, "fails"),
        ([-1.0, -1.1, -1.2], "below", 0, "holds"),
        ([1.0, 1.1, 1.2], "below", 2, "holds"),
        ([0.0, 0.0, 0.0], "above", 0, "undecided"),  # on the bound is on neither side
        ([-0.05, 0.0, 0.05], "within", 0.25, "holds"),
        ([0.9, 1.0, 1.1], "within", 0.25, "fails"),
        ([-0.9, -1.0, -1.1], "within", 0.25, "fails"),
        ([-0.5, 0.0, 0.5], "within", 0.25, "undecided"),
        ([0.2, 0.25, 0.3], "within", 0.25, "undecided"),
    ],
)
def test_verdicts(values, side, bound, expected):
    assert verdict_of(values, side, bound) == expected


@pytest.mark.parametrize("values", [[], [5.0], [5.0, 5.0]])
def test_few_seeds_are_undecided_however_clear(values):
    assert verdict_of(values) == "undecided"


def test_reasons_are_in_words():
    effect = effect_of("", {0: 1.0, 1: 2.0}, 5)
    assert decide(claim(), effect) == ("undecided", "2 seeds; an interval needs 3")
    assert decide(claim(), Effect("", note="nothing was kept"))[1] == "nothing was kept"
    assert "both sides of 0" in decide(claim(), effect_of("", {0: -1, 1: 0, 2: 1}, 3))[1]
    assert (
        "wholly within ±0.5"
        in decide(claim("within", 0.5), effect_of("", {0: 0, 1: 0, 2: 0}, 3))[1]
    )


def test_interval_is_students():
    interval = effect_of("", {0: 10.0, 1: 12.0, 2: 14.0}, 3).interval
    assert interval.mean == 12
    assert interval.high - 12 == pytest.approx(T2 * 2 / math.sqrt(3))


def test_seeds_that_diverged_are_left_out_and_named():
    effect = effect_of("", {4: math.nan, 1: 2.0, 0: 1.0}, 3, note="so it is")
    assert (effect.seeds, dict(effect.by_seed)) == ((0, 1), {0: 1.0, 1: 2.0})
    assert effect.note == "so it is; left out, since not finite: seed 4"


def test_claims_are_whole_and_their_keys_are_theirs_alone():
    assert len({claim.key for claim in CLAIMS}) == len(CLAIMS)
    for one in CLAIMS:
        assert one.side in ("above", "below", "within")
        assert one.statement.endswith(".") and one.source and one.measured_as and one.unit
        assert one.side != "within" or one.bound > 0
    sources = " ".join(one.source for one in CLAIMS)
    names = [f"Figure {number}" for number in (1, 2, 3, 4, 5, 6, 7, 8, 20)]
    assert all(name in sources for name in [*names, "Table 1", "Proposition 1"])


def test_file_holds_every_claim_and_no_number_that_json_lacks(tmp_path):
    path = tmp_path / "claims.json"
    one, other = claim(), claim("below")
    effect = effect_of("true labels", {3: 1.5}, 2)  # its interval has no ends
    write_claims(path, [Verdict(one, "run", effect, *decide(one, effect))], (one, other))
    document = json.loads(path.read_text())
    assert document["format"] == 1
    first, second = document["claims"]
    assert second["results"] == []
    assert (first["statement"], first["side"], first["bound"]) == ("it grows", "above", 0.0)
    assert first["results"] == [
        {
            "run": "run",
            "about": "true labels",
            "verdict": "undecided",
            "reason": "1 seed; an interval needs 3",
            "mean": 1.5,
            "low": None,
            "high": None,
            "seeds": [3],
            "seeds_planned": 2,
            "by_seed": {"3": 1.5},
            "note": "",
        }
    ]
