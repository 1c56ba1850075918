"""Energy profiles of the filters of all seeds together, with their fits and p-values."""

from dataclasses import dataclass

import numpy as np

from rl_keras.errors import UsageError
from rl_keras.results.pooled_filters import data_axes, seeds_of_other_data
from rl_keras.results.runs import Results
from rl_keras.science.eigenspaces import Eigenspaces, above_rounding, eigenspaces
from rl_keras.science.profiles import (
    ProfileFit,
    compare_profiles,
    energy_profile,
    hump_test,
    rotation_test,
)
from rl_keras.seeds import derive_seed
from rl_keras.storage.run_folder import StageKey

NUM_DRAWS = 499
_MOST_DIMENSIONS = 150  # with more the draws take minutes


@dataclass(frozen=True)
class Profile:
    """The energy profile of one layer after training.

    Attributes:
        kind: `"filters"`, or `"change"` with the filters before training subtracted.
        layer: its path.
        key: any stage that it is of.
        step: optimiser steps done.
        seeds: of the runs.
        eigenvalues: `(d,)` of the data, descending.
        by_seed: `(seeds, d)` profiles e of each run.
        pooled: `(d,)` profile of the filters of all runs together.
        fits: `ProfileFit` of the pooled one by name, from `compare_profiles`.
        hump_p: p-value of `hump_test` on the pooled one.
        rotation_p: of `rotation_test` on the filters of all runs.
    """

    kind: str
    layer: str
    key: StageKey
    step: int
    seeds: tuple[int, ...]
    eigenvalues: np.ndarray
    by_seed: np.ndarray
    pooled: np.ndarray
    fits: dict[str, ProfileFit]
    hump_p: float
    rotation_p: float


def read_profiles(results: Results, tests: bool = True) -> tuple[list[Profile], list[str]]:
    """Returns the profiles of the first measured layer upstream, and notes for the reader.

    Args:
        results: of the upstream stages.
        tests: whether to draw the nulls, which takes seconds; the p-values are NaN without.
    """
    keys = results.upstream_keys
    layer = results.first_layer("alignment")
    prefix = f"alignment/{layer}"
    stages = {k: results.arrays(k) for k in keys if f"{prefix}/filters" in results.arrays(k)}
    stages = {k: a for k, a in stages.items() if np.isfinite(a[f"{prefix}/filters"]).all()}
    if not stages:
        return [], ["energy_profile: no filters were kept"]
    others = seeds_of_other_data(
        {key.seed: data_axes(arrays, prefix) for key, arrays in stages.items()}
    )
    stages = {key: arrays for key, arrays in stages.items() if key.seed not in others}
    notes = []
    if others:
        left_out = ", ".join(map(str, others))
        notes.append(f"energy_profile: left out, since their data differ: seed {left_out}")
    profiles = []
    for kind in ("filters", "change"):
        try:
            profiles += _profile(kind, layer, stages, tests)
        except UsageError as error:
            notes.append(f"energy_profile: no profile of the {kind}: {error}")
    if any(f"{prefix}/filters_by_step" not in arrays for arrays in stages.values()):
        notes.append(
            "energy_profile: the filters before training are not known; set --keep_filters"
        )
    return profiles, notes


def _profile(kind, layer, stages, tests):
    """One profile, or none if the filters before training were not kept."""
    prefix = f"alignment/{layer}"
    runs = list(stages.values())
    spaces, vectors = _varying_axes(runs[0], prefix)
    rows = [arrays[f"{prefix}/filters"] @ vectors for arrays in runs]
    initial = [None] * len(rows)
    if kind == "change":
        if any(f"{prefix}/filters_by_step" not in arrays for arrays in runs):
            return []
        initial = [a[f"{prefix}/filters_by_step"][0].astype(float) @ vectors for a in runs]
    by_seed = [energy_profile(r, spaces, i).values for r, i in zip(rows, initial, strict=True)]
    together = np.concatenate(rows)
    before = None if initial[0] is None else np.concatenate(initial)
    pooled = energy_profile(together, spaces, before)
    rng = np.random.default_rng(derive_seed(0, "energy_profile", kind))
    hump = rotation = np.nan
    if tests and len(spaces.values) <= _MOST_DIMENSIONS:
        rotation = rotation_test(together, spaces, NUM_DRAWS, rng, before).p_value
    if tests:
        hump = hump_test(pooled, NUM_DRAWS, rng).p_value
    return [
        Profile(
            kind=kind,
            layer=layer,
            key=next(iter(stages)),
            step=int(runs[0][f"{prefix}/step"][-1]),
            seeds=tuple(key.seed for key in stages),
            eigenvalues=pooled.eigenvalues,
            by_seed=np.array(by_seed),
            pooled=pooled.values,
            fits=compare_profiles(pooled),
            hump_p=hump,
            rotation_p=rotation,
        )
    ]


def _varying_axes(arrays, prefix) -> tuple[Eigenspaces, np.ndarray]:
    """The eigenspaces of the data in the basis of the axes along which they vary; the basis."""
    values, vectors = data_axes(arrays, prefix)
    kept = above_rounding(values)
    return eigenspaces(np.diag(values[kept])), vectors[:, kept]
