"""Effects of randomised labels and inputs on networks trained from scratch (Zhang et al.)."""

import itertools
import math
from collections.abc import Callable, Iterator

from rl_keras.papers.claim import Effect, effect_of
from rl_keras.results.quantities import first_steps, read_losses
from rl_keras.results.runs import Variants
from rl_keras.results.variants import RANDOM, TRUE, by_network, comparable, condition

TEST = "final_test_accuracy_true"  # of summary.csv


def train_accuracy(found: Variants) -> list[Effect]:
    """Measures the train accuracy at the end, in per cent, on labels that had to be memorised."""
    return _memorised(found, "final_train_accuracy", lambda results: 0)


def beyond_chance(found: Variants) -> list[Effect]:
    """Measures the test accuracy after such labels, less the chance level, in points."""
    return _memorised(found, TEST, lambda results: 1 / results.num_classes)


def slower(slow: str, fast: str = "") -> Callable[[Variants], list[Effect]]:
    """Measures how many times as many steps one condition takes to a loss of 0.1, in doublings.

    Args:
        slow: condition whose steps are to be more, see `condition`; empty for each of the others.
        fast: condition whose steps are to be fewer; likewise.
    """

    def measure(found: Variants) -> list[Effect]:
        return [
            effect_of(about, {seed: math.log2(r) for seed, r in ratios.items() if r > 0}, planned)
            for about, ratios, planned in _ratios(found, slow, fast)
        ]

    return measure


def times_as_long(found: Variants) -> list[Effect]:
    """Measures how many times as many steps random labels take as true ones."""
    return [
        effect_of(about, ratios, planned) for about, ratios, planned in _ratios(found, RANDOM, TRUE)
    ]


def error_rises(found: Variants) -> list[Effect]:
    """Measures the least rise of the test error from one level of corruption to the next.

    In percentage points, for each network of a run whose variants differ in the corruption.
    """
    effects = []
    for network, variants in by_network(found).items():
        ordered = [
            (p, results)
            for p, _, results in variants
            if results.config.data.input_corruption == "none"
        ]
        levels = [p for p, _ in ordered]
        if len(levels) < 3 or len(set(levels)) < len(levels):
            continue
        right = [_final(results, TEST) for _, results in ordered]
        seeds = [seed for seed in right[0] if all(seed in own for own in right)]
        rises = {
            seed: min(100 * (low[seed] - high[seed]) for low, high in itertools.pairwise(right))
            for seed in seeds
        }
        effects.append(effect_of(network, rises, len(ordered[0][1].config.run.seeds)))
    return effects


def _ratios(found, slow, fast) -> Iterator[tuple[str, dict[int, float], int]]:
    """Steps of a slow over those of a fast condition, by seed, for each pair of conditions.

    Only variants are compared that differ in nothing else.
    """
    groups = comparable({name: r for name, r in found.items() if _has_cross_entropy(r)})
    for group in groups:
        steps = {what: first_steps(read_losses(found[name])) for what, name in group.items()}
        slows = [slow] if slow else list(steps)
        fasts = [fast] if fast else list(steps)
        for one, other in itertools.product(slows, fasts):
            if one == other or not steps.get(one) or not steps.get(other):
                continue
            mine, its = steps[one], steps[other]
            ratios = {seed: mine[seed] / its[seed] for seed in mine if seed in its}
            where = f"{group[one]}: " if len(groups) > 1 else ""
            planned = len(found[group[one]].config.run.seeds)
            yield f"{where}{one} against {other}", ratios, planned


def _has_cross_entropy(results):
    """The level of the loss is one of cross entropy."""
    return results.config.upstream.loss == "cross_entropy"


def _memorised(found, column, level):
    """A column of what had to fit random labels, less a level, in per cent."""
    effects = []
    for name, results in found.items():
        if results.config.run.require_fit and condition(results) == RANDOM:
            less = level(results)
            values = {seed: 100 * (own - less) for seed, own in _final(results, column).items()}
            planned = len(results.config.run.seeds)
            effects += [effect_of(name or RANDOM, values, planned)] if values else []
    return effects


def _final(results, column) -> dict[int, float]:
    found = {
        key.seed: results.finished[key]["summary"].get(column) for key in results.upstream_keys
    }
    return {seed: float(value) for seed, value in found.items() if value is not None}


def kernel_beyond_chance(found: Variants) -> list[Effect]:
    """Measures by how much the Gaussian kernel's interpolant errs less than chance, in points.

    It is on the images, which all variants share, so the first one with true labels is taken.
    """
    for results in _with_true_labels(found).values():
        errors = _by_seed(results, "minimum_norm/gaussian/test_error")
        if errors:
            chance = 1 - 1 / results.num_classes
            values = {seed: 100 * (chance - error) for seed, error in errors.items()}
            return [effect_of("images", values, len(results.config.run.seeds))]
    return []


def larger_norm_errs_less(found: Variants) -> list[Effect]:
    """Measures how much less the interpolant of the larger norm errs, of two kinds of features."""
    own = {
        name: {
            what: _by_seed(results, f"minimum_norm/linear/{what}")
            for what in ("norm", "test_error")
        }
        for name, results in _with_true_labels(found).items()
    }
    own = {name: records for name, records in own.items() if all(records.values())}
    if len(own) != 2:
        return []
    small, large = sorted(own, key=lambda name: max(own[name]["norm"].values()))
    values = {
        seed: 100 * (error - own[large]["test_error"][seed])
        for seed, error in own[small]["test_error"].items()
        if seed in own[large]["test_error"]
    }
    planned = len(found[small].config.run.seeds)
    return [effect_of(f"{small} against {large}", values, planned)]


def _with_true_labels(found):
    return {name: results for name, results in found.items() if condition(results) == TRUE}


def _by_seed(results, path) -> dict[int, float]:
    stages = {key.seed: results.arrays(key) for key in results.keys("upstream", "true")}
    return {seed: float(arrays[path]) for seed, arrays in stages.items() if path in arrays}
