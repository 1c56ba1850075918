"""Differences between starts and between settings, against numbers worked out by hand."""

import pytest

from rl_keras.papers.claim import decide
from rl_keras.settings.transfer import split_arm

AREAS = {"scratch": 0.5, "pretrained": 0.6, "pretrained_unscaled": 0.65, "covariance": 0.59}
VARIANTS = "narrow: last_width=0.5; wide: last_width=2"
WHOLE = {"model": "vgg16", "transfer_layers": ("all",), "starts": ("scratch", "pretrained")}


def by_seed(verdict):
    return pytest.approx(list(verdict.effect.by_seed.values()), abs=1e-9)


def area(value):
    return {"area_under_train_curve": value}


def fig5(_, key):
    """Pretrained gains 10 points on scratch, covariance 8, 9 and 10."""
    drawn = (key.start == "covariance") * 0.01 * (key.seed - 1)
    return area(AREAS.get(key.start, 0) + 0.1 * key.seed + drawn)


def test_starts_of_the_first_layer(verdicts):
    by_key = verdicts(summary=fig5, downstream_labels=("true", "random"))
    assert [v.effect.about for v in by_key["fig5_pretrained"]] == ["true labels", "random labels"]
    for key, values in {
        "fig5_pretrained": [10, 10, 10],
        "fig5_covariance": [8, 9, 10],
        "fig5_norm": [5, 5, 5],
    }.items():
        verdict = by_key[key][0]
        assert by_seed(verdict) == values
        assert verdict.verdict == "holds"
    verdict = by_key["fig5_covariance_is_enough"][0]
    assert by_seed(verdict) == [-0.2, -0.1, 0.0]  # lacks of 2, 1 and 0 points in a gain of 10
    assert verdict.verdict == "undecided"
    assert not {"fig1_positive", "fig6_deepest", "fig8_width"} & set(by_key)


def test_no_gain_leaves_nothing_to_compare_with(verdicts):
    by_key = verdicts(summary=lambda _, key: area(0.5 - 0.1 * (key.start == "pretrained")))
    (verdict,) = by_key["fig5_covariance_is_enough"]
    assert verdict.effect.interval is None and verdict.verdict == "undecided"
    assert "is not positive: -10 on the mean" in verdict.reason
    assert by_key["fig5_pretrained"][0].verdict == "fails"


@pytest.mark.parametrize(
    "values", [{"upstream_labels": ("true",)}, {"starts": ("scratch",)}, {"starts": ("none",)}]
)
def test_settings_that_do_not_offer_it(verdicts, values):
    assert "fig5_pretrained" not in verdicts(summary=fig5, **values)


def test_only_seeds_that_have_both_arms_are_paired(verdicts):
    by_key = verdicts(summary=fig5, missing=["downstream-true-scratch-seed1"])
    (verdict,) = by_key["fig5_pretrained"]
    assert (verdict.effect.seeds, verdict.effect.planned) == ((0, 2), 3)
    assert verdict.reason == "2 seeds; an interval needs 3"
    assert by_key["fig5_norm"][0].verdict == "holds"


def test_depths(verdicts):
    def summary(_, key):
        start, depth = split_arm(key.start)
        gain = 0.03 * (depth or 0) + 0.01 * key.seed * (depth == 3)
        test = {} if start == "layerwise" else {"final_test_accuracy": 0.5 - 0.1 * (depth == 3)}
        return {**area(0.4 + gain), **test}

    starts = ("scratch", "pretrained", "layerwise")
    by_key = verdicts(summary=summary, model="cnn3", starts=starts, transfer_depths=(1, 3))
    assert [v.effect.about for v in by_key["fig6_deepest"]] == [
        "true labels, pretrained",
        "true labels, layerwise",
    ]
    assert by_seed(by_key["fig6_deepest"][0]) == [9, 10, 11]
    assert by_seed(by_key["fig6_more_layers"][1]) == [6, 7, 8]
    copied, drawn = by_key["table1_test"]
    assert by_seed(copied) == [-10, -10, -10] and copied.verdict == "holds"
    assert drawn.effect.interval is None and drawn.verdict == "undecided"
    assert by_seed(by_key["fig1_positive"][0]) == [9, 10, 11]
    assert "fig5_pretrained" not in by_key


def gaining(**points):
    """Areas in which the pretrained start of a variant gains so many points, by seed."""

    def summary(variant, key):
        gain = points[variant or "run"][key.seed] if key.start == "pretrained" else 0
        return area(0.5 + gain / 100)

    return summary


