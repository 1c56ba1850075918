"""What one command does: experiments under all their variants, checked before any is trained."""

import sys
from collections.abc import Callable, Mapping

from rl_keras.callbacks.progress import RunProgress
from rl_keras.config import ExperimentConfig, to_values
from rl_keras.experiments.material import Material
from rl_keras.experiments.memorising import hindrances
from rl_keras.experiments.multi_worker import Workers, part_of_run
from rl_keras.experiments.plan import describe, make_plan
from rl_keras.experiments.preemption import stop_on_sigterm
from rl_keras.experiments.runner import Experiment, claim, held
from rl_keras.experiments.sharing import upstream_settings
from rl_keras.experiments.strategy import make_strategy
from rl_keras.storage import RunDirectory
from rl_keras.variants import expand, variant_names

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
        carry_out({"": own}, lambda name, train: train())
    return own is config


def carry_out(
    configs: Mapping[str, ExperimentConfig], around: Callable[[str, Callable[[], None]], None]
) -> None:
    """Checks all experiments, and then trains one after another; a dry run only describes them.

    Args:
        configs: settings of each, by name; they agree in their devices.
        around: called with the name and the training of each; it may let the next go on
            when one fails.

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
        warnings = (hindrances(plan.config) for own in plans.values() for plan in own)
        sys.stderr.writelines(f"warning: {line}\n" for lines in warnings for line in lines)
    if first.run.dry_run:
        for own in plans.values():
            sys.stdout.writelines(f"{describe(plan)}\n" for plan in own)
        return
    slices: dict = {}
    with stop_on_sigterm() as stop_requested:
        commands = {}
        for name, config in configs.items():
            experiments = [
                Experiment(
                    plan,
                    Material(plan, RunDirectory(plan.config.run.workdir), slices),
                    RunDirectory(plan.config.run.workdir),
                    strategy,
                    stop_requested,
                )
                for plan in plans[name]
            ]
            commands[name] = config, experiments
        progress = _progress([e for _, own in commands.values() for e in own])
        for name in configs:
            # Let go of each when it is done: its models take memory.
            config, experiments = commands.pop(name)
            around(name, lambda c=config, own=experiments: _train(c, own, progress))
    workers.any(False)  # nobody leaves while another still needs them


def _plans(config, strategy, sources):
    replicas = strategy.num_replicas_in_sync
    return [make_plan(own, replicas, sources) for own in expand(config).values()]


def _progress(experiments):
    """Counts what is left to do, and lets every experiment borrow from those before it."""
    progress = RunProgress(num_stages=0, work=0.0)
    lenders, had = [], set()
    for experiment in experiments:
        experiment.lenders = tuple(lenders)
        lenders.append((experiment.config, experiment.directory))
        own = {(upstream_settings(experiment.config), key) for key in experiment.upstream_keys()}
        for stage in experiment.missing_stages():
            if (upstream_settings(experiment.config), stage.key) not in had:
                progress.num_stages += 1
                progress.work += experiment.work(stage)
        had |= own
    return progress


def _train(config, experiments, progress):
    top = RunDirectory(config.run.workdir)
    if config.run.variants:
        claim(top, config)
    for experiment in experiments:
        experiment.carry_out(progress)
    if config.run.variants:
        with held(top):
            names = variant_names(config)
            top.collect_variants({n: e.directory for n, e in zip(names, experiments, strict=True)})
