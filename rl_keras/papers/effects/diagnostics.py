"""Effects that other papers' diagnostics measure: profiles, gradients, similarity, label noise."""

from collections.abc import Mapping

import numpy as np

from rl_keras.papers.claim import Effect, effect_of, upstream_effect
from rl_keras.results.profiles import read_profiles
from rl_keras.results.runs import Variants
from rl_keras.results.similarity import layers_of, pair_similarity, read_networks
from rl_keras.results.variants import RANDOM, TRUE, are_halves, comparable, read_halves
from rl_keras.science.label_noise import expected_agreement
from rl_keras.science.similarity import linear_cka


def profiles_agree(variants: Variants) -> list[Effect]:
    """Measures the correlation of energy profiles of filters learnt from random and true labels.

    Of the same seed. Untrained filters have a flat profile, which correlates with nothing.
    """
    effects = []
    for group in _random_and_true(variants):
        profiles = {labels: _filter_profile(results) for labels, results in group.items()}
        if not all(profiles.values()):
            continue
        random, true = (dict(zip(p.seeds, p.by_seed, strict=True)) for p in profiles.values())
        effects.append(profile_correlation(random, true, _planned(variants)))
    return effects


def profile_correlation(random: Mapping, true: Mapping, planned: int) -> Effect:
    """Returns the correlation over the axes of two energy profiles `(d,)`, both by seed."""
    values = {
        seed: float(np.corrcoef(random[seed], true[seed])[0, 1])
        for seed in random
        if seed in true and len(random[seed]) == len(true[seed])
    }
    return effect_of(f"{RANDOM} against {TRUE}", values, planned)


def likeness_lost_with_depth(variants: Variants) -> list[Effect]:
    """Measures how much less alike the last than the first layer is, on random and true labels.

    Unbiased linear CKA of networks of one seed, which share their first weights.
    """
    effects = []
    for group in _random_and_true(variants):
        networks = read_networks(group)
        layers = layers_of(networks)
        ends, values = [*layers[:1], *layers[-1:]], {}
        seeds = [seed for labels, seed in networks if labels == "random"]
        for seed in seeds if len(layers) > 1 else []:
            pair = ("random", seed), ("true", seed)
            if pair[1] in networks:
                first, last = (pair_similarity(linear_cka, networks, e, *pair) for e in ends)
                values[seed] = float(first - last)
        if values:
            effects.append(effect_of(" against ".join(ends), values, _planned(variants)))
    return effects


def _random_and_true(variants):
    """Pairs of variants, on random and on true labels, that differ in nothing else."""
    return [
        {"random": variants[group[RANDOM]], "true": variants[group[TRUE]]}
        for group in comparable(variants)
        if RANDOM in group and TRUE in group
    ]


def _filter_profile(results):
    """The energy profile of the filters; `None` without one and for inputs that are not images."""
    if results.config.data.is_synthetic:
        return None
    profiles, _ = read_profiles(results, tests=False)
    return next((profile for profile in profiles if profile.kind == "filters"), None)


def _planned(variants):
    return max(results.num_planned_seeds for results in variants.values())


def gradients_beyond_identity(variants: Variants) -> list[Effect]:
    """Measures what gradients tell of the filters' change at the end of training.

    It is the correlation of the change with the average gradient outer product, minus its
    correlation with that of an identity in place of the gradients, which holds no gradients.
    """
    effects = []
    for name, results in variants.items():
        prefix = f"feature_alignment/{results.first_layer('feature_alignment')}/change"
        values = {}
        for key in results.upstream_keys:
            arrays = results.arrays(key)
            if f"{prefix}_observed" in arrays:
                gain = arrays[f"{prefix}_observed"] - arrays[f"{prefix}_identity"]
                values[key.seed] = float(gain[-1])
        if values:
            effects.append(upstream_effect(name, results, values))
    return effects


def agreement_off_closed_form(variants: Variants) -> list[Effect]:
    """Measures how far the agreement of two halves is from its closed form, in points.

    The form is that of a network as accurate as this one is on clean labels.
    """
    halves = read_halves(variants) if are_halves(variants) else []
    clean = next((pair.accuracy for pair in halves if pair.rate == 0), None)
    if clean is None:
        return []
    effects = []
    for pair in halves:
        if pair.rate == 0 or pair.corruption_kind != "redraw":
            continue
        values = {
            seed: 100 * float(agreement - _closed_form(pair, clean[seed]))
            for seed, agreement in pair.agreement.items()
            if seed in clean
        }
        effects.append(effect_of(f"{pair.rate:.0%} of labels false", values, pair.planned))
    return effects


def _closed_form(pair, accuracy):
    return expected_agreement(pair.rate, pair.num_classes, accuracy=accuracy)


def truth_seen_first(variants: Variants) -> list[Effect]:
    """Measures the share of corrupted examples predicted as their true class, beyond chance.

    In points; at the step at which the other seeds predict most.
    """
    effects = []
    for name, results in variants.items():
        stack = results.stack(_with_corrupted(results), "ledger", "shares_corrupted")
        if not stack:
            continue
        seeds, _, shares = stack
        chance = 1 / results.num_classes
        values = {}
        for number, seed in enumerate(seeds):
            others = np.delete(shares, number, axis=0) if len(seeds) > 1 else shares
            best = int(others[:, :, 1].mean(axis=0).argmax())
            values[seed] = 100 * float(shares[number, best, 1] - chance)
        effects.append(upstream_effect(name, results, values))
    return effects


def _with_corrupted(results):
    """Stages whose memorisation was followed and that have corrupted examples."""
    stages = {key: results.arrays(key) for key in results.upstream_keys}
    name = "ledger/shares_corrupted"
    return [key for key, arrays in stages.items() if np.isfinite(arrays.get(name, np.nan)).all()]
