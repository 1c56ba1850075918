"""Effects of randomised labels and inputs on a network trained from scratch (Zhang et al.)."""

import itertools
import math
from collections.abc import Callable, Iterator

from rl_keras.claims.claim import Effect, Found, effect_of
from rl_keras.config import all_settings, to_values
from rl_keras.figures.across import by_network
from rl_keras.figures.losses import first_steps, read_losses
from rl_keras.figures.reading import Results

TRUE, RANDOM = "true labels", "random labels"
_OF_A_CONDITION = (
    *("upstream_labels", "upstream_num_random_classes", "upstream_corruption"),
    *("upstream_corruption_kind", "input_corruption", "input_corruption_channels"),
)
_FLAGS = tuple(
    setting.flag
    for setting in all_settings()
    if setting.section in ("data", "model", "upstream") and setting.flag not in _OF_A_CONDITION
)


def memorised(column: str) -> Callable[[Found], list[Effect]]:
    """Measures an accuracy at the end, in per cent, on random labels that had to be memorised.

    Args:
        column: of `summary.csv`. Of the test accuracy the chance level is taken off.
    """

    def measure(found: Found) -> list[Effect]:
        effects = []
        for name, results in found.items():
            if not results.config.run.require_fit or condition(results) != RANDOM:
                continue
            values = _final(results, column)
            if values:
                effects.append(_effect(name, results, values))
        return effects

    return measure


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
        right = [_final(results, "final_test_accuracy_true") for _, results in ordered]
        seeds = [seed for seed in right[0] if all(seed in own for own in right)]
        rises = {
            seed: min(100 * (low[seed] - high[seed]) for low, high in itertools.pairwise(right))
            for seed in seeds
        }
        effects.append(effect_of(network, rises, len(ordered[0][1].config.run.seeds)))
    return effects


def condition(results: Results) -> str:
    """Returns what was randomised, such as `random labels` or `gaussian`.

    Nothing where labels and inputs both were, or labels partly: the claims are not about these.
    """
    labels, inputs = results.config.upstream.labels[0], results.config.data.input_corruption
    if inputs != "none":
        return inputs if labels == "true" else ""
    return {"true": TRUE, "random": RANDOM}.get(labels, "")


def _ratios(found, slow, fast) -> Iterator[tuple[str, dict[int, float], int]]:
    """Steps of a slow over those of a fast condition, by seed, for each pair of conditions.

    Only variants are compared that differ in nothing else.
    """
    groups: dict[tuple, dict] = {}
    for variant, results in found.items():
        name, losses = condition(results), read_losses(results)
        if name and losses and results.config.upstream.loss == "cross_entropy":
            found_there = groups.setdefault(_setting(results), {})
            found_there[name] = first_steps(losses), len(results.config.run.seeds), variant
    groups = {key: steps for key, steps in groups.items() if len(steps) > 1}
    for steps in groups.values():
        slows = [slow] if slow else list(steps)
        fasts = [fast] if fast else list(steps)
        for one, other in itertools.product(slows, fasts):
            if one == other or one not in steps or other not in steps:
                continue
            (mine, planned, variant), (its, *_) = steps[one], steps[other]
            ratios = {seed: mine[seed] / its[seed] for seed in mine if seed in its}
            where = f"{variant}: " if len(groups) > 1 else ""
            yield f"{where}{one} against {other}", ratios, planned


def _setting(results) -> tuple:
    """All that a condition leaves as it is."""
    values = to_values(results.config)
    return tuple(values[flag] for flag in _FLAGS)


def _final(results, column) -> dict[int, float]:
    keys = results.keys("upstream", results.config.upstream.labels[0])
    found = {key.seed: results.finished[key] for key in keys}
    values = {seed: report["summary"].get(column) for seed, report in found.items()}
    return {
        seed: float(value) - (1 / found[seed]["num_classes"] if "test" in column else 0)
        for seed, value in values.items()
        if value is not None
    }


def _effect(name, results, values):
    values = {seed: 100 * value for seed, value in values.items()}
    return effect_of(name or RANDOM, values, len(results.config.run.seeds))