def test_settings_that_help_and_settings_that_hurt(verdicts):
    summary = gaining(narrow=(-4, -5, -6), wide=(9, 10, 11))
    by_key = verdicts(summary=summary, variants=VARIANTS, **WHOLE)
    (helps,), (hurts,), (wider,) = (
        by_key[key] for key in ("fig1_positive", "fig1_negative", "fig8_width")
    )
    assert (helps.verdict, helps.effect.about) == ("holds", "wide: true labels")
    assert (hurts.verdict, hurts.effect.about) == ("holds", "narrow: true labels")
    assert by_seed(wider) == [13, 15, 17] and wider.verdict == "holds"
    assert wider.effect.about == "true labels: last_width 2 against 0.5"
    # Chosen from two settings, so 97.5%: Student's t of two degrees of freedom is 6.2053.
    assert helps.effect.interval.high - 10 == pytest.approx(6.2053 / 3**0.5, rel=1e-4)
    assert "confidence 1 - 0.05/2" in helps.effect.note


def test_settings_that_are_not_of_the_kind_leave_a_claim_open_that_there_are_such(verdicts):
    clear, unclear = (9, 10, 11), (-20, 0, 20)
    by_key = verdicts(summary=gaining(narrow=clear, wide=clear), variants=VARIANTS, **WHOLE)
    (verdict,) = by_key["fig1_negative"]
    assert verdict.verdict == "undecided"
    assert verdict.reason == "the interval lies wholly above 0 here; other settings may differ"
    by_key = verdicts(summary=gaining(narrow=clear, wide=unclear), variants=VARIANTS, **WHOLE)
    assert by_key["fig1_negative"][0].verdict == "undecided"
    assert by_key["fig1_negative"][0].effect.about == "wide: true labels"
    assert by_key["fig1_positive"][0].verdict == "holds"


def test_one_seed_in_some_settings_leaves_it_open(verdicts):
    missing = [f"downstream-true-pretrained-seed{seed}" for seed in (1, 2)]
    summary = gaining(narrow=(3, 3, 3), wide=(4, 4, 4))
    by_key = verdicts(summary=summary, variants=VARIANTS, missing=missing, **WHOLE)
    (verdict,) = by_key["fig1_positive"]
    assert verdict.effect.about == "wide: true labels"
    assert verdict.reason == "1 seed; an interval needs 3"


def test_a_run_without_variants(verdicts):
    by_key = verdicts(summary=gaining(run=(9, 10, 11)), **WHOLE)
    (verdict,) = by_key["fig1_positive"]
    assert (verdict.verdict, verdict.effect.note) == ("holds", "")
    assert verdict.effect.interval.high - 10 == pytest.approx(4.30265 / 3**0.5, rel=1e-4)
    assert "fig8_width" not in by_key and "fig7_negative" not in by_key


def silent(narrow, wide):
    """One of three units in the last layer is silent before the switch, these shares after it."""
    after = {"narrow": narrow, "wide": wide}

    def arrays(variant, key):
        shares = [0.0, 1 / 3] if key.stage == "upstream" else [after[variant][key.seed], 0.9]
        first = {"activity/conv1/step": [0, 9], "activity/conv1/rarely_active": [0.0, 0.0]}
        return first | {"activity/last/step": [0, 9], "activity/last/rarely_active": shares}

    return arrays


def test_units_that_fall_silent_at_the_switch(verdicts):
    arrays = silent((1, 1, 1), (1 / 3, 1 / 3, 2 / 3))
    summary = gaining(narrow=(-4, -5, -6), wide=(9, 10, 11))
    by_key = verdicts(arrays, summary, variants=VARIANTS, **WHOLE)
    narrow, wide = by_key["fig7_switch"]
    assert by_seed(narrow) == [200 / 3, 200 / 3, 200 / 3]
    assert by_seed(wide) == [0, 0, 100 / 3]
    (verdict,) = by_key["fig7_negative"]
    assert by_seed(verdict) == [200 / 3, 200 / 3, 100 / 3]
    assert (verdict.verdict, verdict.effect.about) == ("holds", "true labels: narrow against wide")


def test_cases_of_two_runs_are_compared_too(verdicts):
    cases = {"narrow": (-4, -5, -6), "wide": (9, 10, 11)}
    arrays = silent((1, 1, 1), (1 / 3, 1 / 3, 2 / 3))
    for name, values in cases.items():
        by_key = verdicts(
            lambda _, key, name=name: arrays(name, key), gaining(run=values), name=name, **WHOLE
        )
    (verdict,) = by_key["fig7_negative"]
    assert by_seed(verdict) == [200 / 3, 200 / 3, 100 / 3]
    assert (verdict.run, verdict.effect.about) == (
        "all runs",
        "true labels: narrow against wide",
    )
    assert {v.run for v in by_key["fig7_switch"]} == set(cases)


def test_silent_units_tell_the_cases_apart_only_if_there_are_both(verdicts):
    arrays = silent((1, 1, 1), (1, 1, 1))
    summary = gaining(narrow=(4, 5, 6), wide=(9, 10, 11))
    (verdict,) = verdicts(arrays, summary, variants=VARIANTS, **WHOLE)["fig7_negative"]
    assert verdict.effect.interval is None
    assert decide(verdict.claim, verdict.effect)[1].startswith("transfer helps in all of the")
