"""What one command does: experiments under all their variants, checked before any is trained."""

import contextlib
import functools
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
    with part_of_run(config) as own:
        for _, train in checked_trainings({"": own}):
            train()
    return own is config


def checked_trainings(
    configs: Mapping[str, ExperimentConfig],
) -> Iterator[tuple[str, Callable[[], None]]]:
    """Checks all experiments, then yields the name of each and the function that trains it.

    Whoever calls them decides whether the next goes on when one fails. A dry run describes
    the experiments and yields nothing.

    Args:
        configs: settings of each, by name; they agree in their devices.

    Raises:
        UsageError: before any training, for anything the user can put right.
    """
    first = next(iter(configs.values()))
    for config in configs.values():
        for own in (config, *expand(config).values()):
            RunDirectory(own.run.workdir).check(own)
    strategy = make_strategy(first.run)
    workers = Workers(strategy)
    for config in configs.values():
        values = to_values(config)
        workers.require_same("flags", {f: values[f] for f in values if f not in _OF_ONE_WORKER})
    sources: dict = {}
    with workers.chief_first():  # it may have to prepare the data
        plans = {name: _plans(config, strategy, sources) for name, config in configs.items()}
    if workers.is_chief:
        warnings = (memorisation_warnings(plan.config) for own in plans.values() for plan in own)
        sys.stderr.writelines(f"warning: {line}\n" for lines in warnings for line in lines)
    if first.run.dry_run:
        for own in plans.values():
            sys.stdout.writelines(f"{describe(plan)}\n" for plan in own)
        return
    with stop_on_sigterm() as stop_requested:
        experiments = _experiments(plans, strategy, stop_requested)
        progress = _progress([one for own in experiments.values() for one in own])
        for name, config in configs.items():
            # Let go of each when it is done: its models take memory.
            own = experiments.pop(name)
            yield name, functools.partial(_train, config, own, progress)
            del own
    workers.any(False)  # nobody leaves while another still needs them


def _plans(config, strategy, sources):
    replicas = strategy.num_replicas_in_sync
    return [make_plan(own, replicas, sources) for own in expand(config).values()]


def _experiments(plans, strategy, stop_requested):
    """Returns the experiments by name; each may borrow from those before it."""
    slices: dict = {}
    lenders: list = []
    found: dict[str, list[Experiment]] = {name: [] for name in plans}
    for name, own in plans.items():
        for plan in own:
            directory = RunDirectory(plan.config.run.workdir)
            material = RunData(plan, directory, slices)
            found[name].append(
                Experiment(plan, material, directory, strategy, stop_requested, tuple(lenders))
            )
            lenders.append((plan.config, directory))
    return found


def _progress(experiments):
    """Counts what is left to do, without what will be borrowed."""
    progress, had = RunProgress(num_stages=0, work=0.0), set()
    for experiment in experiments:
        settings = upstream_settings(experiment.config)
        for stage in experiment.missing_stages():
            if (settings, stage.key) not in had:
                progress.num_stages += 1
                progress.work += experiment.work(stage)
        had |= {(settings, key) for key in experiment.upstream_keys()}
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
    """Turns SIGTERM into a request to save and stop, and yields what asks for it.

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
