"""The filters of all seeds taken together: at the end of training, and at every step of it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rl_keras.results.runs import Results
from rl_keras.science.alignment import filter_covariance, misalignment, random_basis, sampling_floor
from rl_keras.science.eigenspaces import Eigenspaces, covariance_of, eigenspaces
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

NUM_DRAWS = 500  # in the test at every step
_NUM_END_DRAWS = 199  # in the test at the end
_NUM_BASES = 20  # how many random bases, at the end
_MOST_DIMENSIONS = 400  # with more nobody can read the matrix, and matching takes minutes
_MOST_STEP_DIMENSIONS = 150  # with more the draws take minutes
_SAME = 1e-6  # relative difference up to which two covariances of the data count as equal


@dataclass(frozen=True)
class Score:
    """The misalignment of the pooled filters in nats, and what to compare it with.

    Attributes:
        misalignment: with the eigenvectors of the data.
        low: lower end of its 95% interval over runs, NaN for a single run.
        high: upper end.
        floor: mean of as many aligned Gaussian filters.
        random: misalignments with some random bases.
        flips: test against the filters of whole runs turned at random; `None` for a single run.
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
    path = results.first_layer("alignment")
    filters, axes, notes = _end_filters(results, f"alignment/{path}")
    if not filters:
        return None, [*notes, "filters: there are none to show; measure the alignment of a layer"]
    dim = next(iter(filters.values())).shape[1]
    if dim > _MOST_DIMENSIONS:
        return None, [
            *notes,
            f"filters: those of {path} have {dim} entries; at most {_MOST_DIMENSIONS} can be shown",
        ]
    layer = _pooled(path, _image_shape_of(results, path, dim), filters, next(iter(axes.values())))
    return layer, notes + _notes(layer)


def _end_filters(results, prefix):
    """The last filters and the axes of the data by seed, without seeds that diverged; notes."""
    filters, axes, notes = {}, {}, []
    for key in results.upstream_keys:
        arrays = results.arrays(key)
        names = [f"{prefix}/{name}" for name in ("filters", "eigenvalues", "eigenvectors")]
        if not arrays.keys() >= set(names):
            continue
        if all(np.isfinite(arrays[name]).all() for name in names):
            filters[key.seed], axes[key.seed] = arrays[names[0]], data_axes(arrays, prefix)
        else:
            notes.append(f"left out, since not finite: {key.name} {names[0]}")
    return filters, axes, notes + _note_on_other_data("filters", axes)


