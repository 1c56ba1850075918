"""What a run has left so far: finished stages, and their measurements stacked over seeds."""

import contextlib
import math
from collections.abc import Sequence
from dataclasses import replace
from functools import reduce

import numpy as np

from rl_keras.errors import UsageError
from rl_keras.figures.curves import Curve, mean_curve
from rl_keras.storage import RunDirectory, StageKey, read_arrays, stage_keys
from rl_keras.variants import variant_names

STAGES = ("upstream", "downstream")
_MAX_NAMED = 6  # unfinished stages named in a note


class NothingFinishedError(UsageError):
    """A run has no finished stage of the kind that is to be drawn."""


class Results:
    """The finished stages of a run.

    Args:
        run: the folder.
        stage: `"upstream"` or `"downstream"` to read only these; both by default.

    Attributes:
        config: the configuration of the run.
        finished: what each finished stage reported, by key.
        missing: keys of the stages that are not finished.

    Raises:
        NothingFinishedError: if no stage is finished.
        UsageError: if the folder holds no run, or a damaged one.
    """

    def __init__(self, run: RunDirectory, stage: str = ""):
        self.run = run
        self.config = run.read_config()
        keys = [key for key in stage_keys(self.config) if stage in ("", key.stage)]
        reports = {key: run.read_result(key) for key in keys}
        self.finished = {key: report for key, report in reports.items() if report is not None}
        self.missing = [key for key, report in reports.items() if report is None]
        self._left_out: dict[str, None] = {}
        self._arrays: dict[StageKey, dict[str, np.ndarray]] = {}
        if not self.finished:
            kind = f"{stage} stage" if stage else "stage"
            raise NothingFinishedError(
                f"--workdir must hold a finished {kind} to draw; run it first without "
                f"--mode=draw. Received: {run.path}, where {len(keys)} are not finished"
            )

    @property
    def notes(self) -> list[str]:
        """What the reader of a figure must know: what is not in it."""
        notes = []
        if self.missing:
            names = [key.name for key in self.missing[:_MAX_NAMED]]
            if len(self.missing) > _MAX_NAMED:
                names.append(f"and {len(self.missing) - _MAX_NAMED} more")
            done = f"{len(self.finished)} of {len(self.finished) + len(self.missing)}"
            notes.append(f"drawn from {done} stages; missing: {', '.join(names)}")
        return notes + [f"left out, since not finite: {name}" for name in self._left_out]

    def keys(self, stage: str, labels: str, start: str = "") -> list[StageKey]:
        """Returns the finished stages of this kind, one for each seed."""
        return [
            key
            for key in self.finished
            if (key.stage, key.labels, key.start) == (stage, labels, start)
        ]

    @property
    def upstream_keys(self) -> list[StageKey]:
        """The finished upstream stages, one for each seed."""
        return self.keys("upstream", self.config.upstream.labels[0])

    @property
    def num_classes(self) -> int:
        """Of the labels, as the first finished stage has them."""
        return next(iter(self.finished.values()))["num_classes"]

    def arrays(self, key: StageKey) -> dict[str, np.ndarray]:
        if key not in self._arrays:
            self._arrays[key] = read_arrays(self.run.arrays_path(key))
        return self._arrays[key]

    def layers(self, kind: str) -> list[str]:
        """Returns the layers measured by `"alignment"` or `"activity"`, in network order."""
        names = (name for key in self.finished for name in self.arrays(key))
        found = (name for name in names if name.startswith(f"{kind}/") and name.endswith("/step"))
        return list(dict.fromkeys(name[len(kind) + 1 : -len("/step")] for name in found))

    def stack(self, keys: Sequence[StageKey], prefix: str, name: str):
        """Stacks one measurement over stages, at the steps that all of them have.

        Args:
            keys: stages that differ only in their seed.
            prefix: such as `"probe/train"` or `"alignment/conv1"`.
            name: such as `"accuracy"`.

        Returns:
            Seeds, steps `(k,)` and values `(seeds, k, ...)`, or `None` if no
            stage has the measurement or they share no step.
        """
        found = {}
        for key in keys:
            arrays = self.arrays(key)
            if f"{prefix}/{name}" not in arrays:
                continue
            if np.isfinite(arrays[f"{prefix}/{name}"]).all():
                found[key.seed] = arrays[f"{prefix}/step"], arrays[f"{prefix}/{name}"]
            else:
                self._left_out[f"{key.name} {prefix}/{name}"] = None
        if not found:
            return None
        steps = reduce(np.intersect1d, [own for own, _ in found.values()])
        values = [value[np.isin(own, steps)] for own, value in found.values()]
        return (tuple(found), steps, np.stack(values)) if len(steps) else None


def read_variants(run: RunDirectory, stage: str = "") -> dict[str, Results]:
    """Returns the results of each variant of a run, or of the run itself, named "".

    Variants without a finished stage are left out.

    Args:
        run: the folder of the whole run.
        stage: as in `Results`.

    Raises:
        UsageError: if nothing is finished.
    """
    names = variant_names(run.read_config())
    if not names:
        return {"": Results(run, stage)}
    found = {}
    for name in names:
        own = RunDirectory(run.path / name)
        if own.config_path.exists():
            with contextlib.suppress(NothingFinishedError):
                found[name] = Results(own, stage)
    if not found:
        raise UsageError(
            "--workdir must hold a variant with a finished stage to draw; run it first without "
            f"--mode=draw. Received: {run.path}"
        )
    return found


def chance_level(results: Results, panel: str, keys: Sequence[StageKey]) -> list[Curve]:
    """Returns the accuracy of guessing, as a level: the same for all of these stages."""
    if not keys:
        return []
    key = replace(keys[0], start="")
    chance = 1 / results.finished[keys[0]]["num_classes"]
    return [mean_curve(panel, key, "chance", [key.seed], math.nan, [chance])]


def footer(*variants: Results, experiment: str = "", bands: bool = True) -> str:
    """Returns the small print of a figure: experiment, data, seeds, and what its bands are.

    Args:
        variants: of what is in the figure; where they differ, all of it is told.
        experiment: its name; that of the first by default.
        bands: whether the figure has any.
    """
    configs = [results.config for results in variants]
    seeds = sorted({key.seed for results in variants for key in results.finished})
    about = [
        _either(config.data.dataset for config in configs),
        _either(config.model.model for config in configs),
        *(_either(_slices(results, stage) for results in variants) for stage in STAGES),
    ]
    probes = _either(str(config.measure.probe_examples) for config in configs)
    return (
        f"{experiment or configs[0].run.experiment}: {', '.join(filter(None, about))}; "
        f"probe sets of {probes}; {_seed_text(seeds, bands)}"
    )


def _either(texts):
    return " or ".join(filter(None, dict.fromkeys(texts)))


def _slices(results, stage):
    """What the stage was trained on; nothing if there is no such stage."""
    if stage == "downstream" and not results.config.transfer.arms:
        return ""
    text = f"{stage} {getattr(results.config, stage).split}"
    sizes = {r["num_examples"] for k, r in results.finished.items() if k.stage == stage}
    return _either(f"{text} ({size} examples)" for size in sizes) or text


def _seed_text(seeds, bands):
    if len(seeds) > _MAX_NAMED:
        text = f"{len(seeds)} seeds"
    elif len(seeds) > 1:
        text = f"seeds {', '.join(map(str, seeds))}"
    else:
        return f"seed {seeds[0]}."
    if not bands:
        return f"{text}."
    return f"{text}. Bands: 95% interval of the mean over seeds; thin lines: single seeds."
