"""Effects that other papers' diagnostics measure: profiles, gradients, likeness, label noise."""

import numpy as np

from rl_keras.claims.claim import Effect, Found, effect_of
from rl_keras.claims.starts import about
from rl_keras.figures.energy_fits import read_profiles
from rl_keras.figures.halves import are_halves, read_halves
from rl_keras.figures.reading import Results
from rl_keras.figures.similarity_pairs import layers_of, pair_similarity, read_networks
from rl_keras.science.label_noise import expected_agreement
from rl_keras.science.similarity import linear_cka


def profiles_agree(found: Found) -> list[Effect]:
    """Measures the correlation of energy profiles of filters learnt from random and true labels.

    Of the same seed. Untrained filters have a flat profile, which correlates with nothing.
    """
    by_labels = {}
    for results in found.values():
        labels = results.config.upstream.labels[0]
        if labels in ("random", "true") and results.config.data.dataset != "gaussian":
            profiles = [p for p in read_profiles(results, tests=False)[0] if p.kind == "filters"]
            if profiles:
                by_labels.setdefault(labels, (profiles[0], results))
    if len(by_labels) < 2:
        return []
    (random, results), (true, _) = by_labels["random"], by_labels["true"]
    if random.by_seed.shape[1] != true.by_seed.shape[1]:
        return []
    other = dict(zip(true.seeds, true.by_seed, strict=True))
    values = {
        seed: float(np.corrcoef(own, other[seed])[0, 1])
        for seed, own in zip(random.seeds, random.by_seed, strict=True)
        if seed in other
    }
    return [effect_of("random against true labels", values, len(results.config.run.seeds))]


def gradients_beyond_identity(found: Found) -> list[Effect]:
    """Measures what gradients tell of the filters' change beyond what is built in, at the end.

    Correlation of the change with the average gradient outer product, minus that with an
    identity in place of the gradients.
    """
    effects = []
    for name, results in found.items():
        layer = next(iter(results.layers("feature_alignment")), "")
        values = {}
        for key in _keys(results) if layer else []:
            arrays, prefix = results.arrays(key), f"feature_alignment/{layer}/change"
            if f"{prefix}_observed" in arrays:
                gain = arrays[f"{prefix}_observed"] - arrays[f"{prefix}_identity"]
                values[key.seed] = float(gain[-1])
        if values:
            effects.append(_effect(name, results, values))
    return effects


def likeness_lost_with_depth(found: Found) -> list[Effect]:
    """Measures how much less alike the last than the first layer is, on random and true labels.

    Unbiased linear CKA of networks of one seed, which share their first weights.
    """
    networks = read_networks(found)
    layers = layers_of(networks)
    kinds = {"random": "", "true": ""}
    for name, results in found.items():
        labels = results.config.upstream.labels[0]
        if labels in kinds:
            kinds[labels] = kinds[labels] or name or labels
    values = {}
    for kind, seed in networks:
        if kind != kinds["random"] or (kinds["true"], seed) not in networks or len(layers) < 2:
            continue  # the other network of the seed, or one layer only
        pair = (kind, seed), (kinds["true"], seed)
        first, last = (
            pair_similarity(linear_cka, networks, layer, *pair) for layer in (layers[0], layers[-1])
        )
        values[seed] = float(first - last)
    if not values:
        return []
    planned = max(len(results.config.run.seeds) for results in found.values())
    return [effect_of(f"{layers[0]} against {layers[-1]}", values, planned)]


def agreement_off_closed_form(found: Found) -> list[Effect]:
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


def truth_seen_first(found: Found) -> list[Effect]:
    """Measures how much of the corrupted examples is predicted truly beyond chance, at most.

    In points; at the step at which the other seeds predict most.
    """
    effects = []
    for name, results in found.items():
        stack = results.stack(_kept(results), "ledger", "shares_corrupted")
        if not stack:
            continue
        seeds, _, shares = stack
        chance = 1 / next(iter(results.finished.values()))["num_classes"]
        values = {}
        for number, seed in enumerate(seeds):
            others = np.delete(shares, number, axis=0) if len(seeds) > 1 else shares
            place = int(others[:, :, 1].mean(axis=0).argmax())
            values[seed] = 100 * float(shares[number, place, 1] - chance)
        effects.append(_effect(name, results, values))
    return effects


def _closed_form(one, accuracy):
    return expected_agreement(one.rate, one.num_classes, accuracy=accuracy)


def _keys(results: Results):
    return results.keys("upstream", results.config.upstream.labels[0])


def _kept(results):
    """Stages with corrupted examples, of which a ledger was kept."""
    name = "ledger/shares_corrupted"
    found = {key: results.arrays(key) for key in _keys(results)}
    return [key for key, own in found.items() if name in own and np.isfinite(own[name]).all()]


def _effect(name, results, values):
    text = about(name, results.config.upstream.labels[0])
    return effect_of(text, values, len(results.config.run.seeds))
