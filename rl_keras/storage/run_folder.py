"""The one owner of file names: what a run leaves in its folder, and how it is written.

    config.json   flags.cfg   labels/NAME.npz   metrics.jsonl   summary.csv
    arrays/STAGE.npz   figures/NAME.png + .csv   tensorboard/STAGE/   stages/STAGE/

The folder is a local one or lies under gs://. Every file is written whole (see
`files`), so a reader sees the old one or the new one and never half of either. A
stage is finished when `stages/STAGE/result.json` exists, which is written last.
"""

import contextlib
import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from importlib import metadata

import numpy as np

import rl_keras
from rl_keras.errors import UsageError
from rl_keras.settings.experiment import (
    FORMAT,
    ExperimentConfig,
    all_settings,
    from_values,
    to_values,
)
from rl_keras.storage.files import AnyPath, folder, try_writing, write_bytes

# Settings that change no result: how a run is carried out, and where its data lie.
FREE_SETTINGS = frozenset(s.flag for s in all_settings() if s.section == "run") | {
    "data_dir",
    "download",
}


# The packages whose versions are recorded, each with the names of its builds on package indexes.
_RECORDED = {
    "tensorflow": ("tensorflow", "tensorflow-tpu", "tensorflow-cpu", "tf-nightly"),
    "keras": ("keras", "keras-nightly"),
    "numpy": ("numpy",),
}


def installed_versions() -> dict[str, str]:
    """Returns the versions of rl_keras and of what it computes with, none of it imported.

    A package that is not installed is left out.
    """
    versions = {"rl_keras": rl_keras.__version__}
    for package, builds in _RECORDED.items():
        for build in builds:
            with contextlib.suppress(metadata.PackageNotFoundError):
                versions.setdefault(package, metadata.version(build))
    return versions


@dataclass(frozen=True)
class StageKey:
    """Names one stage of a run.

    Example:
        >>> StageKey("downstream", "true", "covariance", 3).name
        'downstream-true-covariance-seed3'
    """

    stage: str
    labels: str
    start: str
    seed: int

    @property
    def name(self) -> str:
        parts = [self.stage, self.labels, self.start, f"seed{self.seed}"]
        return "-".join(part for part in parts if part)


def stage_keys(config: ExperimentConfig) -> Iterator[StageKey]:
    """Yields the stages of an experiment in the order in which they are trained."""
    for seed in config.run.seeds:
        yield StageKey("upstream", config.upstream.labels[0], "", seed)
        for labels in config.downstream.labels:
            for arm in config.transfer.arms:
                yield StageKey("downstream", labels, arm, seed)


