"""The filters of all seeds taken together, at the end of training and at every step."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rl_keras.results.runs import Results
from rl_keras.science.alignment import filter_covariance, misalignment, random_basis, sampling_floor
from rl_keras.science.eigenspaces import Eigenspaces, eigenspaces
from rl_keras.science.nulls import (
    NullTest,
    TrajectoryTest,
    axis_misalignments,
    random_basis_distribution,
    run_flip_test,
    run_moments,
    sign_flip_test,
)
from rl_keras.science.overlap import MatchedBasis, matched, matched_null, squared_overlaps
from rl_keras.science.pooling import pool_runs
from rl_keras.seeds import derive_seed

_NULL_BASES = 20
_NULL_DRAWS = 199
_MOST_DIMENSIONS = 400  # beyond, the matrix cannot be read and matching takes minutes
_SAME = 1e-6  # relative difference up to which two covariances of the data are one
NUM_DRAWS = 500
_MOST_STEP_DIMENSIONS = 150  # beyond, the draws take minutes


@dataclass(frozen=True)
class Score:
    """Misalignment of the pooled filters in nats, its interval over runs, and what it is beside.

    Attributes:
        floor: mean of aligned Gaussian filters.
        random: misalignments with some random bases.
        flips: of the filters of whole runs turned at random; `None` for a single run.
    """

    misalignment: float
    low: float
    high: float
    floor: float
    random: np.ndarray
    flips: NullTest | None = None


@dataclass(frozen=True)
class PooledLayer:
    """What Figure 3 shows of one layer.

    Attributes:
        path: of the layer.
        shape: `(height, width, channels)` of a filter, or `None` if it is no image.
        seeds: of the pooled runs.
        rows: `(n, d)`, the filters of all runs.
        filters: eigenvectors of their uncentred covariance.
        data: eigenvalues `(d,)` and eigenvectors `(d, d)` of the layer's input.
        overlaps: `(d, d)`, squared, a row for each eigenvector of the filters.
        match: eigenvectors of the data, matched with those of the filters.
        null: mean matched overlap of each of some random bases.
        score: `None` with no more filters than dimensions.
    """

    path: str
    shape: tuple[int, int, int] | None
    seeds: tuple[int, ...]
    rows: np.ndarray
    filters: Eigenspaces
    data: tuple[np.ndarray, np.ndarray]
    overlaps: np.ndarray
    match: MatchedBasis
    null: np.ndarray
    score: Score | None


def read_layer(results: Results) -> tuple[PooledLayer | None, list[str]]:
    """Pools the first measured layer over the finished upstream runs.

    Args:
        results: of the upstream stages.

    Returns:
        The layer, or `None` if there is nothing to show, and notes for the reader.
    """
    notes: list[str] = []
    for path in results.layers("alignment")[:1]:
        found, notes = _runs(results, f"alignment/{path}")
        if found:
            dim = next(iter(found.values()))[0].shape[1]
            if dim > _MOST_DIMENSIONS:
                return None, [
                    *notes,
                    f"filters: those of {path} have {dim} entries; at most {_MOST_DIMENSIONS} can "
                    "be shown",
                ]
            layer = _pooled(path, _shape(results, path, dim), found)
            return layer, notes + _notes(layer)
    return None, [*notes, "filters: there are none to show; measure the alignment of a layer"]


def image_shape(dim: int) -> tuple[int, int, int] | None:
    """Returns the square layout of a filter that sees an image, in colour or grey.

    Example:
        >>> image_shape(75), image_shape(9), image_shape(30)
        ((5, 5, 3), (3, 3, 1), None)
    """
    for channels in (3, 1):
        side = math.isqrt(dim // channels)
        if channels * side * side == dim:
            return side, side, channels
    return None


def _runs(results, prefix):
    """Filters, eigenvalues and eigenvectors by seed, without seeds that diverged."""
    found, notes = {}, []
    for key in results.upstream_keys:
        arrays = results.arrays(key)
        names = [f"{prefix}/{name}" for name in ("filters", "eigenvalues", "eigenvectors")]
        if not arrays.keys() >= set(names):
            continue
        own = [arrays[name] for name in names]
        if all(np.isfinite(values).all() for values in own):
            found[key.seed] = own
        else:
            notes.append(f"left out, since not finite: {key.name} {names[0]}")
    other = seeds_of_other_data({seed: own[1:] for seed, own in found.items()})
    if other:
        notes.append(
            f"filters: the data eigenvectors are those of seed {next(iter(found))}; the data of "
            f"seed {', '.join(map(str, other))} differ"
        )
    return found, notes


def seeds_of_other_data(found: Mapping[int, Sequence[np.ndarray]]) -> list[int]:
    """Returns the seeds whose data covariance is not that of the first.

    Args:
        found: eigenvalues `(d,)` and eigenvectors `(d, d)` by seed.
    """
    covariances = {seed: _covariance(*own) for seed, own in found.items()}
    if not found:
        return []
    first = next(iter(covariances.values()))
    room = _SAME * np.abs(first).max()
    return [
        seed
        for seed, covariance in covariances.items()
        if not np.allclose(covariance, first, 0, room)
    ]


def _covariance(values, vectors):
    return (vectors * values) @ vectors.T


def _shape(results, path, dim):
    """Only the first layer sees the image; deeper ones may have as many entries by chance."""
    tracked = results.layers("activity")[:1]
    if results.config.data.dataset == "gaussian" or (tracked and tracked != [path]):
        return None
    return image_shape(dim)


def _pooled(path, shape, found):
    runs = [own[0] for own in found.values()]
    values, vectors = next(iter(found.values()))[1:]
    rows = np.concatenate(runs)
    filters = eigenspaces(filter_covariance(rows, require_full_rank=False))
    return PooledLayer(
        path=path,
        shape=shape,
        seeds=tuple(found),
        rows=rows,
        filters=filters,
        data=(values, vectors),
        overlaps=squared_overlaps(filters.vectors, vectors),
        match=matched(filters.vectors, vectors),
        null=matched_null(len(values), seeds=range(_NULL_BASES)),
        score=_score(runs, eigenspaces(_covariance(values, vectors))),
    )


def _score(runs, spaces):
    rows = np.concatenate(runs)
    if len(rows) <= rows.shape[1]:
        return None
    cov = filter_covariance(rows)
    random = random_basis_distribution(cov, seeds=range(_NULL_BASES))
    if len(runs) == 1:
        value = misalignment(spaces, cov)
        return Score(value, math.nan, math.nan, sampling_floor(*rows.shape), random)
    pooled = pool_runs(runs, spaces, interval="jackknife")
    ends = pooled.misalignment_low, pooled.misalignment_high
    of_run = np.repeat(np.arange(len(runs)), [len(own) for own in runs])
    generator = np.random.default_rng(0)
    flips = sign_flip_test(rows, spaces, _NULL_DRAWS, generator, runs=of_run)
    return Score(pooled.misalignment, *ends, pooled.floor, random, flips)


def _notes(layer):
    num, dim = layer.rows.shape
    notes = []
    if layer.shape is None:
        notes.append(
            f"filters: those of {layer.path} cannot be shown as images; --alignment_layers must "
            "name the first layer of a network that sees images"
        )
    if layer.score is None:
        notes.append(
            f"filters: {num} filters in {dim} dimensions leave {max(dim - num, 0)} eigenvectors "
            "undetermined and the misalignment undefined; raise --seeds"
        )
    return notes


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
    if runs * num <= dim or dim > _MOST_STEP_DIMENSIONS:
        return None, [
            f"proposition1: {layer} has {runs * num} filters in {dim} dimensions; it needs more "
            f"filters than dimensions, of which there may be {_MOST_STEP_DIMENSIONS}"
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
    return _pooled_steps(results, layer, stack, axes[seeds[0]][1], np.mean(accuracy)), notes


def _pooled_steps(results, layer, stack, vectors, accuracy):
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
