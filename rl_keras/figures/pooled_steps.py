"""The filters of all seeds taken together at every step, beside a null over whole runs."""

from dataclasses import dataclass

import numpy as np

from rl_keras.figures.pooled_filters import seeds_of_other_data
from rl_keras.figures.reading import Results
from rl_keras.science.alignment import random_basis
from rl_keras.science.trajectories import (
    TrajectoryTest,
    axis_misalignments,
    run_flip_test,
    run_moments,
)
from rl_keras.seeds import derive_seed

NUM_DRAWS = 500
_MOST_DIMENSIONS = 150  # beyond, the draws take minutes


@dataclass(frozen=True)
class PooledSteps:
    """Misalignments of the pooled filters of one layer while training, in nats.

    Attributes:
        layer: its path.
        labels: kind of labels.
        seeds: of the pooled runs.
        num_filters: over all runs.
        train_accuracy: at the end, mean over seeds.
        steps: `(k,)` optimiser steps.
        data: `(k,)` with the eigenvectors of the data.
        random: `(bases, k)` with random bases.
        test: of `data`, `None` for a single run.
        random_p_values: `(bases,)` of the same test of random bases, at the last step.
    """

    layer: str
    labels: str
    seeds: tuple[int, ...]
    num_filters: int
    train_accuracy: float
    steps: np.ndarray
    data: np.ndarray
    random: np.ndarray
    test: TrajectoryTest | None
    random_p_values: np.ndarray


def read_steps(results: Results) -> tuple[PooledSteps | None, list[str]]:
    """Pools the kept filters of the first measured layer over the finished upstream runs.

    Args:
        results: of the upstream stages.

    Returns:
        What was found, or `None` if there is nothing to show, and notes for the reader.
    """
    keys = results.upstream_keys
    layer = next(iter(results.layers("alignment")), "")
    stack = results.stack(keys, f"alignment/{layer}", "filters_by_step")
    if not stack:
        return None, ["proposition1: no filters were kept along the way; set --keep_filters"]
    seeds, _, filters = stack
    runs, _, num, dim = filters.shape
    if runs * num <= dim or dim > _MOST_DIMENSIONS:
        return None, [
            f"proposition1: {layer} has {runs * num} filters in {dim} dimensions; it needs more "
            f"filters than dimensions, of which there may be {_MOST_DIMENSIONS}"
        ]
    arrays = {key.seed: results.arrays(key) for key in keys if key.seed in seeds}
    axes = {
        seed: [own[f"alignment/{layer}/{name}"] for name in ("eigenvalues", "eigenvectors")]
        for seed, own in arrays.items()
    }
    notes = []
    if other := seeds_of_other_data(axes):
        notes.append(
            f"proposition1: the data eigenvectors are those of seed {seeds[0]}; the data of seed "
            f"{', '.join(map(str, other))} differ"
        )
    accuracy = [
        results.finished[key]["summary"]["final_train_accuracy"]
        for key in keys
        if key.seed in seeds
    ]
    return _pooled(results, layer, stack, axes[seeds[0]][1], np.mean(accuracy)), notes


def _pooled(results, layer, stack, vectors, accuracy):
    seeds, steps, filters = stack
    runs, _, num, dim = filters.shape
    moments = run_moments(filters)
    names = range(results.config.measure.random_bases)
    bases = [random_basis(dim, derive_seed(0, "pooled_bases", name)) for name in names]
    pooled, test, random_p_values = moments.mean(axis=0), None, np.array([])
    if runs > 1:
        rng = np.random.default_rng(derive_seed(0, "run_flips"))
        test = run_flip_test(_in(vectors, moments), NUM_DRAWS, rng)
        last = np.stack([_in(basis, moments[:, -1]) for basis in bases], axis=1)
        random_p_values = run_flip_test(last, NUM_DRAWS, rng).p_values
    return PooledSteps(
        layer=layer,
        labels=results.config.upstream.labels[0],
        seeds=seeds,
        num_filters=runs * num,
        train_accuracy=float(accuracy),
        steps=steps,
        data=axis_misalignments(_in(vectors, pooled)),
        random=np.array([axis_misalignments(_in(basis, pooled)) for basis in bases]),
        test=test,
        random_p_values=random_p_values,
    )


def _in(basis, moments):
    return basis.T @ moments @ basis
