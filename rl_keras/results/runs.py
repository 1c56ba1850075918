"""Finished runs in a folder: their stages, and measurements stacked over seeds."""

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from rl_keras.errors import UsageError
from rl_keras.settings.experiment import ExperimentConfig
from rl_keras.settings.variants import variant_names
from rl_keras.storage.files import folder
from rl_keras.storage.run_folder import RunDirectory, StageKey, read_arrays, stage_keys

MAX_NAMED = 6  # unfinished stages named in a note
MeasuredBySeed = tuple[tuple[int, ...], np.ndarray, np.ndarray]  # seeds, steps and values


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
        self._left_out: dict[str, None] = {}  # an ordered set of names
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
            names = [key.name for key in self.missing[:MAX_NAMED]]
            if len(self.missing) > MAX_NAMED:
                names.append(f"and {len(self.missing) - MAX_NAMED} more")
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
    def num_planned_seeds(self) -> int:
        """How many seeds the run was asked for, finished or not."""
        return len(self.config.run.seeds)

    @property
    def num_classes(self) -> int:
        """Number of classes of the labels, as the first finished stage has them."""
        return next(iter(self.finished.values()))["num_classes"]

    def summaries(self, keys: Sequence[StageKey], column: str) -> dict[int, float]:
        """Returns a column of `summary.csv` by seed, without seeds whose cell is empty.

        Args:
            keys: stages that differ only in their seed.
            column: such as `"final_test_accuracy"`.
        """
        cells = {key.seed: self.finished[key]["summary"].get(column) for key in keys}
        return {seed: float(cell) for seed, cell in cells.items() if cell is not None}

    def arrays(self, key: StageKey) -> dict[str, np.ndarray]:
        """Returns what a finished stage has measured, by name; read once."""
        if key not in self._arrays:
            self._arrays[key] = read_arrays(self.run.arrays_path(key))
        return self._arrays[key]

    def losses(self, key: StageKey) -> dict[int, float]:
        """Returns the training loss that a finished stage logged, by step."""
        path = self.run.stage_path(key) / "metrics.jsonl"
        rows = (json.loads(line) for line in path.read_text().splitlines())
        return {row["step"]: row["value"] for row in rows if row["name"] == "train/loss"}

    def layers(self, kind: str) -> list[str]:
        """Returns the measured layers in network order.

        Args:
            kind: of the measurement, such as `"alignment"` or `"activity"`.
        """
        names = (name for key in self.finished for name in self.arrays(key))
        steps = (name for name in names if name.startswith(f"{kind}/") and name.endswith("/step"))
        return list(dict.fromkeys(name[len(kind) + 1 : -len("/step")] for name in steps))

    def first_layer(self, kind: str) -> str:
        """Returns the measured layer nearest to the input, empty without any; see `layers`."""
        return next(iter(self.layers(kind)), "")

    def stack(self, keys: Sequence[StageKey], prefix: str, name: str) -> MeasuredBySeed | None:
        """Stacks one measurement over stages, at the steps that all of them have.

        Args:
            keys: stages that differ only in their seed.
            prefix: such as `"probe/train"` or `"alignment/conv1"`.
            name: such as `"accuracy"`.

        Returns:
            Seeds, steps `(k,)` and values `(seeds, k, ...)`, or `None` if no
            stage has the measurement or they share no step.
        """
        measured = {}
        for key in keys:
            arrays = self.arrays(key)
            if f"{prefix}/{name}" not in arrays:
                continue
            if np.isfinite(arrays[f"{prefix}/{name}"]).all():
                measured[key.seed] = arrays[f"{prefix}/step"], arrays[f"{prefix}/{name}"]
            else:
                self._left_out[f"{key.name} {prefix}/{name}"] = None
        if not measured:
            return None
        shared = reduce(np.intersect1d, [steps for steps, _ in measured.values()])
        values = [values[np.isin(steps, shared)] for steps, values in measured.values()]
        return (tuple(measured), shared, np.stack(values)) if len(shared) else None

    def at_step(
        self, keys: Sequence[StageKey], prefix: str, name: str, index: int
    ) -> dict[int, float]:
        """Returns one step of a measurement by seed, empty if `stack` has none.

        Args:
            keys: as in `stack`, and so are `prefix` and `name`.
            index: of the step among those that all seeds have; -1 is the last.
        """
        stack = self.stack(keys, prefix, name)
        return dict(zip(stack[0], stack[2][:, index].tolist(), strict=True)) if stack else {}


# The variants of a run by name, or the run itself, named "".
Variants = Mapping[str, Results]


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
    variants = {}
    for name in names:
        directory = RunDirectory(run.path / name)
        if directory.config_path.exists():
            with contextlib.suppress(NothingFinishedError):
                variants[name] = Results(directory, stage)
    if not variants:
        raise UsageError(
            "--workdir must hold a variant with a finished stage to draw; run it first without "
            f"--mode=draw. Received: {run.path}"
        )
    return variants


@dataclass(frozen=True)
class Run:
    """A run with something finished.

    Attributes:
        name: of its folder.
        directory: the folder.
        config: of the whole run.
        variants: with their results; a run without variants is its own, named "".
    """

    name: str
    directory: RunDirectory
    config: ExperimentConfig
    variants: Variants


def read_runs(workdir: str) -> tuple[list[Run], dict[str, str]]:
    """Reads the runs of a folder.

    Args:
        workdir: the folder of a run, or one that holds such folders.

    Returns:
        The runs by name, and by name why the others cannot be read.

    Raises:
        UsageError: if there is no run with a finished stage.
    """
    top = folder(workdir, "workdir")
    if (top / "config.json").exists():
        return [_read(top)], {}
    runs, left_out = [], {}
    for path in sorted(top.glob("*")) if top.is_dir() else []:
        if not (path / "config.json").exists():
            continue
        try:
            runs.append(_read(path))
        except UsageError as error:
            left_out[path.name] = str(error)
    if not runs:
        many = f", {len(left_out)} runs with nothing to read" if left_out else ""
        raise UsageError(
            "--workdir must hold a run with a finished stage, or folders of such runs; run one "
            f"first without --mode=report. Received: {top}{many}"
        )
    return runs, left_out


def _read(path):
    run = RunDirectory(path)
    return Run(path.name or "run", run, run.read_config(), read_variants(run))
