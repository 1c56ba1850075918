"""Quantities that several figures and claims need, as curves over seeds.

First what happens downstream, then what is measured of the first layer upstream: its
misalignment, what chance would give for it, and its transfer function.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from rl_keras.results.curves import Curve, mean_curve, reached_curve
from rl_keras.results.pooled_filters import data_axes, seeds_of_other_data
from rl_keras.results.runs import MeasuredBySeed, Results
from rl_keras.science.eigenspaces import Eigenspaces, above_rounding
from rl_keras.science.nulls import sign_flip_test
from rl_keras.science.summaries import first_step_reaching
from rl_keras.seeds import derive_seed
from rl_keras.settings.experiment import ExperimentConfig
from rl_keras.settings.transfer import split_arm
from rl_keras.storage.run_folder import StageKey

LEVEL = 0.1  # a network with this loss, in nats, counts as converged
MIN_POOLED = 5  # with fewer runs flips of whole runs can hardly reject anything
_SINGLE_DRAWS, _POOLED_DRAWS = 99, 499
_MOST_DIMENSIONS = 100  # with more the draws take minutes


def accuracy(
    results: Results, labels: str, arms: Sequence[str], probes: Sequence[str] = ("train", "test")
) -> list[Curve]:
    """Returns the accuracy of each arm on the probes against steps, and the chance level."""
    curves, all_keys = [], []
    for arm in arms:
        keys = results.keys("downstream", labels, arm)
        all_keys += keys
        for probe in probes:
            stack = results.stack(keys, f"probe/{probe}", "accuracy")
            if stack:
                curves.append(mean_curve("accuracy", keys[0], f"{probe}_probe", *stack))
    return curves + chance_level(results, "accuracy", all_keys)


def chance_level(results: Results, panel: str, keys: Sequence[StageKey]) -> list[Curve]:
    """Returns the accuracy of guessing, as a level: the same for all of these stages."""
    if not keys:
        return []
    key = replace(keys[0], start="")
    chance = 1 / results.finished[keys[0]]["num_classes"]
    return [mean_curve(panel, key, "chance", [key.seed], math.nan, [chance])]


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


def sorted_units(
    panel: str, key: StageKey, quantity: str, stack: MeasuredBySeed, index: int
) -> Curve:
    """Returns a measurement of the units of a layer from the largest down, sorted in each seed.

    Args:
        panel: as in `mean_curve`, and so are `key` and `quantity`.
        stack: of values `(seeds, steps, units)`, as `Results.stack` returns it.
        index: of the step.

    Returns:
        A curve over the rank of the units in per cent.
    """
    seeds, steps, values = stack
    values = np.sort(values[:, index], axis=1)[:, ::-1]
    percent = 100 * (np.arange(values.shape[1]) + 0.5) / values.shape[1]
    return mean_curve(panel, key, quantity, seeds, steps[index], values, x=percent)


def read_losses(results: Results) -> dict[int, dict[int, float]]:
    """Returns the losses upstream by seed and step, of the seeds that logged any.

    The loss at a step is the mean over the batches since the previous reading.
    """
    losses = {key.seed: results.losses(key) for key in results.upstream_keys}
    return {seed: by_step for seed, by_step in losses.items() if by_step}


def first_steps(losses: Mapping[int, dict[int, float]]) -> dict[int, float]:
    """Returns by seed the first step with a loss of `LEVEL` or less, infinite if there is none.

    Example:
        >>> first_steps({0: {8: 2.3, 16: 0.05}, 1: {8: 2.3, 16: 2.2}})
        {0: 16.0, 1: inf}
    """
    steps = {
        seed: first_step_reaching(list(by_step), [-loss for loss in by_step.values()], -LEVEL)
        for seed, by_step in losses.items()
    }
    return {seed: math.inf if step is None else float(step) for seed, step in steps.items()}


def transfer(
    results: Results, choose: Callable[[np.ndarray], Iterable[int]]
) -> tuple[list[Curve], np.ndarray]:
    """Returns the transfer function of the first measured layer upstream, and its initial level.

    Args:
        results: of a run.
        choose: from the measured steps to the indices of those that are wanted.

    Returns:
        A curve for each chosen step, then the level, in the panel `transfer`; and
        which directions of the data are in them. The others are rounding.
    """
    keys = results.upstream_keys
    layer = results.first_layer("alignment")
    stack = results.stack(keys, f"alignment/{layer}", "transfer")
    if not stack:
        return [], np.array([], dtype=bool)
    seeds, steps, values = stack
    measured = [results.arrays(key) for key in keys if key.seed in seeds]
    eigenvalues = np.mean([a[f"alignment/{layer}/eigenvalues"] for a in measured], axis=0)
    kept = above_rounding(eigenvalues)
    name, eigenvalues, values = f"{layer}/transfer", eigenvalues[kept], values[:, :, kept]
    curves = [
        mean_curve("transfer", keys[0], name, seeds, steps[index], values[:, index], x=eigenvalues)
        for index in choose(steps)
    ]
    start = values[:, 0].mean(axis=1)
    level = mean_curve("transfer", keys[0], f"{layer}/initial_level", seeds, steps[0], start)
    return [*curves, level], kept


def misalignment(results: Results) -> list[Curve]:
    """Returns the misalignment of the first measured layer upstream, and what to compare it with.

    Bounds are 95% intervals of the mean over seeds; those of `random_basis` are one
    standard deviation over random bases and seeds. The null is that of `null_curves`.
    """
    keys, layer = results.upstream_keys, results.first_layer("alignment")
    if not layer:
        return []
    prefix, curves = f"alignment/{layer}", []
    for name in ("data_basis", "random_basis", "floor"):
        stack = results.stack(keys, prefix, name)
        if stack:
            curve = mean_curve("misalignment", keys[0], f"{layer}/{name}", *stack)
            if name == "random_basis":
                curve = _with_spread(curve, results.stack(keys, prefix, "random_basis_sd")[2])
            curves.append(curve)
    return curves + null_curves(results, keys, layer)


def _with_spread(curve, deviations):
    """Bounds of one standard deviation over all random bases of all seeds."""
    spread = np.sqrt(np.mean(deviations**2, axis=0) + np.var(curve.values, axis=0))
    return replace(curve, low=curve.mean - spread, high=curve.mean + spread)


def null_curves(results: Results, keys: Sequence[StageKey], layer: str) -> list[Curve]:
    """Returns what chance gives for the misalignment of one layer, in the panel `misalignment`.

    The quantity `null` is the mean over seeds of the scores of randomly flipped filters; its
    bounds hold 95% of them. `p_value` is a level with a value for each seed at the last step.
    Both flip each filter by itself, as if the filters of a run were independent. But they share
    labels and later layers, so a small p-value may only show that dependence. `pooled_p_value`,
    given from `MIN_POOLED` seeds on, flips the filters of a whole run together and needs
    independent runs only.

    Runs of older versions hold no flips. Of these only the p-values are given, computed
    from the filters, eigenvalues and eigenvectors that they left.

    Args:
        results: of the run.
        keys: stages that differ only in their seed.
        layer: its path.
    """
    prefix = f"alignment/{layer}"
    p_values = {key.seed: _p_value(results.arrays(key), prefix, key.seed) for key in keys}
    p_values = {seed: value for seed, value in p_values.items() if np.isfinite(value)}
    curves = _null_band(results, keys, prefix)
    if not p_values:
        return curves
    runs = [results.arrays(key) for key in keys if key.seed in p_values]
    # P-values of seeds are no sample whose mean or interval would say anything.
    none = np.array([np.nan])
    level = Curve(
        panel="misalignment",
        labels=keys[0].labels,
        start=keys[0].start,
        quantity=f"{layer}/p_value",
        seeds=tuple(p_values),
        steps=np.array([max(arrays[f"{prefix}/step"][-1] for arrays in runs)]),
        x=none,
        values=np.array(list(p_values.values()))[:, None],
        mean=none,
        low=none,
        high=none,
    )
    curves.append(level)
    pooled = np.array([_pooled_p_value(runs, prefix)])
    if np.isfinite(pooled):
        no_values = np.full_like(level.values, np.nan)
        name = f"{layer}/pooled_p_value"
        curves.append(replace(level, quantity=name, values=no_values, mean=pooled))
    return curves


def _null_band(results, keys, prefix) -> list[Curve]:
    names = ("null_mean", "null_low", "null_high")
    drawn = [key for key in keys if _are_finite(results.arrays(key), prefix, names)]
    stacks = [results.stack(drawn, prefix, name) for name in names]
    if not all(stacks):
        return []
    seeds, steps, means = stacks[0]
    low, high = (values.mean(axis=0) for _, _, values in stacks[1:])
    layer = prefix.partition("/")[2]
    curve = mean_curve("misalignment", keys[0], f"{layer}/null", seeds, steps, means)
    return [replace(curve, low=low, high=high)]


def _are_finite(arrays, prefix, names):
    return all(np.isfinite(arrays.get(f"{prefix}/{name}", np.nan)).all() for name in names)


def _p_value(arrays, prefix, seed):
    """The last recorded p-value or, of an older run, one computed from the filters that it left."""
    if f"{prefix}/p_value" in arrays:
        return arrays[f"{prefix}/p_value"][-1]
    rows, scores = _last_filters(arrays, prefix), arrays.get(f"{prefix}/data_basis", [np.nan])
    if rows is None or len(rows) <= rows.shape[1] or not np.isfinite(scores[-1]):
        return np.nan
    rng = np.random.default_rng(derive_seed(seed, "end_sign_flips", prefix))
    return sign_flip_test(rows, stored_eigenspaces(arrays, prefix), _SINGLE_DRAWS, rng).p_value


def _pooled_p_value(runs, prefix):
    filters = [_last_filters(arrays, prefix) for arrays in runs]
    if len(runs) < MIN_POOLED or any(rows is None for rows in filters):
        return np.nan
    pooled = np.concatenate(filters)
    axes = {number: data_axes(arrays, prefix) for number, arrays in enumerate(runs)}
    if len(pooled) <= pooled.shape[1] or seeds_of_other_data(axes):
        return np.nan
    run_of_filter = np.repeat(np.arange(len(filters)), [len(rows) for rows in filters])
    rng = np.random.default_rng(derive_seed(0, "pooled_sign_flips", prefix))
    spaces = stored_eigenspaces(runs[0], prefix)
    return sign_flip_test(pooled, spaces, _POOLED_DRAWS, rng, runs=run_of_filter).p_value


def _last_filters(arrays, prefix):
    """The last filters `(n, d)`, or `None` if they are of no use."""
    rows = arrays.get(f"{prefix}/filters")
    if rows is None or rows.shape[1] > _MOST_DIMENSIONS or not np.isfinite(rows).all():
        return None
    return rows


def stored_eigenspaces(arrays: Mapping[str, np.ndarray], prefix: str) -> Eigenspaces:
    """Returns the eigenspaces of the data that a stage has left.

    Args:
        arrays: of the stage; those of older runs do not tell which eigenvalues are equal.
        prefix: such as `"alignment/conv1"`.
    """
    values, vectors = data_axes(arrays, prefix)
    sizes = arrays.get(f"{prefix}/group_sizes", np.ones(len(values), dtype=int))
    ends = np.cumsum(sizes)
    groups = tuple(slice(int(end - size), int(end)) for end, size in zip(ends, sizes, strict=True))
    return Eigenspaces(values, vectors, groups)