def write_arrays(path: AnyPath, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes named arrays as one uncompressed `.npz` file."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    write_bytes(path, buffer.getvalue())


def read_arrays(path: AnyPath) -> dict[str, np.ndarray]:
    """Reads an `.npz` file; never unpickles.

    Raises:
        UsageError: if the file is missing or damaged.
    """
    try:
        content = path.read_bytes()  # a disk or a network that fails does not mean a damaged file
    except FileNotFoundError:
        content = b""
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except Exception as error:  # zipfile, zlib and numpy each raise their own
        raise UsageError(
            f"cannot read {path}. Expected an .npz file of this project; delete it and run "
            f"again. Received: {type(error).__name__}: {error}"
        ) from None


def write_table(path: AnyPath, rows: Iterable[Mapping[str, object]]) -> None:
    """Writes rows with the same keys as CSV; `None` becomes an empty cell."""
    rows = list(rows)
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_bytes(path, text.getvalue().encode())


class RunDirectory:
    """Reads and writes the files of one run.

    Args:
        path: the folder, local or under `gs://`; need not exist yet.

    Example:
        >>> RunDirectory("runs/a").arrays_path(StageKey("upstream", "random", "", 0)).name
        'upstream-random-seed0.npz'
    """

    def __init__(self, path: str | AnyPath):
        self.path = folder(path, "workdir")
        self.config_path = self.path / "config.json"
        self.flagfile_path = self.path / "flags.cfg"
        self.lock_path = self.path / ".lock"
        self.metrics_path = self.path / "metrics.jsonl"
        self.summary_path = self.path / "summary.csv"
        self.figures_path = self.path / "figures"
        self.tensorboard_root = self.path / "tensorboard"

    def arrays_path(self, key: StageKey) -> AnyPath:
        return self.path / "arrays" / f"{key.name}.npz"

    def labels_path(self, stage: str, labels: str, seed: int) -> AnyPath:
        return self.path / "labels" / f"{stage}-{labels}-seed{seed}.npz"

    def stage_path(self, key: StageKey) -> AnyPath:
        return self.path / "stages" / key.name

    def weights_path(self, key: StageKey) -> AnyPath:
        return self.stage_path(key) / "weights.npz"

    def checkpoints_path(self, key: StageKey) -> AnyPath:
        return self.stage_path(key) / "checkpoints"

    def tensorboard_path(self, key: StageKey) -> AnyPath:
        return self.tensorboard_root / key.name

    def check(self, config: ExperimentConfig) -> None:
        """Refuses a folder in which this run must not write; changes nothing.

        Raises:
            UsageError: if the path is no folder, cannot be written, holds other
                things, or holds a run with other settings.
        """
        try:
            try_writing(self.path)
        except NotADirectoryError:
            raise UsageError(
                f"--workdir must be a folder. Received: {self.path}, a file on its way"
            ) from None
        except OSError as error:
            raise UsageError(
                f"--workdir cannot be written ({error.strerror}); choose another. "
                f"Received: {self.path}"
            ) from None
        # Names with a dot are locks and files half written, of a process that is just starting.
        if all(path.name.startswith(".") for path in self.path.glob("*")):
            return
        if not self.config_path.exists():
            raise UsageError(
                "--workdir holds other files and no config.json; choose a new folder. "
                f"Received: {self.path}"
            )
        self._check_same(to_values(config), to_values(self.read_config()))

    def _check_same(self, new, old):
        if bool(new["variants"]) != bool(old["variants"]):
            raise UsageError(
                f"--workdir={self.path} holds a run {'with' if old['variants'] else 'without'} "
                f"--variants; use another --workdir. Received: --variants={new['variants']}"
            )
        for flag in new:
            if flag not in FREE_SETTINGS and new[flag] != old[flag]:
                raise UsageError(
                    f"--workdir={self.path} holds a run with --{flag}={old[flag]}; use that value "
                    f"or another --workdir. Received: --{flag}={new[flag]}"
                )

    def with_stored_seeds(self, config: ExperimentConfig) -> ExperimentConfig:
        """Returns the configuration with the seeds of the run in the folder added to its own."""
        if not self.config_path.exists():
            return config
        seeds = {*self.read_config().run.seeds, *config.run.seeds}
        return replace(config, run=replace(config.run, seeds=tuple(sorted(seeds))))

    def claim(self, config: ExperimentConfig, flagfile: str) -> None:
        """Writes the configuration, which makes the folder this run's own.

        The versions beside it are those of the process that began or continued the run last;
        nothing reads them, so a run may go on with others.
        """
        document = {
            "format": FORMAT,
            "settings": to_values(config),
            "versions": installed_versions(),
        }
        write_bytes(self.config_path, (json.dumps(document, indent=2) + "\n").encode())
        write_bytes(self.flagfile_path, flagfile.encode())

    def read_config(self) -> ExperimentConfig:
        """Returns the configuration stored in the folder.

        Raises:
            UsageError: if there is none, or another program wrote it.
        """
        try:
            document = json.loads(self.config_path.read_bytes())
            version, values = document["format"], dict(document["settings"])
        except FileNotFoundError:
            raise UsageError(
                f"--workdir holds no run; run it first without --mode=draw. Received: {self.path}"
            ) from None
        except (NotADirectoryError, IsADirectoryError, ValueError, KeyError, TypeError):
            raise UsageError(
                f"{self.config_path} was not written by this project; choose another --workdir."
            ) from None
        if version != FORMAT:
            raise UsageError(
                f"{self.config_path} has another format. Expected: {FORMAT}. Received: {version}"
            )
        try:
            return from_values(values)
        except TypeError as error:
            raise UsageError(f"{self.config_path} has a damaged setting: {error}.") from None

    def read_result(self, key: StageKey) -> dict | None:
        """Returns what a finished stage reported, or `None` if it is not finished."""
        path = self.stage_path(key) / "result.json"
        if not path.exists():
            return None
        try:
            return json.loads(path.read_bytes())
        except ValueError:
            raise UsageError(
                f"cannot read {path}; delete this file and run again to repeat the stage."
            ) from None

    def finish_stage(
        self, key: StageKey, result: Mapping, metrics: list[dict], arrays: Mapping
    ) -> None:
        """Stores a stage; the result, which marks it as finished, goes last."""
        write_arrays(self.arrays_path(key), arrays)
        lines = "".join(json.dumps({**asdict(key), **row}) + "\n" for row in metrics)
        write_bytes(self.stage_path(key) / "metrics.jsonl", lines.encode())
        text = json.dumps(dict(result), indent=2) + "\n"
        write_bytes(self.stage_path(key) / "result.json", text.encode())

    def collect(self) -> None:
        """Writes `metrics.jsonl` and `summary.csv` from the finished stages of all seeds."""
        config = self.read_config()
        results = {key: self.read_result(key) for key in stage_keys(config)}
        finished = {key: result for key, result in results.items() if result is not None}
        logs = [(self.stage_path(key) / "metrics.jsonl").read_bytes() for key in finished]
        write_bytes(self.metrics_path, b"".join(logs))
        compared = "downstream" if config.transfer.arms else "upstream"
        rows = [result["summary"] for key, result in finished.items() if key.stage == compared]
        if rows:
            write_table(self.summary_path, rows)
        if len(finished) == len(results):  # nobody writes here any more
            self._remove_leftovers()

    def collect_variants(self, runs: Mapping[str, "RunDirectory"]) -> None:
        """Writes one `summary.csv` from those of the variants, with their names."""
        rows = [
            {"variant": name, **row} for name, run in runs.items() for row in run.read_summary()
        ]
        write_table(self.summary_path, rows)

    def _remove_leftovers(self):
        """Removes what killed processes have left: files half written, states of done stages."""
        stages = [self.stage_path(key) for key in stage_keys(self.read_config())]
        states = [stage / "checkpoints" for stage in stages]
        for parent in [self.path, self.path / "arrays", self.path / "labels", *stages, *states]:
            for path in [*parent.glob(".*.tmp"), *parent.glob("step-*.npz")]:
                path.unlink(missing_ok=True)

    def read_metrics(self) -> list[dict]:
        """Returns the lines of `metrics.jsonl`.

        Raises:
            UsageError: if the run has left none, or a line is damaged.
        """
        if not self.metrics_path.exists():
            raise UsageError(f"--workdir={self.path} holds no finished stage; run it first.")
        try:
            return [json.loads(line) for line in self.metrics_path.read_text().splitlines()]
        except ValueError:
            raise UsageError(f"{self.metrics_path} is damaged; run again to rewrite it.") from None

    def read_summary(self) -> list[dict[str, str]]:
        """Returns the rows of `summary.csv`, each cell a string, empty for none."""
        if not self.summary_path.exists():
            return []
        return list(csv.DictReader(io.StringIO(self.summary_path.read_text(), newline="")))
