"""The whole experiment: random labels upstream, a transform of weights, a task downstream."""

import contextlib
import sys
from collections.abc import Callable

import numpy as np

from rl_keras.callbacks.progress import RunProgress
from rl_keras.cli import to_flagfile
from rl_keras.config import ExperimentConfig
from rl_keras.errors import UsageError
from rl_keras.experiments.header import write_experiment_header
from rl_keras.experiments.material import Material
from rl_keras.experiments.plan import Plan, StagePlan, describe, make_plan
from rl_keras.experiments.preemption import stop_on_sigterm
from rl_keras.experiments.stage import train_stage
from rl_keras.experiments.strategy import make_strategy
from rl_keras.experiments.training import Trainer, fresh_weights
from rl_keras.experiments.transforms import Weights, starting_weights
from rl_keras.locks import hold
from rl_keras.seeds import derive_seed
from rl_keras.storage import RunDirectory, read_arrays


def run(config: ExperimentConfig) -> None:
    """Trains every stage that is not finished, and collects the results.

    Raises:
        UsageError: before any training, for anything the user can put right.
    """
    directory = RunDirectory(config.run.workdir)
    directory.check(config)
    strategy = make_strategy(config.run)
    plan = make_plan(config, strategy.num_replicas_in_sync)
    if config.run.dry_run:
        sys.stdout.write(describe(plan) + "\n")
        return
    material = Material(plan, directory)
    with stop_on_sigterm() as stop_requested:
        experiment = Experiment(plan, material, directory, strategy, stop_requested)
        _carry_out(experiment, config, directory)


def _carry_out(experiment, config, directory):
    experiment.check_finished()
    with hold(directory.lock_path, f"folder {directory.path}"):
        joined = directory.joined(config)
        directory.claim(joined, to_flagfile(joined))
    if config.run.tensorboard:
        write_experiment_header(directory)
    for seed in config.run.seeds:
        experiment.run_seed(seed)
    with hold(directory.lock_path, f"folder {directory.path}"):
        directory.collect()


class Experiment:
    """Carries out the stages of a plan; each returns at once if it is finished."""

    def __init__(
        self,
        plan: Plan,
        material: Material,
        directory: RunDirectory,
        strategy,
        stop_requested: Callable[[], bool] = lambda: False,
    ):
        self.plan = plan
        self.config = plan.config
        self.material = material
        self.directory = directory
        self.strategy = strategy
        self.stop_requested = stop_requested
        self._trainers: dict[tuple, Trainer] = {}

    def check_finished(self) -> None:
        """Checks stored labels and results, and counts what is left to do.

        Raises:
            UsageError: if a finished stage was trained on other labels.
        """
        missing = []
        for stage in self.plan.stages:
            table = self.material.checked_labels(stage)
            result = self.directory.read_result(stage.key)
            if result is None:
                missing.append(stage)
            elif result["labels_sha256"] != table.sha256:
                raise UsageError(
                    f"stage {stage.key.name} was trained on other labels; use a new --workdir. "
                    f"Received: labels with SHA-256 {table.sha256[:12]}"
                )
        for stage in missing:
            upstream = self.plan.upstream(stage.key.seed)
            path = self.directory.weights_path(upstream.key)
            if upstream not in missing and path.exists():
                read_arrays(path)  # refuses a damaged file now rather than after other stages
        self.progress = RunProgress(
            num_stages=len(missing),
            num_examples=sum(s.num_steps * s.settings.batch_size for s in missing),
        )

    def run_seed(self, seed: int) -> None:
        """Upstream once, then every downstream arm of this seed."""
        stages = [stage for stage in self.plan.stages if stage.key.seed == seed]
        upstream, *arms = stages
        if all(self.directory.read_result(stage.key) is not None for stage in stages):
            return
        trained = self.upstream_weights(upstream)
        for stage in arms:
            with self._claimed(stage) as is_open:
                if is_open:
                    self.train(stage, self.initial_weights(stage, trained))

    def upstream_weights(self, stage: StagePlan) -> Weights:
        """Returns the trained upstream weights, from this run, an earlier or a parallel one."""
        path = self.directory.weights_path(stage.key)
        with self._claimed(stage) as is_open:
            if is_open or not path.exists():
                return self.train(stage, self._fresh(stage))
        return read_arrays(path)

    @contextlib.contextmanager
    def _claimed(self, stage: StagePlan):
        """Holds a stage's lock if the stage is not finished, and yields whether that is so."""
        if self.directory.read_result(stage.key) is not None:
            yield False
            return
        with hold(self.directory.stage_path(stage.key) / "lock", f"stage {stage.key.name}"):
            # While we waited, another process may have finished it.
            yield self.directory.read_result(stage.key) is None

    def initial_weights(self, stage: StagePlan, upstream: Weights) -> Weights:
        """Returns the weights a downstream arm starts from."""
        draws = derive_seed(stage.key.seed, "covariance_draws")
        return starting_weights(
            stage.key.start,
            self._fresh(stage),
            upstream,
            list(self.plan.transferred),
            np.random.default_rng(draws),
        )

    def train(self, stage: StagePlan, weights: Weights) -> Weights:
        """Trains one stage, stores what it leaves, and returns the final weights.

        Raises:
            Preempted: if the machine asked for an end; the stage's state is saved.
        """
        trainer = self._trainer(stage)
        trainer.reset(weights)
        return train_stage(
            stage, trainer, self.material, self.directory, self.progress, self.stop_requested
        )

    def _fresh(self, stage):
        seed = derive_seed(stage.key.seed, "initial_weights", stage.key.stage)
        return fresh_weights(self.config, self.plan.source.image_shape, stage.head_units, seed)

    def _trainer(self, stage):
        settings = stage.settings
        key = (
            stage.head_units,
            settings.learning_rate,
            settings.momentum,
            settings.steps_per_execution,
        )
        if key not in self._trainers:
            shape = self.plan.source.image_shape
            self._trainers[key] = Trainer(
                self.config, settings, shape, stage.head_units, self.strategy
            )
        return self._trainers[key]
