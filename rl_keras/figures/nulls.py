"""The null of the misalignment: the band of aligned filters, and p-values at the end of training.

The band and the p-value of a seed come from flipping each filter by itself, which takes the
filters of a run for independent. Those of a run share labels and later layers, so a small
p-value there may speak of that dependence. From five seeds on there is also one p-value of
all of them, for which whole runs are flipped; only the runs need to be independent.
"""

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np

from rl_keras.figures.curves import Curve, mean_curve
from rl_keras.figures.pooled_filters import seeds_of_other_data
from rl_keras.figures.reading import Results
from rl_keras.science.eigenspaces import Eigenspaces
from rl_keras.science.nulls import sign_flip_test
from rl_keras.seeds import derive_seed
from rl_keras.storage import StageKey

MIN_POOLED = 5  # seeds; fewer whole runs are too few to tell filters apart
_SINGLE_DRAWS, _POOLED_DRAWS = 99, 499
_MOST_DIMENSIONS = 100  # beyond, the draws take minutes
_MOST_NAMED = 6  # p-values in the small print


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


def p_value_text(curves: Iterable[Curve], variant: str = "") -> str:
    """Returns the p-values at the end, for the small print; empty if there are none."""
    texts = []
    for curve in curves:
        if curve.quantity.endswith("/p_value"):
            values = np.sort(curve.values[:, 0])
            if len(values) > _MOST_NAMED:
                shown = f"{values[0]:.2g} to {values[-1]:.2g}, median {np.median(values):.2g}"
            else:
                shown = ", ".join(f"{value:.2g}" for value in curve.values[:, 0])
            texts.append(f"{shown} (single filters flipped)")
        elif curve.quantity.endswith("/pooled_p_value"):
            texts.append(f"{curve.mean[0]:.2g} (all seeds, whole runs flipped)")
    if not texts:
        return ""
    name = f", {variant}" if variant else ""
    return f" p of the data basis at the end{name}: {'; '.join(texts)}."


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
