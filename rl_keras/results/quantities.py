"""Quantities over seeds that several figures and claims need, as curves.

The null of the misalignment comes in two forms. The band and the p-value of a seed come from
flipping each filter by itself, which takes the filters of a run for independent. Those of a
run share labels and later layers, so a small p-value there may speak of that dependence. From
five seeds on there is also one p-value of all of them, for which whole runs are flipped; only
the runs need to be independent.
"""

import dataclasses
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np

from rl_keras.results.curves import Curve, mean_curve, reached_curve
from rl_keras.results.pooled_filters import seeds_of_other_data
from rl_keras.results.runs import Results
from rl_keras.science.eigenspaces import Eigenspaces
from rl_keras.science.nulls import sign_flip_test
from rl_keras.science.summaries import first_step_reaching
from rl_keras.seeds import derive_seed
from rl_keras.settings.experiment import ExperimentConfig
from rl_keras.settings.transfer import split_arm
from rl_keras.storage.run_folder import StageKey

_SMALLEST = 1e-10  # eigenvalues below this share of the largest are rounding
LEVEL = 0.1  # of the loss, in nats; where a network counts as converged
MIN_POOLED = 5  # seeds; fewer whole runs are too few to tell filters apart
_SINGLE_DRAWS, _POOLED_DRAWS = 99, 499
_MOST_DIMENSIONS = 100  # beyond, the draws take minutes


def chance_level(results: Results, panel: str, keys: Sequence[StageKey]) -> list[Curve]:
    """Returns the accuracy of guessing, as a level: the same for all of these stages."""
    if not keys:
        return []
    key = replace(keys[0], start="")
    chance = 1 / results.finished[keys[0]]["num_classes"]
    return [mean_curve(panel, key, "chance", [key.seed], math.nan, [chance])]


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
    standard deviation over random bases and seeds. The null is that of `quantities.null_curves`.
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


def read_losses(results: Results) -> dict[int, dict[int, float]]:
    """Returns the losses upstream by seed and step, of the seeds that logged any.

    The loss at a step is the mean over the batches since the previous reading.
    """
    keys = results.upstream_keys
    found = {key.seed: results.losses(key) for key in keys}
    return {seed: losses for seed, losses in found.items() if losses}


def first_steps(losses: dict[int, dict[int, float]], level: float = LEVEL) -> dict[int, float]:
    """Returns by seed the first step with this loss or less, infinite if there is none.

    Example:
        >>> first_steps({0: {8: 2.3, 16: 0.05}, 1: {8: 2.3, 16: 2.2}})
        {0: 16.0, 1: inf}
    """
    found = {
        seed: first_step_reaching(list(own), [-loss for loss in own.values()], -level)
        for seed, own in losses.items()
    }
    return {seed: math.inf if step is None else float(step) for seed, step in found.items()}


def null_curves(results: Results, keys: Sequence[StageKey], layer: str) -> list[Curve]:
    """Returns the null of one layer, in the panel `misalignment`.

    The quantities are `null`, the mean of the flips, whose bounds hold 95% of them, all of
    them means over seeds; `p_value`, a level with a value for each seed at the last step;
    and `pooled_p_value`, that of all seeds, with at least `MIN_POOLED` of them.

    Runs of older versions hold no flips. Of these only the p-values are given, computed
    from the filters, eigenvalues and eigenvectors that they left.

    Args:
        results: of the run.
        keys: stages that differ only in their seed.
        layer: its path.
    """
    prefix = f"alignment/{layer}"
    runs = {key.seed: results.arrays(key) for key in keys}
    p_values = {seed: _p_value(own, prefix, seed) for seed, own in runs.items()}
    p_values = {seed: value for seed, value in p_values.items() if np.isfinite(value)}
    curves = list(_band(results, keys, prefix))
    if p_values:
        runs = [runs[seed] for seed in p_values]
        level = {
            "panel": "misalignment",
            "labels": keys[0].labels,
            "start": keys[0].start,
            "seeds": tuple(p_values),
            "steps": np.array([max(own[f"{prefix}/step"][-1] for own in runs)]),
            **dict.fromkeys(("x", "low", "high"), np.array([np.nan])),
        }
        # P-values of seeds are no sample whose mean or interval would say anything.
        values, none = np.array(list(p_values.values()))[:, None], np.array([np.nan])
        curves.append(Curve(quantity=f"{layer}/p_value", values=values, mean=none, **level))
        pooled = np.array([_pooled_p_value(runs, prefix)])
        if np.isfinite(pooled):
            values = np.full_like(values, np.nan)
            name = f"{layer}/pooled_p_value"
            curves.append(Curve(quantity=name, values=values, mean=pooled, **level))
    return curves


def _band(results, keys, prefix):
    names = ("null_mean", "null_low", "null_high")
    drawn = [key for key in keys if _has_all(results.arrays(key), prefix, names)]
    stacks = [results.stack(drawn, prefix, name) for name in names]
    if all(stacks):
        seeds, steps, means = stacks[0]
        low, high = (values.mean(axis=0) for _, _, values in stacks[1:])
        layer = prefix.partition("/")[2]
        curve = mean_curve("misalignment", keys[0], f"{layer}/null", seeds, steps, means)
        yield dataclasses.replace(curve, low=low, high=high)


def _has_all(arrays, prefix, names):
    found = [arrays.get(f"{prefix}/{name}", np.array([np.nan])) for name in names]
    return all(np.isfinite(values).all() for values in found)


def _p_value(arrays, prefix, seed):
    """The last one that was recorded or, of an older run, one from the filters it left."""
    if f"{prefix}/p_value" in arrays:
        return arrays[f"{prefix}/p_value"][-1]
    rows, scores = _filters(arrays, prefix), arrays.get(f"{prefix}/data_basis", [np.nan])
    if rows is None or len(rows) <= rows.shape[1] or not np.isfinite(scores[-1]):
        return np.nan
    rng = np.random.default_rng(derive_seed(seed, "end_sign_flips", prefix))
    return sign_flip_test(rows, _spaces(arrays, prefix), _SINGLE_DRAWS, rng).p_value


def _pooled_p_value(runs, prefix):
    filters = [_filters(arrays, prefix) for arrays in runs]
    if len(runs) < MIN_POOLED or any(own is None for own in filters):
        return np.nan
    names = ("eigenvalues", "eigenvectors")
    data = {n: [own[f"{prefix}/{name}"] for name in names] for n, own in enumerate(runs)}
    rows = np.concatenate(filters)
    if len(rows) <= rows.shape[1] or seeds_of_other_data(data):
        return np.nan
    of_run = np.repeat(np.arange(len(filters)), [len(own) for own in filters])
    rng = np.random.default_rng(derive_seed(0, "pooled_sign_flips", prefix))
    spaces = _spaces(runs[0], prefix)
    return sign_flip_test(rows, spaces, _POOLED_DRAWS, rng, runs=of_run).p_value


def _filters(arrays, prefix):
    """The last filters `(n, d)`, or `None` if they are of no use."""
    rows = arrays.get(f"{prefix}/filters")
    if rows is None or rows.shape[1] > _MOST_DIMENSIONS or not np.isfinite(rows).all():
        return None
    return rows


def _spaces(arrays, prefix):
    values, vectors = arrays[f"{prefix}/eigenvalues"], arrays[f"{prefix}/eigenvectors"]
    sizes = arrays.get(f"{prefix}/group_sizes", np.ones(len(values), dtype=int))
    ends = np.cumsum(sizes)
    groups = tuple(slice(int(end - size), int(end)) for end, size in zip(ends, sizes, strict=True))
    return Eigenspaces(values, vectors, groups)
