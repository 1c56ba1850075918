"""One experiment: an upstream stage for each seed, then a downstream stage for each start."""

import contextlib
from collections.abc import Callable, Sequence

import numpy as np

from rl_keras.errors import UsageError
from rl_keras.experiments.chosen_layers import Arm
from rl_keras.experiments.plan import Plan, StagePlan
from rl_keras.experiments.progress import RunProgress
from rl_keras.experiments.run_data import RunData
from rl_keras.experiments.sharing import borrow
from rl_keras.experiments.stage import train_stage
from rl_keras.experiments.starts import StartContext, find_start
from rl_keras.experiments.tensorboard import write_hparams_columns
from rl_keras.experiments.training import Trainer, Weights, fresh_weights, learning_rate
from rl_keras.experiments.workers import Workers
from rl_keras.seeds import derive_seed
from rl_keras.settings.command_line import to_flagfile
from rl_keras.settings.experiment import ExperimentConfig
from rl_keras.storage.locks import hold
from rl_keras.storage.run_folder import RunDirectory, StageKey, read_arrays


class Experiment:
    """Carries out the stages of a plan that are not finished.

    Args:
        plan: from `make_plan`.
        data: the data of the run.
        directory: where everything goes.
        strategy: on which devices the models are trained.
        stop_requested: says whether to save and stop.
        lenders: settings and folders of runs whose upstream stages may serve here too.
    """

    def __init__(
        self,
        plan: Plan,
        data: RunData,
        directory: RunDirectory,
        strategy,
        stop_requested: Callable[[], bool] = lambda: False,
        lenders: Sequence[tuple[ExperimentConfig, RunDirectory]] = (),
    ):
        self.plan = plan
        self.config = plan.config
        self.data = data
        self.directory = directory
        self.strategy = strategy
        self.workers = Workers(strategy)
        self.stop_requested = lambda: self.workers.any(stop_requested())
        self.lenders = lenders
        self._trainers: dict[tuple, Trainer] = {}
        self._transferred: dict[tuple[int, str], Weights] = {}  # by seed and start

    def carry_out(self, progress: RunProgress) -> None:
        """Trains what is missing, seed by seed, and collects the results."""
        self.progress = progress
        claim(self.directory, self.config)
        if self.config.run.tensorboard:
            write_hparams_columns(self.directory)
        for seed in self.config.run.seeds:
            self.run_seed(seed)
        with lock_of(self.directory):
            self.directory.collect()

    def run_seed(self, seed: int) -> None:
        """Upstream once, then every downstream arm of this seed."""
        upstream, *arms = [stage for stage in self.plan.stages if stage.key.seed == seed]
        keys = [stage.key for stage in (upstream, *arms)]
        finished = all(self.directory.read_result(key) is not None for key in keys)
        if self.workers.chief_says(finished):
            return
        trained = self.upstream_weights(upstream)
        for stage in arms:
            with self._claimed(stage) as is_open:
                if is_open:
                    self.train(stage, self.initial_weights(stage, trained))
        self._transferred.clear()

    def upstream_weights(self, stage: StagePlan) -> Weights:
        """Returns the trained upstream weights, from this run, an earlier or a parallel one."""
        path = self.directory.weights_path(stage.key)
        with self._claimed(stage) as is_open:
            if is_open and self._borrowed(stage):
                return read_arrays(path)
            if is_open or not self.workers.chief_says(path.exists()):
                return self.train(stage, self._fresh(stage))
        self.workers.share(path.parent, path.name)
        return read_arrays(path)

    def initial_weights(self, stage: StagePlan, upstream: Weights) -> Weights:
        """Returns the weights a downstream arm starts from: fresh but for what is transferred."""
        arm, fresh = self.plan.arms[stage.key.start], self._fresh(stage)
        key = stage.key.seed, arm.start
        if key not in self._transferred:
            # Once for each seed, for all layers that any arm needs: to draw them may take minutes.
            arms = [other for other in self.plan.arms.values() if other.start == arm.start]
            deepest = max(arms, key=lambda other: len(other.layers))
            context = self._start_context(stage, deepest, fresh, upstream)
            self._transferred[key] = find_start(arm.start)(context)
        transferred = self._transferred[key]
        return {
            **fresh,
            **{path: transferred[path] for path in arm.variables if path in transferred},
        }

    def train(self, stage: StagePlan, weights: Weights) -> Weights:
        """Trains one stage, stores what it leaves, and returns the final weights.

        Raises:
            Preempted: if the machine asked for an end; the stage's state is saved.
        """
        trainer = self._trainer(stage)
        trainer.reset(weights, derive_seed(stage.key.seed, "dropout", stage.key.stage))
        self.workers.share(self.directory.checkpoints_path(stage.key), "step-*.npz")
        return train_stage(
            stage, trainer, self.data, self.directory, self.progress, self.stop_requested
        )

    def missing_stages(self) -> list[StagePlan]:
        """Checks stored labels and results, and returns the stages that are left to do.

        Raises:
            UsageError: if a finished stage was trained on other labels.
        """
        missing, labels = [], {}
        for stage in self.plan.stages:
            table = self.data.checked_labels(stage)
            labels[stage.key.name] = table.sha256
            result = self.directory.read_result(stage.key)
            if result is None:
                missing.append(stage)
            elif result["labels_sha256"] != table.sha256:
                raise UsageError(
                    f"stage {stage.key.name} was trained on other labels; use a new --workdir. "
                    f"Received: labels with SHA-256 {table.sha256[:12]}"
                )
        self.workers.require_same("data and labels", labels)
        for stage in missing:
            upstream = self.plan.upstream(stage.key.seed)
            path = self.directory.weights_path(upstream.key)
            if upstream not in missing and path.exists():
                read_arrays(path)  # refuses a damaged file now rather than after other stages
        return missing

    def upstream_keys(self) -> list[StageKey]:
        return [s.key for s in self.plan.stages if s.key.stage == "upstream"]

    def work(self, stage: StagePlan) -> float:
        """Returns the multiplications of a stage's forward passes, for the time left."""
        return stage.num_steps * stage.settings.batch_size * self.plan.multiplications

    @contextlib.contextmanager
    def _claimed(self, stage: StagePlan):
        """Holds a stage's lock if the stage is not finished, and yields whether that is so."""
        path = self.directory.stage_path(stage.key) / "lock"
        with contextlib.ExitStack() as stack:
            if self.directory.read_result(stage.key) is None:
                stack.enter_context(hold(path, f"stage {stage.key.name}"))
            # While we waited, another process may have finished it.
            yield self.workers.chief_says(self.directory.read_result(stage.key) is None)

    def _borrowed(self, stage):
        # Several workers would have to send it to each other; they train it instead.
        alone = self.config.run.strategy != "multi_worker"
        return alone and borrow(stage.key, self.config, self.directory, self.lenders)

    def _fresh(self, stage):
        seed = derive_seed(stage.key.seed, "initial_weights", stage.key.stage)
        return fresh_weights(self.config, self.plan.source.image_shape, stage.head_units, seed)

    def _start_context(self, stage: StagePlan, arm: Arm, fresh: Weights, upstream: Weights):
        seed = stage.key.seed
        return StartContext(
            layers=arm.layers,
            variables=arm.variables,
            fresh=fresh,
            upstream=upstream,
            generator=lambda *names: np.random.default_rng(derive_seed(seed, *names)),
            trainer=self._trainer(stage),
            upstream_batches=lambda: self.data.moment_batches(self.data.upstream),
            downstream_batches=lambda: self.data.moment_batches(self.data.downstream),
        )

    def _trainer(self, stage):
        """Returns the trainer of a stage, one for all stages with the same head and optimiser."""
        settings = stage.settings
        rate = learning_rate(settings, stage.num_steps, stage.steps_per_epoch)
        key = (
            stage.head_units,
            rate if isinstance(rate, float) else str(rate.get_config()),
            settings.optimizer,
            settings.momentum,
            settings.weight_decay,
            settings.loss,
            settings.steps_per_execution,
        )
        if key not in self._trainers:
            shape = self.plan.source.image_shape
            self._trainers[key] = Trainer(
                self.config, settings, shape, stage.head_units, self.strategy, rate
            )
        return self._trainers[key]


def claim(directory: RunDirectory, config: ExperimentConfig) -> None:
    """Writes the settings of a run into its folder, with the seeds that are there already."""
    with lock_of(directory):
        config = directory.with_stored_seeds(config)
        directory.claim(config, to_flagfile(config))


def lock_of(directory: RunDirectory):
    """Returns a context in which no other process collects or claims the folder."""
    return hold(directory.lock_path, f"folder {directory.path}")