def data_axes(arrays: Mapping[str, np.ndarray], prefix: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns the eigenvalues `(d,)` and eigenvectors `(d, d)` of the data, descending.

    Args:
        arrays: of a stage.
        prefix: such as `"alignment/conv1"`.
    """
    return arrays[f"{prefix}/eigenvalues"], arrays[f"{prefix}/eigenvectors"]


def seeds_of_other_data(axes: Mapping[int, Sequence[np.ndarray]]) -> list[int]:
    """Returns the seeds whose data covariance is not that of the first.

    Args:
        axes: eigenvalues `(d,)` and eigenvectors `(d, d)` by seed.
    """
    covariances = {seed: covariance_of(*eigen) for seed, eigen in axes.items()}
    if not covariances:
        return []
    first = next(iter(covariances.values()))
    tolerance = _SAME * np.abs(first).max()
    return [
        seed
        for seed, covariance in covariances.items()
        if not np.allclose(covariance, first, 0, tolerance)
    ]


def _note_on_other_data(figure, axes):
    others = seeds_of_other_data(axes)
    if not others:
        return []
    return [
        f"{figure}: the data eigenvectors are those of seed {next(iter(axes))}; the data of "
        f"seed {', '.join(map(str, others))} differ"
    ]


def _image_shape_of(results, path, dim):
    """Only the first layer sees the image; deeper ones may have as many entries by chance."""
    first = results.first_layer("activity")
    if results.config.data.is_synthetic or first not in ("", path):
        return None
    return image_shape(dim)


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


def _pooled(path, shape, filters, data):
    runs = list(filters.values())
    values, vectors = data
    rows = np.concatenate(runs)
    spaces = eigenspaces(filter_covariance(rows, require_full_rank=False))
    return PooledLayer(
        path=path,
        shape=shape,
        seeds=tuple(filters),
        rows=rows,
        filters=spaces,
        data=data,
        overlaps=squared_overlaps(spaces.vectors, vectors),
        match=matched(spaces.vectors, vectors),
        null=matched_null(len(values), seeds=range(_NUM_BASES)),
        score=_score(runs, eigenspaces(covariance_of(values, vectors))),
    )


def _score(runs, spaces):
    rows = np.concatenate(runs)
    if len(rows) <= rows.shape[1]:
        return None
    cov = filter_covariance(rows)
    random = random_basis_distribution(cov, seeds=range(_NUM_BASES))
    if len(runs) == 1:
        value = misalignment(spaces, cov)
        return Score(value, math.nan, math.nan, sampling_floor(*rows.shape), random)
    pooled = pool_runs(runs, spaces, interval="jackknife")
    ends = pooled.misalignment_low, pooled.misalignment_high
    run_of_filter = np.repeat(np.arange(len(runs)), [len(filters) for filters in runs])
    rng = np.random.default_rng(0)
    flips = sign_flip_test(rows, spaces, _NUM_END_DRAWS, rng, runs=run_of_filter)
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
        The misalignments, or `None` if there is nothing to show, and notes for the reader.
    """
    layer = results.first_layer("alignment")
    prefix = f"alignment/{layer}"
    stack = results.stack(results.upstream_keys, prefix, "filters_by_step")
    if not stack:
        return None, ["proposition1: no filters were kept along the way; set --keep_filters"]
    seeds, _, filters = stack
    runs, _, num, dim = filters.shape
    if runs * num <= dim or dim > _MOST_STEP_DIMENSIONS:
        return None, [
            f"proposition1: {layer} has {runs * num} filters in {dim} dimensions; it needs more "
            f"filters than dimensions, of which there may be {_MOST_STEP_DIMENSIONS}"
        ]
    keys = [key for key in results.upstream_keys if key.seed in seeds]
    axes = {key.seed: data_axes(results.arrays(key), prefix) for key in keys}
    accuracies = list(results.summaries(keys, "final_train_accuracy").values())
    steps = _pooled_steps(results, layer, stack, axes[seeds[0]][1], np.mean(accuracies))
    return steps, _note_on_other_data("proposition1", axes)


def _pooled_steps(results, layer, stack, vectors, accuracy):
    seeds, steps, filters = stack
    runs, _, num, dim = filters.shape
    moments = run_moments(filters)
    names = range(results.config.measure.random_bases)
    bases = [random_basis(dim, derive_seed(0, "pooled_bases", name)) for name in names]
    pooled, test, random_p_values = moments.mean(axis=0), None, np.array([])
    if runs > 1:
        rng = np.random.default_rng(derive_seed(0, "run_flips"))
        test = run_flip_test(_in_basis(moments, vectors), NUM_DRAWS, rng)
        last = np.stack([_in_basis(moments[:, -1], basis) for basis in bases], axis=1)
        random_p_values = run_flip_test(last, NUM_DRAWS, rng).p_values
    return PooledSteps(
        layer=layer,
        labels=results.config.upstream.labels[0],
        seeds=seeds,
        num_filters=runs * num,
        train_accuracy=float(accuracy),
        steps=steps,
        data=axis_misalignments(_in_basis(pooled, vectors)),
        random=np.array([axis_misalignments(_in_basis(pooled, basis)) for basis in bases]),
        test=test,
        random_p_values=random_p_values,
    )


def _in_basis(moments, basis):
    return basis.T @ moments @ basis
