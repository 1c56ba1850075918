"""What one command trains: experiments with all their variants, checked before any begins."""

import contextlib
import functools
import itertools
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping

from rl_keras.experiments.devices import make_strategy
from rl_keras.experiments.plan import describe, make_plan
from rl_keras.experiments.progress import RunProgress
from rl_keras.experiments.run_data import RunData
from rl_keras.experiments.runner import Experiment, claim, lock_of
from rl_keras.experiments.sharing import upstream_settings
from rl_keras.experiments.workers import Workers, part_of_run
from rl_keras.settings.experiment import ExperimentConfig, memorisation_warnings, to_values
from rl_keras.settings.variants import expand, variant_names
from rl_keras.storage.run_folder import RunDirectory

# Settings in which the workers of a run may differ.
_OF_ONE_WORKER = ("workdir", "data_dir", "tensorboard", "figures")


def run(config: ExperimentConfig) -> bool:
    """Trains every stage that is not finished, of every variant, and collects the results.

    Returns:
        Whether this process keeps the results: of several workers the first does.

    Raises:
        UsageError: before any training, for anything the user can put right.
    """
    with part_of_run(config) as worker_config:
        for _, train in checked_trainings({"": worker_config}):
            train()
    return worker_config is config


def checked_trainings(
    configs: Mapping[str, ExperimentConfig],
) -> Iterator[tuple[str, Callable[[], None]]]:
    """Checks all experiments, then yields the name of each and a function that trains it.

    The caller calls these functions, and so decides whether to go on when one fails. A dry
    run describes the experiments and yields nothing.

    Args:
        configs: settings of each, by name; they agree in their devices.

    Raises:
        UsageError: before any training, for anything the user can put right.
    """
    for config in configs.values():
        for part in (config, *expand(config).values()):
            RunDirectory(part.run.workdir).check(part)
    first = next(iter(configs.values()))
    strategy = make_strategy(first.run)
    workers = Workers(strategy)
    for config in configs.values():
        values = to_values(config)
        workers.require_same("flags", {f: values[f] for f in values if f not in _OF_ONE_WORKER})
    sources: dict = {}
    with workers.chief_first():  # the chief may have to prepare the data
        plans = {name: _plans(config, strategy, sources) for name, config in configs.items()}
    if workers.is_chief:
        for plan in itertools.chain(*plans.values()):
            lines = memorisation_warnings(plan.config)
            sys.stderr.writelines(f"warning: {line}\n" for line in lines)
    if first.run.dry_run:
        for plan in itertools.chain(*plans.values()):
            sys.stdout.write(f"{describe(plan)}\n")
        return
    with stop_on_sigterm() as stop_requested:
        experiments = _experiments(plans, strategy, stop_requested)
        progress = _progress(itertools.chain(*experiments.values()))
        for name, config in configs.items():
            # No reference is kept, so that the models of an experiment are freed when it is done.
            yield name, functools.partial(_train, config, experiments.pop(name), progress)
    workers.any(False)  # waits for all, so that none ends while another still needs it


def _plans(config, strategy, sources):
    """The plans of the variants, or of the experiment if it has none."""
    replicas = strategy.num_replicas_in_sync
    return [make_plan(variant, replicas, sources) for variant in expand(config).values()]


def _experiments(plans, strategy, stop_requested):
    """Returns the experiments by name; each may borrow from those before it."""
    slices: dict = {}
    lenders: list = []
    experiments: dict[str, list[Experiment]] = {name: [] for name in plans}
    for name in plans:
        for plan in plans[name]:
            directory = RunDirectory(plan.config.run.workdir)
            data = RunData(plan, directory, slices)
            experiments[name].append(
                Experiment(plan, data, directory, strategy, stop_requested, tuple(lenders))
            )
            lenders.append((plan.config, directory))
    return experiments


def _progress(experiments):
    """Counts what is left to do, without what will be borrowed."""
    progress, shared = RunProgress(num_stages=0, work=0.0), set()
    for experiment in experiments:
        settings = upstream_settings(experiment.config)
        for stage in experiment.missing_stages():
            if (settings, stage.key) not in shared:
                progress.num_stages += 1
                progress.work += experiment.work(stage)
        shared |= {(settings, key) for key in experiment.upstream_keys()}
    return progress


def _train(config, experiments, progress):
    top = RunDirectory(config.run.workdir)
    if config.run.variants:
        claim(top, config)
    for experiment in experiments:
        experiment.carry_out(progress)
    if config.run.variants:
        with lock_of(top):
            names = variant_names(config)
            top.collect_variants({n: e.directory for n, e in zip(names, experiments, strict=True)})


@contextlib.contextmanager
def stop_on_sigterm() -> Iterator[Callable[[], bool]]:
    """Turns SIGTERM into a request to save and stop; yields the function that asks for one.

    Afterwards SIGTERM does again what it did before. Signals can be handled in
    the main thread only; elsewhere nothing is installed.
    """
    requested = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield requested.is_set
        return
    before = signal.signal(signal.SIGTERM, lambda *_: requested.set())
    try:
        yield requested.is_set
    finally:
        signal.signal(signal.SIGTERM, before)
