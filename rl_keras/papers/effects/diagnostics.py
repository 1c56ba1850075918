"""Effects that other papers' diagnostics measure: profiles, gradients, likeness, label noise."""

from collections.abc import Mapping

import numpy as np

from rl_keras.papers.claim import Effect, effect_of
from rl_keras.papers.effects.transfer import about
from rl_keras.results.profiles import read_profiles
from rl_keras.results.runs import Variants
from rl_keras.results.similarity import layers_of, pair_similarity, read_networks
from rl_keras.results.variants import RANDOM, TRUE, are_halves, comparable, read_halves
from rl_keras.science.label_noise import expected_agreement
from rl_keras.science.similarity import linear_cka

_BOTH = f"{RANDOM} against {TRUE}"


def profiles_agree(found: Variants) -> list[Effect]:
    """Measures the correlation of energy profiles of filters learnt from random and true labels.

    Of the same seed. Untrained filters have a flat profile, which correlates with nothing.
    """
    effects = []
    for group in _of_both(found):
        own = {name: _filter_profile(results) for name, results in group.items()}
        if not all(own.values()):
            continue
        random, true = (dict(zip(p.seeds, p.by_seed, strict=True)) for p in own.values())
        effects.append(profile_correlation(random, true, _planned(found)))
    return effects


def profile_correlation(random: Mapping, true: Mapping, planned: int) -> Effect:
    """Returns the correlation over the axes of two energy profiles `(d,)`, both by seed."""
    values = {
        seed: float(np.corrcoef(random[seed], true[seed])[0, 1])
        for seed in random
        if seed in true and len(random[seed]) == len(true[seed])
    }
    return effect_of(_BOTH, values, planned)


def gradients_beyond_identity(found: Variants) -> list[Effect]:
    """Measures what gradients tell of the filters' change beyond what is built in, at the end.

    Correlation of the change with the average gradient outer product, minus that with an
    identity in place of the gradients.
    """
    effects = []
    for name, results in found.items():
        layer = next(iter(results.layers("feature_alignment")), "")
        values = {}
        for key in results.upstream_keys if layer else []:
            arrays, prefix = results.arrays(key), f"feature_alignment/{layer}/change"
            if f"{prefix}_observed" in arrays:
                gain = arrays[f"{prefix}_observed"] - arrays[f"{prefix}_identity"]
                values[key.seed] = float(gain[-1])
        if values:
            effects.append(_effect(name, results, values))
    return effects


def likeness_lost_with_depth(found: Variants) -> list[Effect]:
    """Measures how much less alike the last than the first layer is, on random and true labels.

    Unbiased linear CKA of networks of one seed, which share their first weights.
    """
    effects = []
    for group in _of_both(found):
        networks = read_networks(group)
        layers = layers_of(networks)
        ends, values = [*layers[:1], *layers[-1:]], {}
        seeds = [seed for kind, seed in networks if kind == "random"]
        for seed in seeds if len(layers) > 1 else []:
            pair = ("random", seed), ("true", seed)
            if pair[1] in networks:
                first, last = (pair_similarity(linear_cka, networks, e, *pair) for e in ends)
                values[seed] = float(first - last)
        if values:
            effects.append(effect_of(" against ".join(ends), values, _planned(found)))
    return effects


def agreement_off_closed_form(found: Variants) -> list[Effect]:
    """Measures how far the agreement of two halves is from its closed form, in points.

    The form is that of a network as accurate as this one is on clean labels.
    """
    halves = read_halves(found) if are_halves(found) else []
    clean = next((one.accuracy for one in halves if one.rate == 0), None)
    if clean is None:
        return []
    effects = []
    for one in halves:
        if one.rate == 0 or one.corruption_kind != "redraw":
            continue
        values = {
            seed: 100 * float(agreement - _closed_form(one, clean[seed]))
            for seed, agreement in one.agreement.items()
            if seed in clean
        }
        effects.append(effect_of(f"{one.rate:.0%} of labels false", values, one.planned))
    return effects


def truth_seen_first(found: Variants) -> list[Effect]:
    """Measures how much of the corrupted examples is predicted truly beyond chance, at most.

    In points; at the step at which the other seeds predict most.
    """
    effects = []
    for name, results in found.items():
        stack = results.stack(_kept(results), "ledger", "shares_corrupted")
        if not stack:
            continue
        seeds, _, shares = stack
        chance = 1 / results.num_classes
        values = {}
        for number, seed in enumerate(seeds):
            others = np.delete(shares, number, axis=0) if len(seeds) > 1 else shares
            place = int(others[:, :, 1].mean(axis=0).argmax())
            values[seed] = 100 * float(shares[number, place, 1] - chance)
        effects.append(_effect(name, results, values))
    return effects


def _of_both(found):
    """The variants on random and on true labels that differ in nothing else, as such."""
    return [
        {"random": found[group[RANDOM]], "true": found[group[TRUE]]}
        for group in comparable(found)
        if RANDOM in group and TRUE in group
    ]


def _filter_profile(results):
    """The energy profile of the filters; `None` for inputs that are no images, or without any."""
    if results.config.data.dataset == "gaussian":
        return None
    profiles, _ = read_profiles(results, tests=False)
    return next((profile for profile in profiles if profile.kind == "filters"), None)


def _planned(found):
    return max(len(results.config.run.seeds) for results in found.values())


def _closed_form(one, accuracy):
    return expected_agreement(one.rate, one.num_classes, accuracy=accuracy)


def _kept(results):
    """Stages with corrupted examples, of which a ledger was kept."""
    name = "ledger/shares_corrupted"
    found = {key: results.arrays(key) for key in results.upstream_keys}
    return [key for key, own in found.items() if name in own and np.isfinite(own[name]).all()]


def _effect(name, results, values):
    text = about(name, results.config.upstream.labels[0])
    return effect_of(text, values, len(results.config.run.seeds))
