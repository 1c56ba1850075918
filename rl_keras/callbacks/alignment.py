"""Does the covariance of a layer's filters share its axes with the covariance of its inputs?"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from rl_keras.callbacks.batches import batches_of_inputs, first_batch, num_examples
from rl_keras.callbacks.inputs import SharedInputs, as_examples, input_of, new_moments
from rl_keras.callbacks.layers import effective_kernel, find_layer
from rl_keras.callbacks.measurement import Measurement, Schedule
from rl_keras.callbacks.reading import capture
from rl_keras.callbacks.writers import image_grid
from rl_keras.science.alignment import (
    filter_covariance,
    misalignment,
    random_basis,
    random_basis_misalignment,
    sampling_floor,
)
from rl_keras.science.eigenspaces import Eigenspaces, eigenspaces, sampled_eigenspaces
from rl_keras.science.filters import kernel_to_rows
from rl_keras.science.nulls import gaussian_null, sign_flip_test
from rl_keras.science.patches import PatchMoments
from rl_keras.science.transfer import transfer_function
from rl_keras.seeds import derive_seed

_SHOWN_RANKS = 5  # curves of f in TensorBoard; the arrays hold all of them
NULL_DRAWS = 100
MOST_DIMENSIONS = 100  # up to which the default number of draws is taken
_FLOOR_DRAWS = 200
_NO_VARIANCE = 1e-12  # of the mean square; below, what is left is rounding
FIELDS = ("null_low", "null_mean", "null_high", "p_value")


class CovarianceAlignment(Measurement):
    """Follows the alignment of one layer's filters with its inputs while training.

    At each measurement it records the misalignment of the filter covariance with
    the data's eigenbasis, the same with random orthonormal bases, the value that
    perfectly aligned filters would show by sampling alone, the band in which these
    very filters would lie if they were aligned (their signs flipped at random along
    the data's eigenvectors), and the transfer function. Low misalignment says
    nothing by itself: fresh isotropic filters score the floor in every basis. The
    evidence of learning is a random basis that rises while the data basis stays in
    the band.

    Args:
        data: what the layer's input moments are computed from: whatever `fit` takes as
            inputs (see `batches.batches_of_inputs`), such as an array `(n, ...)` or a
            `tf.data.Dataset` of `(image, label)`; or ready `PatchMoments` of the layer's own
            input, or `SharedInputs`, with which several layers need one pass between them.
        layer: name, path or index of a Conv2D or Dense layer; the first by default.
        schedule: when to measure, such as `every(20)`.
        writers: where scalars and images go as well.
        num_random_bases: random bases to average over.
        seed: seed of the random bases and of the flips.
        max_examples: examples from which the input moments are computed, at most.
        center_filters: subtract the mean filter. The theory gives filters mean
            zero, so by default the second moment is used.
        few_filters: accept a layer with no more filters than input dimensions, to
            pool its filters over runs; its misalignment and floor are NaN.
        keep_filters: record the filters too, to pool them over runs at every step.
        null_draws: random flips for the band; 0 for none. The cost grows with the cube
            of the input dimension, so the default is not drawn beyond 100 dimensions;
            any other number is, see `draws_for`.
        group_eigenvalues: take eigenvalues that differ by no more than their sampling
            error for one, see `eigenspaces.sampled_eigenspaces`. It counts examples, not
            patches, and takes them for independent. The floor is then that of 200 draws,
            and random bases are grouped alike.
        name: put in front of the names of scalars.

    Attributes:
        records: structured array with fields `step`, `data_basis`, `random_basis`
            (mean over bases), `random_basis_sd`, `floor`, `weight_norm`, `null_low`,
            `null_mean`, `null_high` (bounds of 95% of the flips, and their mean),
            `p_value` (of `data_basis` among the flips) and
            `transfer` `(d,)`, f in the order of descending data eigenvalues; with
            `keep_filters` also `filters_by_step`, float32 `(num_filters, d)`. What is
            undefined or not drawn is NaN: everything that needs the data's axes is undefined
            where all inputs of the layer are equal.
        spaces: eigenvalues and eigenvectors of the input covariance.
        layer_path: the path of the measured layer.

    Raises:
        ValueError: when training begins, if no such layer exists, it is not a
            plain Conv2D or Dense layer, or it has no more filters than input
            dimensions, so that the misalignment is undefined, and `few_filters`
            is not set.

    Reference:
        Maennel et al., NeurIPS 2020, Definitions 1 to 3 and Figures 2 and 4; for the
        flips see `science.nulls.sign_flip_null`.

    Example:
        >>> alignment = CovarianceAlignment(dataset, layer="conv1", schedule=every(50))
        >>> model.fit(dataset, callbacks=[alignment])
        >>> alignment.records["data_basis"]
    """

    def __init__(
        self,
        data,
        layer: str | int = 0,
        schedule: Schedule | None = None,
        writers: Sequence = (),
        num_random_bases: int = 20,
        seed: int = 0,
        max_examples: int = 10_000,
        center_filters: bool = False,
        few_filters: bool = False,
        keep_filters: bool = False,
        null_draws: int = NULL_DRAWS,
        group_eigenvalues: bool = False,
        name: str = "",
    ):
        super().__init__(schedule, writers, name)
        self.data = data
        self.layer = layer
        self.num_random_bases = num_random_bases
        self.seed = seed
        self.max_examples = max_examples
        self.center_filters = center_filters
        self.few_filters = few_filters
        self.keep_filters = keep_filters
        self.null_draws = null_draws
        self.group_eigenvalues = group_eigenvalues
        self.layer_path: str | None = None
        self.spaces: Eigenspaces | None = None

    def sample(self):
        if isinstance(self.data, PatchMoments):
            return None
        data = self.data.data if isinstance(self.data, SharedInputs) else self.data
        return first_batch(data, limit=8, model=self.model)

    def prepare(self):
        self._sample = self.sample()
        self.layer_path, self._layer = find_layer(self.model, self.layer, self._sample)
        rows = self.filter_rows()
        num_filters, dim = rows.shape
        self._is_defined = not self.few_filters or num_filters - self.center_filters > dim
        self._floor = np.nan
        if self._is_defined:
            self._floor = sampling_floor(num_filters, dim, centered=self.center_filters)
        self._num_draws = draws_for(self.null_draws, dim) if self._is_defined else 0
        self._basis_seeds = [
            derive_seed(self.seed, "random_basis", number)
            for number in range(self.num_random_bases)
        ]
        self.spaces = None
        self._read_inputs = capture(self.model, [self._layer], input_of)
        self._refresh_spaces()

    def filter_rows(self) -> np.ndarray:
        """Returns the layer's filters as rows `(num_filters, d)`."""
        return kernel_to_rows(effective_kernel(self._layer))

    def measure(self, step):
        self._refresh_spaces()
        rows = self.filter_rows()
        cov = filter_covariance(
            rows, centered=self.center_filters, require_full_rank=self._is_defined
        )
        random, data = [np.nan], np.nan
        is_defined = self._is_defined and not self._is_flat
        if is_defined:
            random = [self._random_basis_misalignment(cov, seed) for seed in self._basis_seeds]
            data = misalignment(self.spaces, cov)
        draws = self._num_draws if is_defined else 0
        record = {
            "data_basis": data,
            "random_basis": float(np.mean(random)),
            "random_basis_sd": float(np.std(random)),
            "floor": self._floor,
            "weight_norm": float(np.linalg.norm(rows)),
            **null_band(rows, self.spaces, draws, self.seed, step, self.center_filters),
        }
        for name, value in record.items():
            if np.isfinite(value):
                self.write_scalar(step, f"alignment/{self.layer_path}/{name}", value)
        transfer = transfer_function(self.spaces, cov).values
        if self._is_flat:
            transfer = np.full_like(transfer, np.nan)
        self._write_transfer(step, transfer)
        kept = {"filters_by_step": rows.astype(np.float32)} if self.keep_filters else {}
        return {**record, "transfer": transfer, **kept}

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        self._write_images(self.current_step())

    def on_train_end(self, logs=None):
        super().on_train_end(logs)
        self._write_images(self.current_step())

    def _random_basis_misalignment(self, cov, seed):
        if not self.group_eigenvalues:
            return random_basis_misalignment(cov, seed)
        # A coarser grouping lowers the score, so the contrast must have the same.
        vectors = random_basis(len(cov), seed)
        return misalignment(dataclasses.replace(self.spaces, vectors=vectors), cov)

    def _refresh_spaces(self):
        """Recomputes the input covariance, unless the layer still sees the same inputs."""
        if isinstance(self.data, PatchMoments):
            if self.spaces is None:
                self._set_moments(self.data, self.data.num_examples)
            return
        if isinstance(self.data, SharedInputs):
            moments = self.data.moments(self.model, self.layer_path)
            if self.spaces is None or moments is not self._seen:
                self._set_moments(moments, moments.num_examples)
            self._seen = moments
            return
        seen = self._layer_inputs(self._sample)
        if self.spaces is not None and np.array_equal(seen, self._seen):
            return
        self._seen = seen
        moments, total = new_moments(self._layer), 0
        for batch in batches_of_inputs(self.data, self.max_examples, model=self.model):
            moments.update(self._layer_inputs(batch))
            total += num_examples(batch)
        self._set_moments(moments, total)

    def _layer_inputs(self, batch):
        return as_examples(self._layer, self._read_inputs(batch)[0])

    def _set_moments(self, moments, total):
        num_filters, dim = self.filter_rows().shape
        if moments.dim != dim:
            raise ValueError(
                f"`data` must be the input of layer {self.layer_path!r}, whose filters have {dim} "
                f"entries. Received: moments of dimension {moments.dim}"
            )
        covariance = moments.covariance()
        variance, square = np.trace(covariance), np.sum(moments.mean**2)
        self._is_flat = bool(variance <= _NO_VARIANCE * (variance + square))
        if self._is_flat:
            self.warn(
                f"all inputs of layer {self.layer_path!r} are equal, so they have no axes, and "
                "the alignment with them is undefined and recorded as NaN."
            )
        if not self.group_eigenvalues:
            self.spaces = eigenspaces(covariance)
            return
        self.spaces = sampled_eigenspaces(covariance, total)
        if self._is_defined:
            self._floor = grouped_floor(num_filters, self.spaces, self.center_filters)

    def _write_transfer(self, step, transfer):
        ranks = np.unique(np.linspace(1, len(transfer), _SHOWN_RANKS).astype(int))
        for rank in ranks:
            name = f"transfer/{self.layer_path}/rank_{rank:02d}"
            for board in self._boards():
                board.scalar(step, self.tag(board, name), transfer[rank - 1])

    def _write_images(self, step):
        shape = tuple(self._layer.kernel.shape[:-1])
        if len(shape) != 3 or shape[-1] not in (1, 3):
            return
        pictures = {"filters": self.filter_rows()[:64], "eigenvectors": self.spaces.vectors.T}
        for name, rows in pictures.items():
            for board in self._boards():
                tag = self.tag(board, f"{name}/{self.layer_path}")
                board.image(step, tag, image_grid(rows, shape))

    def _boards(self):
        """The writers that show pictures; a log of numbers holds neither these nor all of f."""
        return [writer for writer in self.writers if hasattr(writer, "image")]

    @property
    def array_prefix(self):
        return f"alignment/{self.layer_path}"

    def arrays(self):
        return {
            **super().arrays(),
            "eigenvalues": self.spaces.values,
            "eigenvectors": self.spaces.vectors,
            "group_sizes": np.array([group.stop - group.start for group in self.spaces.groups]),
            "filters": self.filter_rows(),
        }

    @classmethod
    def of_stage(cls, view):
        settings = view.settings
        return [
            cls(
                view.moments(path),
                layer=path,
                schedule=view.schedule,
                writers=view.writers,
                num_random_bases=settings.random_bases,
                seed=view.seed("random_bases", path),
                max_examples=settings.moment_examples,
                few_filters=settings.few_filters,
                keep_filters=settings.keep_filters,
                null_draws=settings.null_draws,
                group_eigenvalues=settings.group_eigenvalues,
            )
            for path in view.alignment_layers
        ]


def draws_for(null_draws: int, dim: int) -> int:
    """Returns how many draws are taken in `dim` dimensions; 0 for none.

    A draw inverts a `dim x dim` matrix. A hundred of them take 0.07 seconds of one core for
    256 filters in 27 dimensions, 0.4 in 75, 2 in 147 and 7 in 200. So the default number
    is not drawn beyond 100 dimensions; any other number is, since it was asked for.

    Example:
        >>> draws_for(100, 27), draws_for(100, 512), draws_for(20, 512)
        (100, 0, 20)
    """
    return 0 if null_draws == NULL_DRAWS and dim > MOST_DIMENSIONS else null_draws


def null_band(
    rows: np.ndarray, spaces: Eigenspaces, draws: int, seed: int, step: int, centered: bool = False
) -> dict[str, float]:
    """Returns the bounds of 95% of the sign-flip null, its mean, and the p-value of the score.

    The draws depend on the seed and the step alone, so a run that was resumed, or that
    measures at other steps, has the same band at the same step.

    Args:
        rows: array `(n, d)`, one filter per row, more filters than dimensions.
        spaces: of the data covariance.
        draws: how many; with 0 every field is NaN.
        seed: of the draws of a run.
        step: optimiser step.
        centered: as in `alignment.filter_covariance`.

    Returns:
        `null_low`, `null_mean`, `null_high` in nats, and `p_value`.

    Example:
        >>> null_band([[3.0], [4.0]], as_spaces([[1.0]]), draws=9, seed=0, step=0)
        {'null_low': 0.0, 'null_mean': 0.0, 'null_high': 0.0, 'p_value': 1.0}

    Reference:
        See `science.nulls.sign_flip_null`: the band assumes that the filters of a run are
        independent, which holds for fresh ones and nearly so in wide layers.
    """
    if not draws:
        return dict.fromkeys(FIELDS, np.nan)
    rng = np.random.default_rng(derive_seed(seed, "sign_flips", step))
    test = sign_flip_test(rows, spaces, draws, rng, centered)
    # No interpolation: a draw without an inverse is infinite, and two of them have no midpoint.
    low, high = np.quantile(test.draws, (0.025, 0.975), method="inverted_cdf")
    values = (low, test.draws.mean(), high, test.p_value)
    return dict(zip(FIELDS, map(float, values), strict=True))


def grouped_floor(num_filters: int, spaces: Eigenspaces, centered: bool = False) -> float:
    """Returns the mean misalignment of aligned Gaussian filters where eigenvalues repeat.

    `alignment.sampling_floor` is exact for distinct ones and has no closed form here, so it
    is the mean of 200 draws, the same for all runs.

    Args:
        num_filters: more than dimensions.
        spaces: of the data covariance.
        centered: as in `null_band`.

    Example:
        >>> grouped_floor(9, as_spaces([[1.0]]))
        0.0
    """
    rng = np.random.default_rng(derive_seed(0, "grouped_floor"))
    return float(gaussian_null(num_filters, spaces, _FLOOR_DRAWS, rng, centered).mean())
