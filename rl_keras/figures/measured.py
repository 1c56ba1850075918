"""Curves of what several figures show: accuracy, steps to an accuracy, alignment."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np

from rl_keras.config import ExperimentConfig, split_arm
from rl_keras.figures.curves import Curve, mean_curve, reached_curve
from rl_keras.figures.nulls import null_curves
from rl_keras.figures.reading import Results, chance_level

_SMALLEST = 1e-10  # eigenvalues below this share of the largest are rounding


def deepest_arms(config: ExperimentConfig) -> list[str]:
    """Returns the downstream arm of each start; of several depths the one with most layers."""
    arms = sorted(config.transfer.arms, key=lambda arm: split_arm(arm)[1] or 0)
    deepest = {split_arm(arm)[0]: arm for arm in arms}
    return [deepest[start] for start in config.transfer.starts if start in deepest]


def depth_text(*variants: Results) -> str:
    """Returns which of several depths is drawn, for the small print; empty without depths."""
    arms = [arm for results in variants for arm in deepest_arms(results.config)]
    depths = sorted({split_arm(arm)[1] for arm in arms} - {None})
    return f" Transferred: the first {' or '.join(map(str, depths))} layers." if depths else ""


def accuracy(
    results: Results, labels: str, arms: Sequence[str], probes: Sequence[str] = ("train", "test")
) -> list[Curve]:
    """Returns the accuracy of each arm on the probes against steps, and the chance level."""
    curves, every = [], []
    for arm in arms:
        keys = results.keys("downstream", labels, arm)
        every += keys
        for probe in probes:
            stack = results.stack(keys, f"probe/{probe}", "accuracy")
            if stack:
                curves.append(mean_curve("accuracy", keys[0], f"{probe}_probe", *stack))
    return curves + chance_level(results, "accuracy", every)


def steps_to(results: Results, labels: str, arms: Sequence[str], percent: int) -> list[Curve]:
    """Returns the steps of each arm to a train accuracy, as levels.

    They are infinite for the seeds that never got there, and then without a mean.
    """
    curves, name = [], f"steps_to_{percent}"
    for arm in arms:
        keys = results.keys("downstream", labels, arm)
        if not keys:
            continue
        cells = [results.finished[key]["summary"][name] for key in keys]
        values = np.array([math.inf if cell in (None, "") else float(cell) for cell in cells])
        seeds = [key.seed for key in keys]
        curves.append(reached_curve(name, keys[0], name, seeds, values))
    return curves


def misalignment(results: Results) -> list[Curve]:
    """Returns the misalignment of the first measured layer upstream, and what to compare it with.

    Bounds are 95% intervals of the mean over seeds; those of `random_basis` are one
    standard deviation over random bases and seeds. The null is that of `nulls.null_curves`.
    """
    keys = results.upstream_keys
    curves = []
    for layer in results.layers("alignment")[:1]:
        prefix = f"alignment/{layer}"
        for name in ("data_basis", "random_basis", "floor"):
            stack = results.stack(keys, prefix, name)
            if stack:
                curve = mean_curve("misalignment", keys[0], f"{layer}/{name}", *stack)
                if name == "random_basis":
                    curve = _with_spread(curve, results.stack(keys, prefix, "random_basis_sd")[2])
                curves.append(curve)
        curves += null_curves(results, keys, layer)
    return curves


def transfer(
    results: Results, choose: Callable[[np.ndarray], Iterable[int]]
) -> tuple[list[Curve], np.ndarray]:
    """Returns the transfer function of the first measured layer upstream, and its initial level.

    Args:
        results: of a run.
        choose: from the measured steps to the places of those that are wanted.

    Returns:
        A curve for each chosen step, then the level, in the panel `transfer`; and
        which directions of the data are in them. The others are rounding.
    """
    keys = results.upstream_keys
    layer = next(iter(results.layers("alignment")), "")
    stack = results.stack(keys, f"alignment/{layer}", "transfer")
    if not stack:
        return [], np.array([], dtype=bool)
    seeds, steps, values = stack
    measured = [results.arrays(key) for key in keys if key.seed in seeds]
    eigenvalues = np.mean([a[f"alignment/{layer}/eigenvalues"] for a in measured], axis=0)
    kept = eigenvalues > _SMALLEST * eigenvalues[0]
    name, eigenvalues, values = f"{layer}/transfer", eigenvalues[kept], values[:, :, kept]
    curves = [
        mean_curve("transfer", keys[0], name, seeds, steps[place], values[:, place], x=eigenvalues)
        for place in choose(steps)
    ]
    start = values[:, 0].mean(axis=1)
    level = mean_curve("transfer", keys[0], f"{layer}/initial_level", seeds, steps[0], start)
    return [*curves, level], kept


def _with_spread(curve, deviations):
    """Bounds of one standard deviation over all random bases of all seeds."""
    spread = np.sqrt(np.mean(deviations**2, axis=0) + np.var(curve.values, axis=0))
    return replace(curve, low=curve.mean - spread, high=curve.mean + spread)
