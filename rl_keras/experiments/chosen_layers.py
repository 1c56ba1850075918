"""Which layers each start transfers, and of which layers alignment is measured."""

from dataclasses import dataclass

import keras

from rl_keras.callbacks.layers import alignable_layers, find_layer, named_layers
from rl_keras.errors import UsageError
from rl_keras.experiments.starts import NORMALIZATION, check_more_filters, find_start
from rl_keras.settings.experiment import ExperimentConfig
from rl_keras.settings.transfer import TransferConfig, split_arm


@dataclass(frozen=True)
class Arm:
    """One arm of the downstream comparison: a start, and what it is applied to.

    All arms of a seed share the same fresh weights; they differ in the transferred
    variables and in nothing else.

    Args:
        start: one of `settings.transfer.STARTS`.
        layers: paths of the layers that are transferred, in the order of the network.
        variables: paths of their variables that are, from `transferred_variables`.
    """

    start: str
    layers: tuple[str, ...]
    variables: tuple[str, ...]


def plan_arms(config: ExperimentConfig, model: keras.Model) -> dict[str, Arm]:
    """Returns the arms by name.

    Raises:
        UsageError: if a layer cannot be transferred in the way that a start asks for.
    """
    paths = [variable.path for variable in model.weights]
    arms = {}
    for name in config.transfer.arms:
        start_name, depth = split_arm(name)
        start = find_start(start_name)
        if not getattr(start, "transfers", True):
            arms[name] = Arm(start_name, (), ())
            continue
        layers = _first_layers(model, depth) if depth else _named_layers(config, model)
        for path in layers:
            if hasattr(start, "requires"):
                start.requires(path, named_layers(model)[path].kernel.shape)
        variables = transferred_variables(paths, layers, config.transfer)
        arms[name] = Arm(start_name, tuple(layers), tuple(variables))
    return arms


def transferred_variables(
    paths: list[str], layers: tuple[str, ...], config: TransferConfig
) -> list[str]:
    """Returns the paths of the variables that go downstream, kernels first.

    Args:
        paths: all variable paths of the model.
        layers: paths of the transferred layers, all with kernels.
        config: says whether biases and normalisation variables go along.
    """
    suffixes = ["/kernel"]
    if config.transfer_biases:
        suffixes.append("/bias")
    if config.transfer_normalization:
        # The normalisation of conv1 is conv1_bn in all of our models.
        suffixes.extend(f"_bn/{name}" for name in NORMALIZATION)
    wanted = [f"{layer}{suffix}" for suffix in suffixes for layer in layers]
    return [path for path in wanted if path in paths]


def alignment_layers(config: ExperimentConfig, model: keras.Model) -> tuple[str, ...]:
    """Returns the paths of the layers whose alignment is measured.

    Raises:
        UsageError: if a layer has too few filters.
    """
    names = config.measure.alignment_layers
    if names == ("none",):
        return ()
    if not names:
        names = tuple(alignable_layers(model))[:1]
    paths = tuple(_known_layer("alignment_layers", model, name) for name in names)
    if not config.measure.few_filters:
        for path in paths:
            shape = named_layers(model)[path].kernel.shape
            advice = "leave it out or, to pool its filters over seeds, set --few_filters"
            check_more_filters("--alignment_layers", path, shape, advice)
    return paths


def _first_layers(model, depth):
    """The first `depth` layers with filters; their normalisation goes along with them."""
    filters = list(alignable_layers(model))
    if depth >= len(filters):
        raise UsageError(
            f"--transfer_depths must be below the {len(filters)} layers with filters, since the "
            f"head is fresh in every start. Received: {depth}"
        )
    return filters[:depth]


def _named_layers(config, model):
    """The layers that `--transfer_layers` names, by default the first."""
    names = config.transfer.transfer_layers
    candidates = list(alignable_layers(model))
    if not names:
        paths = candidates[:1]
    elif names == ("all",):
        paths = candidates[:-1]
    else:
        paths = [_known_layer("transfer_layers", model, name) for name in names]
    head = candidates[-1]
    if head in paths:
        raise UsageError(
            f"--transfer_layers must leave the head {head!r} out; it is fresh in every start. "
            f"Received: {','.join(names)}"
        )
    return paths


def _known_layer(flag, model, name):
    try:
        return find_layer(model, name)[0]
    except ValueError as error:
        raise UsageError(f"--{flag}: {error} Received: {name}") from None
