"""The starts: with which weights the transferred layers begin the downstream task.

Each start is one function, found by its name, which stands in `settings.transfer.STARTS`. It
takes a `StartContext` and returns weights by variable path, such as `"conv1/kernel"`; every
variable that it leaves out is fresh. The weights of the first layers must not depend on how many
layers are asked for, since a start that transfers fewer layers takes a part of the same weights.

A start may carry two attributes, which the plan asks before any training:

    requires(path, kernel_shape)   raises UsageError for a layer that it cannot start
    transfers                      False if it takes nothing from upstream
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rl_keras.callbacks.inputs import input_moments
from rl_keras.callbacks.layers import named_layers
from rl_keras.errors import UsageError
from rl_keras.experiments.training import Trainer, Weights
from rl_keras.science.filters import kernel_to_rows, rows_to_kernel
from rl_keras.science.gaussian import FilterGaussian, LayerProfile, gaussian_from_profile

MAX_DIM = 6000  # input dimensions of a layer drawn anew: a covariance of 0.3 GB, minutes to solve
NORMALIZATION = ("gamma", "beta", "moving_mean", "moving_variance")


@dataclass(frozen=True)
class StartContext:
    """What a start may use to make the weights of the transferred layers of one seed.

    Args:
        layers: paths of the transferred layers, in the order of the network.
        variables: paths of their variables that are transferred, kernels first.
        fresh: initial weights of the downstream model: every variable.
        upstream: trained weights; the head may be missing or of another shape.
        generator: returns the random generator of a purpose, such as
            `generator("covariance_draws")`, a function of the seed and these names.
        trainer: holds the downstream model, which may be used and left with other weights.
        upstream_batches: gives the scaled upstream images in batches, anew at each call.
        downstream_batches: gives the downstream images.
    """

    layers: Sequence[str]
    variables: Sequence[str]
    fresh: Weights
    upstream: Weights
    generator: Callable[..., np.random.Generator]
    trainer: Trainer | None = None
    upstream_batches: Callable[[], Iterable[np.ndarray]] = tuple
    downstream_batches: Callable[[], Iterable[np.ndarray]] = tuple

    @property
    def trained_kernels(self) -> Weights:
        return {f"{path}/kernel": self.upstream[f"{path}/kernel"] for path in self.layers}


def find_start(name: str) -> Callable[[StartContext], Weights]:
    """Returns the function of a start by its name."""
    return globals()[name]


def scratch(context: StartContext) -> Weights:
    """Leaves all weights fresh: what the other starts are compared with."""
    return {}


scratch.transfers = False


def pretrained(context: StartContext) -> Weights:
    """Gives the trained kernels, rescaled to the L2 norm of the fresh ones.

    Reference:
        Maennel et al., NeurIPS 2020, Section 2.4 and Figure 5.

    Example:
        >>> trained = {"a/kernel": 3 * np.eye(2)}
        >>> context = StartContext(["a"], ["a/kernel"], {"a/kernel": np.eye(2)}, trained, None)
        >>> pretrained(context)["a/kernel"].tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """
    return _at_fresh_norm(context, context.trained_kernels)


def pretrained_unscaled(context: StartContext) -> Weights:
    """Gives the trained weights as they are."""
    return {path: context.upstream[path] for path in context.variables}


def covariance(context: StartContext) -> Weights:
    """Gives filters drawn from the Gaussian N(0, covariance of the trained filters).

    They are rescaled to the L2 norm of the fresh kernel, as in `pretrained`.

    Reference:
        Maennel et al., NeurIPS 2020, Section 2.4 and Figure 5.
    """
    rng = context.generator("covariance_draws")
    drawn = {path: _resample(kernel, rng) for path, kernel in context.trained_kernels.items()}
    return _at_fresh_norm(context, drawn)


def _more_filters_than_inputs(path, kernel_shape):
    what = "--starts=covariance with --transfer_layers"
    check_more_filters(what, path, kernel_shape, "leave it out, or use --starts=layerwise")


covariance.requires = _more_filters_than_inputs


def layerwise(context: StartContext) -> Weights:
    """Gives kernels drawn layer by layer from the profiles of the trained filters.

    Upstream, the profile of each layer is the strength of its trained filters along
    the principal axes of its input. Downstream, with the layers before already drawn,
    the same strengths are given to the principal axes of the input that the layer has
    there, filters are drawn from the Gaussian with that covariance, and the kernel is
    rescaled to its fresh norm. Biases and normalisation stay fresh.

    Reference:
        Maennel et al., NeurIPS 2020, Section 2.5, Figure 6 and Table 1; the rule for
        deeper layers is our reading of its layer-wise procedure.
    """
    trainer, fresh, upstream = context.trainer, context.fresh, context.upstream
    layers = {path: named_layers(trainer.model)[path] for path in context.layers}
    # The head may have another shape upstream, and no layer that is drawn sees it.
    same = {p for p in fresh if p in upstream and upstream[p].shape == fresh[p].shape}
    trainer.reset({path: (upstream if path in same else fresh)[path] for path in fresh})
    trained = input_moments(trainer.model, layers, context.upstream_batches())
    drawn: Weights = {}
    for path, layer in layers.items():
        name = f"{path}/kernel"
        profile = LayerProfile.fit(trained[path].covariance(), kernel_to_rows(upstream[name]))
        trainer.reset({**fresh, **drawn})
        moments = input_moments(trainer.model, {path: layer}, context.downstream_batches())[path]
        gaussian = gaussian_from_profile(profile, moments.covariance())
        rng = context.generator("layerwise_draws", path)
        rows = gaussian.sample(len(kernel_to_rows(fresh[name])), rng)
        drawn[name] = rescale_to_norm(rows_to_kernel(rows, fresh[name].shape), fresh[name])
    return drawn


def _few_inputs(path, kernel_shape):
    dim = int(np.prod(kernel_shape[:-1]))
    if dim > MAX_DIM:
        raise UsageError(
            f"--starts=layerwise needs a covariance of all inputs of layer {path!r}, and can take "
            f"{MAX_DIM}; transfer fewer layers, or narrow the one before. Received: {dim} inputs"
        )


layerwise.requires = _few_inputs


def _at_fresh_norm(context: StartContext, kernels: Mapping[str, np.ndarray]) -> Weights:
    """Rescales kernels to the norm of the fresh ones, and adds the other transferred variables.

    A layer's bias is multiplied by the factor of its trained kernel, so that the layer as a
    whole is rescaled; normalisation variables are copied.
    """
    fresh, upstream = context.fresh, context.upstream
    weights = {path: rescale_to_norm(kernel, fresh[path]) for path, kernel in kernels.items()}
    for path in context.variables:
        layer, name = path.rsplit("/", 1)
        if name in NORMALIZATION:
            weights[path] = upstream[path]
        elif name == "bias":
            kernel = f"{layer}/kernel"
            factor = _norm_factor(upstream[kernel], fresh[kernel])
            weights[path] = (upstream[path] * factor).astype(upstream[path].dtype)
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


def _resample(kernel, rng):
    """Draws a kernel of the same shape whose filters are N(0, covariance of `kernel`'s)."""
    rows = kernel_to_rows(kernel)
    return rows_to_kernel(FilterGaussian.fit(rows).sample(len(rows), rng), kernel.shape)


def check_more_filters(what: str, path: str, kernel_shape: Sequence[int], advice: str) -> None:
    """Refuses a layer whose filters have no covariance of full rank.

    Args:
        what: the flag that asks for the covariance.
        path: of the layer.
        kernel_shape: of its kernel, filters last.
        advice: what to do instead of widening the layer.

    Raises:
        UsageError: if there are no more filters than input dimensions.
    """
    *inputs, num_filters = kernel_shape
    dim = int(np.prod(inputs))
    if num_filters <= dim:
        raise UsageError(
            f"{what} needs more filters than input dimensions ({dim}) in layer {path!r}; widen "
            f"the layer, {advice}. Received: {num_filters} filters"
        )
