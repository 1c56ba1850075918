"""How alike the layers of two networks are, for all pairs of networks of a run."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from rl_keras.errors import UsageError
from rl_keras.results.runs import Variants
from rl_keras.science.similarity import linear_cka, match_test, maximum_match
from rl_keras.seeds import derive_seed

TOLERANCES = (0.3, 0.5, 0.7)  # of the maximum match; the paper has them up to 0.5
NUM_DRAWS = 19  # in each null
MEASURES: dict[str, Callable] = {
    "cka": linear_cka,
    **{
        f"match_{tolerance}": lambda first, second, tolerance=tolerance: (
            maximum_match(first, second, tolerance).similarity
        )
        for tolerance in TOLERANCES
    },
}


@dataclass(frozen=True)
class Similarities:
    """One measure of one layer over pairs of one kind.

    Attributes:
        measure: a key of `MEASURES`.
        layer: path.
        pair: what is compared, such as `"random, real: same seed"`, or a null.
        variants: of the first and the second network.
        values: `(pairs,)`, or the draws of the null.
    """

    measure: str
    layer: str
    pair: str
    variants: tuple[str, str]
    values: np.ndarray


def read_networks(variants: Variants) -> dict[tuple[str, int], dict]:
    """Returns the arrays of the upstream networks whose representations were kept.

    Args:
        variants: as `runs.read_variants` returns them.

    Returns:
        Arrays by name of the variant (the kind of labels, if it has none) and seed.
    """
    networks = {}
    for name, results in variants.items():
        labels = results.config.upstream.labels[0]
        for key in results.keys("upstream", labels):
            arrays = results.arrays(key)
            if "representation/ids" in arrays:
                networks[name or labels, key.seed] = arrays
    return networks


def layers_of(networks: Mapping) -> list[str]:
    """Returns the layers that all networks have, in order."""
    each = [
        [n[len("representation/") : -len("/sample")] for n in arrays if n.endswith("/sample")]
        for arrays in networks.values()
    ]
    return [layer for layer in each[0] if all(layer in layers for layers in each)] if each else []


def compare(networks: Mapping) -> Iterator[Similarities]:
    """Yields the similarities of all kinds of pairs, layer by layer, and their nulls.

    Variants are compared with the first one. A null is drawn for the first pair: `null:
    shuffled`, the examples of one network in random order, and for the match `null:
    gaussian`, unrelated Gaussian outputs.

    Raises:
        UsageError: if the networks did not see the same examples at the same positions.
    """
    pairs = _pairs(networks)
    for layer in layers_of(networks):
        for measure, similarity in MEASURES.items():
            for pair, members in pairs.items():
                values = [pair_similarity(similarity, networks, layer, *both) for both in members]
                values = np.array([value for value in values if np.isfinite(value)])
                if values.size:
                    yield Similarities(measure, layer, pair, _variants_of(members[0]), values)
            if pairs:
                yield from _nulls(measure, layer, networks, next(iter(pairs.values()))[0])


def _pairs(networks):
    """The pairs of networks by what they have in common; kinds without any are left out."""
    variants = list(dict.fromkeys(variant for variant, _ in networks))
    pairs = {}
    for other in variants[1:]:
        first = variants[0]
        crossed = list(itertools.product(_of(networks, first), _of(networks, other)))
        same = [(a, b) for a, b in crossed if a[1] == b[1]]
        different = [(a, b) for a, b in crossed if a[1] != b[1]]
        pairs[f"{first}, {other}: same seed"] = same
        pairs[f"{first}, {other}: two seeds"] = different
    for variant in variants:
        pairs[f"{variant}: two seeds"] = list(itertools.combinations(_of(networks, variant), 2))
    return {pair: members for pair, members in pairs.items() if members}


def _of(networks, variant):
    return [name for name in networks if name[0] == variant]


def _variants_of(pair):
    (first, _), (second, _) = pair
    return first, second


def _nulls(measure, layer, networks, pair):
    (x, _), (y, _) = (_sample(networks[name], layer) for name in pair)
    variants = _variants_of(pair)
    rng = np.random.default_rng(derive_seed(0, "similarity_null", layer, measure))
    if measure == "cka":
        try:
            draws = [linear_cka(x, rng.permutation(y)) for _ in range(NUM_DRAWS)]
        except UsageError:
            return
        yield Similarities(measure, layer, "null: shuffled", variants, np.array(draws))
        return
    tolerance = float(measure.removeprefix("match_"))
    for null in ("shuffled", "gaussian"):
        test = match_test(x, y, tolerance, NUM_DRAWS, rng, null)
        yield Similarities(measure, layer, f"null: {null}", variants, test.draws)


def pair_similarity(similarity, networks: Mapping, layer: str, first, second) -> float:
    """Returns how alike a layer of two networks is, NaN if one of them is dead.

    Args:
        similarity: of two samples `(examples, units)`, such as `linear_cka`.
        networks: as `read_networks` returns them.
        layer: path.
        first: key in `networks`, and so is `second`.

    Raises:
        UsageError: if they did not see the same examples at the same positions.
    """
    (x, x_ids), (y, y_ids) = (_sample(networks[name], layer) for name in (first, second))
    if not np.array_equal(x_ids, y_ids):
        raise UsageError(
            "--keep_representations must have seen the same test examples in all variants; use "
            f"one --test_split. Received: others in {first[0]} than in {second[0]}"
        )
    try:
        return similarity(x, y)
    except UsageError:  # a dead layer is like no other
        return np.nan


def _sample(arrays, layer):
    """Outputs, and ids that also tell the position."""
    ids, positions = arrays["representation/ids"], arrays[f"representation/{layer}/positions"]
    names = np.char.add(np.char.add(ids.astype("U"), "@"), positions.astype("U"))
    return arrays[f"representation/{layer}/sample"], names


def active_units(networks: Mapping) -> Iterator[Similarities]:
    """Yields the shares of units that are active on any example; only these can match."""
    variants = dict.fromkeys(variant for variant, _ in networks)
    for variant, layer in itertools.product(variants, layers_of(networks)):
        samples = [_sample(networks[name], layer)[0] for name in _of(networks, variant)]
        shares = np.array([sample.any(axis=0).mean() for sample in samples])
        yield Similarities("active_units", layer, variant, (variant, ""), shares)
