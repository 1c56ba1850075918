"""The weights that a downstream stage starts from, made from those of the upstream stage.

An arm of the comparison is a start, such as `pretrained`, with the layers that are
transferred. All arms of a seed share the same fresh weights; they differ in the kernels of
the transferred layers and in nothing else. Weights are dictionaries of arrays, keyed by
variable path such as `"conv1/kernel"`.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import keras
import numpy as np

from rl_keras.callbacks.inputs import input_moments
from rl_keras.callbacks.layers import alignable_layers, find_layer, named_layers
from rl_keras.errors import UsageError
from rl_keras.experiments.training import Trainer, Weights
from rl_keras.science.filters import kernel_to_rows, rows_to_kernel
from rl_keras.science.gaussian import FilterGaussian, LayerProfile, gaussian_from_profile
from rl_keras.settings.experiment import ExperimentConfig
from rl_keras.settings.transfer import TransferConfig, split_arm

MAX_DIM = 6000  # input dimensions of a layer drawn anew: a covariance of 0.3 GB, minutes to solve
_NORMALIZATION = ("gamma", "beta", "moving_mean", "moving_variance")
Batches = Callable[[], Iterable[np.ndarray]]


@dataclass(frozen=True)
class Arm:
    """One downstream arm.

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
        start, depth = split_arm(name)
        if start == "scratch":
            arms[name] = Arm(start, (), ())
            continue
        layers = _first_layers(model, depth) if depth else _named_layers(config, model)
        if start == "covariance":
            for path in layers:
                what = "--starts=covariance with --transfer_layers"
                _check_rows(what, path, model, "leave it out, or use --starts=layerwise")
        if start == "layerwise":
            for path in layers:
                _check_dim(path, model)
        variables = transferred_variables(paths, layers, config.transfer)
        arms[name] = Arm(start, tuple(layers), tuple(variables))
    return arms


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


def _check_dim(path, model):
    dim = int(np.prod(named_layers(model)[path].kernel.shape[:-1]))
    if dim > MAX_DIM:
        raise UsageError(
            f"--starts=layerwise needs a covariance of all inputs of layer {path!r}, and can take "
            f"{MAX_DIM}; transfer fewer layers, or narrow the one before. Received: {dim} inputs"
        )


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
            advice = "leave it out or, to pool its filters over seeds, set --few_filters"
            _check_rows("--alignment_layers", path, model, advice)
    return paths


def _known_layer(flag, model, name):
    try:
        return find_layer(model, name)[0]
    except ValueError as error:
        raise UsageError(f"--{flag}: {error} Received: {name}") from None


def _check_rows(what, path, model, advice):
    *inputs, num_filters = named_layers(model)[path].kernel.shape
    dim = int(np.prod(inputs))
    if num_filters <= dim:
        raise UsageError(
            f"{what} needs more filters than input dimensions ({dim}) in layer {path!r}; widen "
            f"the layer, {advice}. Received: {num_filters} filters"
        )


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
        suffixes.extend(f"_bn/{name}" for name in _NORMALIZATION)
    chosen = [f"{layer}{suffix}" for suffix in suffixes for layer in layers]
    return [path for path in chosen if path in paths]


def starting_weights(
    start: str,
    fresh: Weights,
    upstream: Weights,
    variables: Sequence[str],
    generator: np.random.Generator,
    drawn: Weights | None = None,
) -> Weights:
    """Returns the initial weights of one downstream arm.

    Kernels of transferred layers are, by start: `scratch`, the fresh ones;
    `pretrained_unscaled`, the trained ones; `pretrained`, the trained ones times
    one factor that gives the fresh kernel's L2 norm; `covariance`, filters drawn
    from a zero-mean Gaussian with the trained filters' covariance, at the fresh
    kernel's norm; `layerwise`, the kernels `drawn`, with biases and normalisation
    fresh. The bias of a layer, if transferred, is multiplied by the factor of its
    layer's trained kernel, so that the layer as a whole is rescaled. Normalisation
    variables are copied.

    Args:
        start: one of `settings.transfer.STARTS`.
        fresh: initial weights of the downstream model; every path of the model.
        upstream: trained weights; the head may be missing or of another shape.
        variables: from `transferred_variables`.
        generator: draws the filters of `covariance`.
        drawn: for `layerwise`, kernels from `layerwise_kernels`.

    Raises:
        UsageError: if `covariance` has no more filters than dimensions.

    Reference:
        Maennel et al., NeurIPS 2020, Sections 2.4 and 2.5, Figure 5.

    Example:
        >>> fresh, trained = {"a/kernel": np.eye(2)}, {"a/kernel": 3 * np.eye(2)}
        >>> rng = np.random.default_rng(0)
        >>> starting_weights("pretrained", fresh, trained, ["a/kernel"], rng)["a/kernel"].tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """
    weights = dict(fresh)
    if start == "scratch":
        return weights
    if start == "layerwise":
        return {**weights, **{path: drawn[path] for path in variables if path in drawn}}
    for path in variables:
        layer, name = path.rsplit("/", 1)
        trained = upstream[path]
        if start == "pretrained_unscaled" or name in _NORMALIZATION:
            weights[path] = trained
        elif name == "bias":
            kernel = f"{layer}/kernel"
            factor = _norm_factor(upstream[kernel], fresh[kernel])
            weights[path] = (trained * factor).astype(trained.dtype)
        else:
            kernel = sample_kernel(trained, generator) if start == "covariance" else trained
            weights[path] = rescale_to_norm(kernel, fresh[path])
    return weights


