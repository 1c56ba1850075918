"""Effects of randomised labels and inputs on a network trained from scratch (Zhang et al.)."""

import itertools
import math
from collections.abc import Callable, Iterator

from rl_keras.claims.claim import Effect, Found, effect_of
from rl_keras.claims.conditions import RANDOM, TRUE, comparable, condition
from rl_keras.figures.across import by_network
from rl_keras.figures.losses import first_steps, read_losses

TEST = "final_test_accuracy_true"  # of summary.csv


def train_accuracy(found: Found) -> list[Effect]:
    """Measures the train accuracy at the end, in per cent, on labels that had to be memorised."""
    return _memorised(found, "final_train_accuracy", lambda results: 0)


def beyond_chance(found: Found) -> list[Effect]:
    """Measures the test accuracy after such labels, less the chance level, in points."""
    return _memorised(found, TEST, lambda results: 1 / results.num_classes)


def slower(slow: str, fast: str = "") -> Callable[[Found], list[Effect]]:
    """Measures how many times as many steps one condition takes to a loss of 0.1, in doublings.

    Args:
        slow: condition whose steps are to be more, see `condition`; empty for each of the others.
        fast: condition whose steps are to be fewer; likewise.
    """

    def measure(found: Found) -> list[Effect]:
        return [
            effect_of(about, {seed: math.log2(r) for seed, r in ratios.items() if r > 0}, planned)
            for about, ratios, planned in _ratios(found, slow, fast)
        ]

    return measure


def times_as_long(found: Found) -> list[Effect]:
    """Measures how many times as many steps random labels take as true ones."""
    return [
        effect_of(about, ratios, planned) for about, ratios, planned in _ratios(found, RANDOM, TRUE)
    ]


def error_rises(found: Found) -> list[Effect]:
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
