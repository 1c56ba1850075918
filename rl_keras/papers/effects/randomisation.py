"""Effects of randomised labels and inputs on networks trained from scratch (Zhang et al.)."""

import itertools
import math
from collections.abc import Callable, Iterator

from rl_keras.papers.claim import Effect, effect_of
from rl_keras.results.quantities import first_steps, read_losses
from rl_keras.results.runs import Variants
from rl_keras.results.variants import RANDOM, TRUE, by_network, comparable, condition

TEST = "final_test_accuracy_true"  # of summary.csv


def train_accuracy(variants: Variants) -> list[Effect]:
    """Measures the train accuracy at the end, in per cent, on labels that had to be memorised."""
    return _of_memorised(variants, "final_train_accuracy", lambda results: 0)


def beyond_chance(variants: Variants) -> list[Effect]:
    """Measures the test accuracy after such labels, less the chance level, in points."""
    return _of_memorised(variants, TEST, lambda results: 1 / results.num_classes)


def _of_memorised(variants, column, level):
    """A column of `summary.csv` less a level, in per cent, for random labels to be fitted."""
    effects = []
    for name, results in variants.items():
        if results.config.run.require_fit and condition(results) == RANDOM:
            subtracted = level(results)
            cells = results.summaries(results.upstream_keys, column)
            values = {seed: 100 * (cell - subtracted) for seed, cell in cells.items()}
            if values:
                effects.append(effect_of(name or RANDOM, values, results.num_planned_seeds))
    return effects


def slower(slow: str, fast: str = "") -> Callable[[Variants], list[Effect]]:
    """Measures how many times as many steps one condition takes to a loss of 0.1, in doublings.

    Args:
        slow: condition whose steps are to be more, see `variants.condition`; empty for each of
            the others.
        fast: condition whose steps are to be fewer; likewise.
    """

    def measure(variants: Variants) -> list[Effect]:
        return [
            effect_of(text, {seed: math.log2(r) for seed, r in ratios.items() if r > 0}, planned)
            for text, ratios, planned in _step_ratios(variants, slow, fast)
        ]

    return measure


def times_as_long(variants: Variants) -> list[Effect]:
    """Measures how many times as many steps random labels take as true ones."""
    return [
        effect_of(text, ratios, planned)
        for text, ratios, planned in _step_ratios(variants, RANDOM, TRUE)
    ]


def _step_ratios(variants, slow, fast) -> Iterator[tuple[str, dict[int, float], int]]:
    """Steps of a slow over those of a fast condition, by seed, for each pair of conditions.

    Only variants are compared that differ in nothing else. The level of the loss is one of
    cross entropy, so others are left out.
    """
    with_cross_entropy = {
        name: results
        for name, results in variants.items()
        if results.config.upstream.loss == "cross_entropy"
    }
    groups = comparable(with_cross_entropy)
    for group in groups:
        steps = {what: first_steps(read_losses(variants[name])) for what, name in group.items()}
        pairs = itertools.product([slow] if slow else steps, [fast] if fast else steps)
        for one, other in pairs:
            if one == other or not steps.get(one) or not steps.get(other):
                continue
            ratios = {
                seed: step / steps[other][seed]
                for seed, step in steps[one].items()
                if seed in steps[other]
            }
            prefix = f"{group[one]}: " if len(groups) > 1 else ""
            planned = variants[group[one]].num_planned_seeds
            yield f"{prefix}{one} against {other}", ratios, planned


def error_rises(variants: Variants) -> list[Effect]:
    """Measures the least rise of the test error from one level of corruption to the next.

    In percentage points, for each network of a run whose variants differ in the corruption.
    """
    effects = []
    for network, members in by_network(variants).items():
        ordered = [
            (corruption, results)
            for corruption, _, results in members
            if results.config.data.input_corruption == "none"
        ]
        levels = [corruption for corruption, _ in ordered]
        if len(levels) < 3 or len(set(levels)) < len(levels):
            continue
        accuracies = [results.summaries(results.upstream_keys, TEST) for _, results in ordered]
        seeds = [seed for seed in accuracies[0] if all(seed in by_seed for by_seed in accuracies)]
        rises = {
            seed: min(
                100 * (low[seed] - high[seed]) for low, high in itertools.pairwise(accuracies)
            )
            for seed in seeds
        }
        effects.append(effect_of(network, rises, ordered[0][1].num_planned_seeds))
    return effects


def kernel_beyond_chance(variants: Variants) -> list[Effect]:
    """Measures by how much the Gaussian kernel's interpolant errs less than chance, in points.

    It is on the images, which all variants share, so the first one with true labels is taken.
    """
    for results in _with_true_labels(variants).values():
        errors = _by_seed(results, "minimum_norm/gaussian/test_error")
        if errors:
            chance = 1 - 1 / results.num_classes
            values = {seed: 100 * (chance - error) for seed, error in errors.items()}
            return [effect_of("images", values, results.num_planned_seeds)]
    return []


def larger_norm_errs_less(variants: Variants) -> list[Effect]:
    """Measures how much less the interpolant of the larger norm errs, of two kinds of features."""
    norms, errors = {}, {}
    for name, results in _with_true_labels(variants).items():
        norm, error = (
            _by_seed(results, f"minimum_norm/linear/{what}") for what in ("norm", "test_error")
        )
        if norm and error:
            norms[name], errors[name] = norm, error
    if len(norms) != 2:
        return []
    small, large = sorted(norms, key=lambda name: max(norms[name].values()))
    values = {
        seed: 100 * (error - errors[large][seed])
        for seed, error in errors[small].items()
        if seed in errors[large]
    }
    return [effect_of(f"{small} against {large}", values, variants[small].num_planned_seeds)]


def _with_true_labels(variants):
    return {name: results for name, results in variants.items() if condition(results) == TRUE}


def _by_seed(results, path) -> dict[int, float]:
    stages = {key.seed: results.arrays(key) for key in results.keys("upstream", "true")}
    return {seed: float(arrays[path]) for seed, arrays in stages.items() if path in arrays}