def rescale_to_norm(kernel: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Returns the kernel times the one factor that gives it the L2 norm of `like`.

    Larger weights alone speed up training with cross-entropy, so starts are
    compared at equal norm.
    """
    return (kernel.astype(np.float64) * _norm_factor(kernel, like)).astype(like.dtype)


def _norm_factor(kernel, like):
    norm = np.linalg.norm(kernel.astype(np.float64))
    if norm == 0:
        raise UsageError("a transferred kernel is zero everywhere; it cannot be rescaled.")
    return np.linalg.norm(like.astype(np.float64)) / norm


def sample_kernel(kernel: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Draws a kernel of the same shape whose filters are N(0, covariance of `kernel`'s)."""
    rows = kernel_to_rows(kernel)
    sampled = FilterGaussian.fit(rows).sample(len(rows), generator)
    return rows_to_kernel(sampled, kernel.shape)


def layerwise_kernels(
    trainer: Trainer,
    layers: Sequence[str],
    upstream: Weights,
    fresh: Weights,
    upstream_batches: Batches,
    downstream_batches: Batches,
    generator_of: Callable[[str], np.random.Generator],
) -> Weights:
    """Draws the kernels of some layers in order, from the profiles of the trained ones.

    Upstream, the profile of each layer is the strength of its trained filters along
    the principal axes of its input. Downstream, with the layers before already drawn,
    the same strengths are given to the principal axes of the input that the layer has
    there, filters are drawn from the Gaussian with that covariance, and the kernel is
    rescaled to its fresh norm. Kernels of the first k layers do not depend on how many
    more are asked for.

    Args:
        trainer: its model is used, and left with other weights.
        layers: paths in the order of the network, all with kernels.
        upstream: trained weights.
        fresh: initial weights downstream; whatever is not drawn is taken from here.
        upstream_batches: gives the upstream images in batches, anew at each call.
        downstream_batches: gives the downstream images.
        generator_of: gives the generator of a layer's draws.

    Returns:
        Kernels by variable path, such as `"conv1/kernel"`.

    Reference:
        Maennel et al., NeurIPS 2020, Section 2.5, Figure 6 and Table 1; the rule for
        deeper layers is our reading of its layer-wise procedure.
    """
    found = {path: named_layers(trainer.model)[path] for path in layers}
    # The head may have another shape upstream, and no layer that is drawn sees it.
    fits = {p for p in fresh if p in upstream and upstream[p].shape == fresh[p].shape}
    trainer.reset({path: (upstream if path in fits else fresh)[path] for path in fresh})
    trained = input_moments(trainer.model, found, upstream_batches())
    drawn: Weights = {}
    for path, layer in found.items():
        name = f"{path}/kernel"
        profile = LayerProfile.fit(trained[path].covariance(), kernel_to_rows(upstream[name]))
        trainer.reset({**fresh, **drawn})
        moments = input_moments(trainer.model, {path: layer}, downstream_batches())[path]
        gaussian = gaussian_from_profile(profile, moments.covariance())
        rows = gaussian.sample(len(kernel_to_rows(fresh[name])), generator_of(path))
        drawn[name] = rescale_to_norm(rows_to_kernel(rows, fresh[name].shape), fresh[name])
    return drawn
