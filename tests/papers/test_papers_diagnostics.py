"""Effects that other papers' diagnostics measure, on runs whose every number is given here."""

import numpy as np
import pytest

from rl_keras.science.label_noise import expected_agreement
from rl_keras.science.similarity import linear_cka

KINDS_OF = ("random", "real")
KINDS = {"variants": "random: ; real: upstream_labels=true", "starts": ("none",)}
RNG = np.random.default_rng(0)


def by_seed(verdict):
    return list(verdict.effect.by_seed.values())


def filters_with_profile(profile):
    """Filters whose root mean square along each axis is the profile."""
    return np.concatenate([np.diag(profile), -np.diag(profile)]) * np.sqrt(len(profile))


def profiles(random, real):
    def arrays(variant, key):
        filters = filters_with_profile(random if variant == "random" else real)
        values = {"step": [0, 9], "filters": filters, "eigenvectors": np.eye(4)}
        values["eigenvalues"] = [4.0, 3.0, 2.0, 1.0]
        return {f"alignment/conv1/{name}": value for name, value in values.items()}

    return arrays


@pytest.mark.parametrize(
    ("real", "correlation", "verdict"),
    [([2.0, 4.0, 6.0, 8.0], 1, "holds"), ([4.0, 3.0, 2.0, 1.0], -1, "fails")],
)
def test_energy_profiles_of_both_kinds_of_labels(verdicts, real, correlation, verdict):
    by_key = verdicts(profiles([1.0, 2.0, 3.0, 4.0], real), **KINDS)
    (profile,) = by_key["energy_profile"]
    assert by_seed(profile) == pytest.approx([correlation] * 3)
    assert profile.verdict == verdict


def test_profiles_of_one_kind_of_labels_are_not_compared(verdicts):
    arrays = profiles([1.0, 2.0, 3.0, 4.0], [])
    by_key = verdicts(lambda _, key: arrays("random", key), starts=("none",))
    assert "energy_profile" not in by_key


def test_profiles_of_networks_that_differ_otherwise_are_not_compared(verdicts):
    variants = "random: ; real: upstream_labels=true upstream_weight_decay=0.1"
    by_key = verdicts(profiles([1.0, 2.0, 3.0, 4.0], [1.0] * 4), **KINDS | {"variants": variants})
    assert "energy_profile" not in by_key


def test_gradients_beyond_an_identity(verdicts):
    def arrays(_, key):
        prefix = "feature_alignment/conv1"
        return {
            f"{prefix}/step": [0, 5, 9],
            f"{prefix}/change_observed": [np.nan, 0.4, 0.9],
            f"{prefix}/change_identity": [np.nan, 0.2, 0.8 + 0.01 * key.seed],
        }

    (by_key,) = verdicts(arrays, starts=("none",))["neural_feature_ansatz"]
    assert by_seed(by_key) == pytest.approx([0.1, 0.09, 0.08]) and by_key.verdict == "holds"


def test_likeness_of_the_first_and_the_last_layer(verdicts):
    first = {seed: RNG.normal(size=(30, 4)) for seed in range(3)}
    last = {(seed, kind): RNG.normal(size=(30, 4)) for seed in range(3) for kind in KINDS_OF}

    def arrays(variant, key):
        samples = {"conv1": first[key.seed], "dense1": last[key.seed, variant]}
        by_key = {"representation/ids": np.arange(30).astype("S")}
        for layer, sample in samples.items():
            by_key[f"representation/{layer}/sample"] = sample
            by_key[f"representation/{layer}/positions"] = np.zeros(30, int)
        return by_key

    (by_key,) = verdicts(arrays, **KINDS)["early_layers_general"]
    expected = [1 - linear_cka(last[seed, "random"], last[seed, "real"]) for seed in range(3)]
    assert by_seed(by_key) == pytest.approx(expected) and by_key.verdict == "holds"
    assert by_key.effect.about == "conv1 against dense1"


@pytest.mark.parametrize(("off", "verdict"), [(0.02, "holds"), (0.2, "fails")])
def test_agreement_of_two_halves(verdicts, off, verdict):
    split = "upstream_split=train[{}] test_split=train[{}]"
    halves = "; ".join(
        f"{name}_{half}: upstream_corruption={p} {split.format(*parts)}"
        for name, p in (("clean", 0), ("half", 0.5))
        for half, parts in (("a", (":50%", "50%:")), ("b", ("50%:", ":50%")))
    )

    def summary(variant, _):
        noise = 0.45 if variant.startswith("half") else 0.0
        agreement = float(expected_agreement(noise, 10, accuracy=0.8))
        shift = off if noise else 0.0
        return {"final_test_accuracy": agreement + shift, "final_test_accuracy_true": 0.8}

    by_key = verdicts(
        summary=summary, variants=halves, upstream_labels=("partial",), starts=("none",)
    )
    (agreement,) = by_key["two_fold_agreement"]
    assert by_seed(agreement) == pytest.approx([100 * off] * 3)
    assert (agreement.verdict, agreement.effect.about) == (verdict, "45% of labels false")


def test_true_class_of_corrupted_examples(verdicts):
    seen = {0: [0.1, 0.3, 0.0], 1: [0.1, 0.25, 0.0], 2: [0.1, 0.2, 0.9]}

    def arrays(_, key):
        shares = np.zeros((3, 3))
        shares[:, 1] = seen[key.seed]
        return {"ledger/step": [0, 5, 9], "ledger/shares_corrupted": shares}

    values = {"upstream_labels": ("partial",), "upstream_corruption": 0.4, "starts": ("none",)}
    (by_key,) = verdicts(arrays, **values)["truth_first"]
    # The others of seed 0 and 1 predict most at the last step, because of seed 2.
    assert by_seed(by_key) == pytest.approx([-10, -10, 10])
