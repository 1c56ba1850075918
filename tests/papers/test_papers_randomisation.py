"""Effects of randomised labels and inputs, and of interpolants, against numbers given here."""

import math

import pytest

SIX = (
    "true: upstream_labels=true; shuffled: upstream_labels=true input_corruption=shuffled_pixels; "
    "gaussian: upstream_labels=true input_corruption=gaussian; random: upstream_labels=random"
)
STEPS = {"true": 100, "shuffled": 200, "gaussian": 200, "random": 400}
LEVELS = "; ".join(f"p{p}: upstream_corruption=0.{p}" for p in (0, 3, 6, 9))


def by_seed(verdict):
    return list(verdict.effect.by_seed.values())


def about(by_key, key):
    return {verdict.effect.about: verdict for verdict in by_key[key]}


def converge(steps):
    """Losses that fall below 0.1 at this step; a tenth later for each further seed."""

    def losses(variant, key):
        at = steps[variant]
        return {0: 2.3, int(at * (1 + 0.1 * key.seed)): 0.05} if at else {0: 2.3, 900: 2.2}

    return losses


@pytest.fixture
def six(verdicts):
    def make(steps):
        return verdicts(losses=converge(steps), variants=SIX, starts=("none",))

    return make


def test_random_labels_slowest_and_true_ones_fastest(six):
    by_key = six(STEPS)
    slowest, fastest = (
        about(by_key, f"zhang_{name}") for name in ("random_labels_slowest", "true_labels_fastest")
    )
    assert set(slowest) == {
        f"random labels against {other}" for other in ("true labels", "shuffled_pixels", "gaussian")
    }
    assert by_seed(slowest["random labels against true labels"]) == [2, 2, 2]
    assert by_seed(slowest["random labels against gaussian"]) == [1, 1, 1]
    assert by_seed(fastest["shuffled_pixels against true labels"]) == [1, 1, 1]
    assert {v.verdict for v in (*slowest.values(), *fastest.values())} == {"holds"}
    (factor,) = by_key["zhang_small_factor"]
    assert by_seed(factor) == [4, 4, 4] and factor.verdict == "holds"


def test_another_order_fails_and_what_never_converges_is_left_out(six):
    by_key = six(STEPS | {"random": 50, "gaussian": None})
    slowest = about(by_key, "zhang_random_labels_slowest")
    assert slowest["random labels against true labels"].verdict == "fails"
    never = slowest["random labels against gaussian"]
    assert never.verdict == "undecided" and not never.effect.by_seed
    never = about(by_key, "zhang_true_labels_fastest")["gaussian against true labels"]
    assert never.verdict == "undecided" and "not finite: seed 0, 1, 2" in never.reason


def test_runs_without_these_conditions_are_not_measured(verdicts):
    by_key = verdicts(losses=lambda *_: {0: 2.3, 10: 0.1}, starts=("none",))
    assert not [key for key in by_key if key.startswith("zhang")]
    by_key = verdicts(
        losses=lambda *_: {0: 2.3, 10: 0.1},
        name="half",
        variants="a: upstream_labels=true; b: upstream_labels=partial upstream_corruption=0.5",
        starts=("none",),
    )
    assert not [key for key in by_key if key.startswith("zhang")]


def test_only_variants_that_differ_in_nothing_else_are_compared(verdicts):
    variants = f"slow: upstream_labels=true upstream_weight_decay=0.1; {SIX}"
    steps = {"slow": 900, **STEPS}
    by_key = verdicts(losses=converge(steps), variants=variants, starts=("none",))
    slowest = about(by_key, "zhang_random_labels_slowest")
    assert by_seed(slowest["random labels against true labels"]) == [2, 2, 2]
    assert len(by_key["zhang_small_factor"]) == 1


def test_networks_are_told_apart_and_only_cross_entropy_is_measured(verdicts):
    pairs = "a: upstream_labels=true; b: upstream_labels=random"
    widths = pairs.replace("a:", "c: filters=8").replace("b:", "d: filters=8")
    steps = {"a": 100, "b": 200, "c": 100, "d": 400}
    values = {"variants": f"{pairs}; {widths}", "starts": ("none",)}
    by_key = verdicts(losses=converge(steps), **values)
    factors = about(by_key, "zhang_small_factor")
    assert {text: by_seed(one)[0] for text, one in factors.items()} == {
        "b: random labels against true labels": 2,
        "d: random labels against true labels": 4,
    }
    by_key = verdicts(
        losses=converge(steps), name="squares", upstream_loss="squared_error", **values
    )
    assert len(by_key["zhang_small_factor"]) == 2  # those of the first run


@pytest.mark.parametrize(
    ("train", "test", "expected"),
    [
        ((1.0, 0.999, 1.0), (0.1, 0.105, 0.095), ("holds", "holds")),
        ((0.9, 0.91, 0.92), (0.2, 0.21, 0.22), ("fails", "fails")),
    ],
)
def test_memorised_labels_say_nothing_of_the_test_set(verdicts, train, test, expected):
    def summary(_, key):
        return {
            "final_train_accuracy": train[key.seed],
            "final_test_accuracy_true": test[key.seed],
        }

    by_key = verdicts(summary=summary, starts=("none",), require_fit=0.99)
    (fitted,), (chance,) = by_key["zhang_fitted"], by_key["zhang_chance"]
    assert by_seed(fitted) == pytest.approx([100 * value for value in train])
    assert by_seed(chance) == pytest.approx([100 * (value - 0.1) for value in test])
    assert (fitted.verdict, chance.verdict) == expected


def test_only_runs_that_must_memorise_are_measured(verdicts):
    by_key = verdicts(summary=lambda *_: {"final_train_accuracy": 0.5}, starts=("none",))
    assert "zhang_fitted" not in by_key


@pytest.mark.parametrize(("last", "verdict"), [(0.1, "holds"), (0.5, "fails")])
def test_the_least_rise_of_the_error_decides(verdicts, last, verdict):
    right = {"p0": 0.8, "p3": 0.6, "p6": 0.4, "p9": last}

    def summary(variant, key):
        return {"final_test_accuracy_true": right[variant] - 0.01 * key.seed}

    partial = {"upstream_labels": ("partial",), "starts": ("none",)}
    (rises,) = verdicts(summary=summary, variants=LEVELS, **partial)["zhang_error_rises"]
    assert by_seed(rises) == pytest.approx([100 * min(0.2, 0.4 - last)] * 3)
    assert rises.verdict == verdict


def test_interpolants_against_chance_and_against_each_other(verdicts):
    features = "pixels: ; features: filters=8"
    records = {"pixels": (6.0, 0.8), "features": (9.0, 0.6)}

    def arrays(variant, key):
        norm, error = records[variant]
        by_key = {"linear/norm": norm, "linear/test_error": error - 0.01 * key.seed}
        by_key["gaussian/test_error"] = 0.65 + 0.01 * key.seed
        return {f"minimum_norm/{name}": value for name, value in by_key.items()}

    values = {"variants": features, "upstream_labels": ("true",), "starts": ("none",)}
    by_key = verdicts(arrays, **values)
    (kernel,), (norm,) = by_key["zhang_kernel"], by_key["zhang_norm"]
    assert by_seed(kernel) == pytest.approx([25, 24, 23]) and kernel.verdict == "holds"
    assert by_seed(norm) == pytest.approx([20, 20, 20]) and norm.verdict == "holds"
    assert norm.effect.about == "pixels against features"
    assert math.isfinite(norm.effect.interval.low)
