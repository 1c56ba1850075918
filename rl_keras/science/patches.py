"""Mean and covariance of the patches a layer sees, in one pass and without the patches."""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from rl_keras.errors import UsageError

_CHUNK_BYTES = 16 * 2**20  # images are converted to float64 this much at a time
_MIN_STRIP = 32  # narrower matrix products are slow


class PatchMoments:
    """Streaming mean and covariance of the patches a `Conv2D` layer sees.

    A patch is the part of the padded input under the kernel at one output
    position, flattened in the order of `filters.kernel_to_rows`. Its covariance
    is the paper's data covariance Sigma_x for a convolutional first layer.

    Sums of products are kept in float64 and uncentred: exact for integer images
    and, up to rounding, the same for any division into batches. Subtract a
    constant first from data whose mean exceeds its spread by many orders.

    Args:
        kernel_size: an integer or a pair `(kh, kw)`; `None` for the inputs of a
            `Dense` layer, where an example `(n, ...)` is flattened to one vector.
        strides: an integer or a pair, as in `Conv2D`. Not used for vectors.
        padding: `"valid"` or `"same"`, as in TensorFlow. Not used for vectors.

    Raises:
        UsageError: if a setting is not of this form.

    Example:
        >>> moments = PatchMoments(kernel_size=1).update([[[[1.0], [3.0]]]])
        >>> moments.count, moments.mean.tolist(), moments.covariance().tolist()
        (2, [2.0], [[1.0]])

    Reference:
        Maennel et al., NeurIPS 2020, arXiv 2006.10455, Proposition 1.
    """

    def __init__(
        self,
        kernel_size: int | tuple[int, int] | None = None,
        strides: int | tuple[int, int] = 1,
        padding: str = "valid",
    ):
        if padding not in ("valid", "same"):
            raise UsageError(f'padding must be "valid" or "same". Received: padding={padding!r}')
        self.kernel_size = None if kernel_size is None else _pair(kernel_size, "kernel_size")
        self.strides = _pair(strides, "strides")
        self.padding = padding
        self._count = 0
        self._num_examples = 0
        self._sum: Any = None  # (kh, kw, c)
        self._products: Any = None  # (kh, kw, c, kh, kw, c), see `_add_products`

    def update(self, batch: ArrayLike) -> "PatchMoments":
        """Adds all patches of a batch and returns the object itself.

        Args:
            batch: array of any real dtype, images `(n, h, w, c)`, or `(n, ...)`
                if `kernel_size` is `None`. `h` and `w` may differ between batches.

        Raises:
            UsageError: if the shape does not fit, the images are smaller than the
                kernel, or an entry is not a finite real number. Nothing is added then.
        """
        images = self._as_images(batch)
        _, height, width, channels = images.shape
        kernel, strides, pads = (1, 1), (1, 1), ((0, 0), (0, 0))
        if self.kernel_size is not None:
            kernel, strides = self.kernel_size, self.strides
            if self.padding == "same":
                pads = tuple(map(_same_padding, (height, width), kernel, strides))
        (top, bottom), (left, right) = pads
        rows, columns = height + top + bottom, width + left + right
        if rows < kernel[0] or columns < kernel[1]:
            raise UsageError(
                f"Images must be at least as large as the kernel {kernel}; use larger images or "
                f'padding="same". Received: images of {height} x {width}'
            )
        if self._sum is None:
            self._sum = np.zeros((*kernel, channels))
            self._products = np.zeros((*kernel, channels, *kernel, channels))
        outputs = (rows - kernel[0]) // strides[0] + 1, (columns - kernel[1]) // strides[1] + 1
        step = max(1, _CHUNK_BYTES // (8 * rows * columns * channels))
        for start in range(0, len(images), step):
            chunk = images[start : start + step]
            # With the image row first, consecutive rows of all images form one matrix.
            padded = np.zeros((rows, len(chunk), columns, channels))
            padded[top : top + height, :, left : left + width] = np.moveaxis(chunk, 0, 1)
            _add_sums(self._sum, padded, outputs, strides)
            _add_products(self._products, padded, outputs, strides)
            self._count += len(chunk) * math.prod(outputs)
        self._num_examples += len(images)
        return self

    def merge(self, other: "PatchMoments") -> "PatchMoments":
        """Adds the patches another object has seen and returns the object itself.

        Raises:
            UsageError: if the settings or the numbers of channels differ.
        """
        for name in ("kernel_size", "strides", "padding"):
            mine, theirs = getattr(self, name), getattr(other, name)
            if mine != theirs:
                raise UsageError(
                    f"Moments can be merged only for the same layer; expected {name}={mine!r}. "
                    f"Received: {name}={theirs!r}"
                )
        if other._sum is None:
            return self
        if self._sum is None:
            self._sum, self._products = np.zeros_like(other._sum), np.zeros_like(other._products)
        if self.dim != other.dim:
            raise UsageError(
                f"Moments can be merged only for the same layer; expected dim={self.dim}. "
                f"Received: dim={other.dim}"
            )
        self._sum += other._sum
        self._products += other._products
        self._count += other._count
        self._num_examples += other._num_examples
        return self

    @property
    def dim(self) -> int:
        """Number of entries of a patch, `d = kh * kw * c`; known after the first batch."""
        if self._sum is None:
            raise UsageError("There are no patches yet; call `update` first. Received: 0 batches")
        return self._sum.size

    @property
    def count(self) -> int:
        """Number of patches seen, over all images and output positions."""
        return self._count

    @property
    def num_examples(self) -> int:
        """Number of images or vectors seen, of which there are as many independent ones at most."""
        return self._num_examples

    @property
    def mean(self) -> np.ndarray:
        """Mean patch, float64 `(d,)`."""
        dim = self.dim
        return self._sum.reshape(dim) / self._count

    def covariance(self, centered: bool = True) -> np.ndarray:
        """Covariance of the patches, float64 `(d, d)`, symmetric, positive semi-definite.

        The sum is divided by `count`, not by `count - 1` (the population form).

        Args:
            centered: `False` leaves the mean in and returns the second moment.

        Raises:
            UsageError: if there are no patches yet.
        """
        dim = self.dim
        matrix = self._products.reshape(dim, dim) / self._count
        if centered:
            matrix -= np.outer(self.mean, self.mean)
        return np.triu(matrix) + np.triu(matrix, 1).T

    def _as_images(self, batch):
        batch = np.asarray(batch)
        if self.kernel_size is None and batch.ndim > 1:
            batch = batch.reshape(len(batch), 1, 1, math.prod(batch.shape[1:]))
        if batch.ndim != 4 or 0 in batch.shape:
            wanted = "(n, ...)" if self.kernel_size is None else "(n, h, w, c)"
            raise UsageError(
                f"A batch must have the shape {wanted} without empty axes; stack the examples "
                f"along the first axis. Received: shape={batch.shape}"
            )
        if self._sum is not None and batch.shape[3] != self._sum.shape[2]:
            raise UsageError(
                f"Every batch must have {self._sum.shape[2]} channels like the first; use one "
                f"PatchMoments per layer. Received: {batch.shape[3]} channels"
            )
        kind = batch.dtype.kind
        if kind not in "buif" or (kind == "f" and not np.isfinite(batch.sum(dtype=np.float64))):
            raise UsageError(
                "A batch must hold finite real numbers; look for NaN or infinity in the input. "
                f"Received: dtype={batch.dtype}"
            )
        return batch


def _pair(value, name):
    pair = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(pair) != 2 or not all(isinstance(n, (int, np.integer)) and n > 0 for n in pair):
        raise UsageError(
            f"{name} must be a positive integer or a pair of them. Received: {name}={value!r}"
        )
    return tuple(int(n) for n in pair)


def _same_padding(size, kernel, stride):
    """TensorFlow's rule: `ceil(size / stride)` outputs, the odd zero goes at the end."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def _add_sums(sums, padded, outputs, strides):
    """Adds every patch to `sums`.

    Args:
        sums: float64 array `(kh, kw, c)`, changed in place.
        padded: float64 array `(height, n, width, c)`; the image row is the first axis.
        outputs: numbers of output rows and columns.
        strides: strides over rows and columns.
    """
    image = padded.sum(axis=1)
    for row, column in np.ndindex(sums.shape[:2]):
        rows = _span(row, outputs[0], strides[0])
        columns = _span(column, outputs[1], strides[1])
        sums[row, column] += image[rows, columns].sum(axis=(0, 1))


def _add_products(products, padded, outputs, strides):
    """Adds the outer product of every patch with itself to `products`.

    Kernel row `i` meets the image rows `i + stride * p`, where `p` counts output
    rows. Kernel row `i + stride` meets the same image rows less the first and
    one more at the end, so only the first `stride` kernel rows need all of them.

    Args:
        products: float64 array `(kh, kw, c, kh, kw, c)`, changed in place, and only
            where the second kernel row is not before the first.
        padded: float64 array `(height, n, width, c)`; the image row is the first axis.
        outputs: numbers of output rows and columns.
        strides: strides over rows and columns.
    """
    kh, kw, channels = products.shape[:3]
    stride, last = strides[0], strides[0] * (outputs[0] - 1)
    lines = padded.reshape(*padded.shape[:2], -1)
    # A view for stride 1: BLAS reads the strips below without a copy either way.
    met = [lines[_span(i, outputs[0], stride)].reshape(-1, lines.shape[2]) for i in range(kh)]
    for num_columns, strips in _strips(outputs[1], strides[1], kw, channels):
        for below in range(kh):
            grams: list[np.ndarray] = []
            for i in range(kh - below):
                if i < stride:
                    gram = _gram(met[i], met[i + below], strips)
                else:
                    first, final = i - stride, i + last
                    gram = grams[first] + _gram(lines[final], lines[final + below], strips)
                    gram -= _gram(lines[first], lines[first + below], strips)
                grams.append(gram)
                _fold(products[i, :, :, i + below], gram, num_columns, strides[1])


def _span(first, num, stride):
    """The `num` places `first`, `first + stride`, ..."""
    return slice(first, first + stride * (num - 1) + 1, stride)


def _strips(num_columns, stride, kw, channels):
    """Yields `(output columns per strip, slices of an image line)`, equal strips together.

    Products of pixels further apart than the kernel is wide are wasted. The waste
    is least near `kw / stride - 1` output columns and grows slowly beyond.
    """
    size = max(1, kw // stride - 1, -(-_MIN_STRIP // (stride * channels)))
    size = min(size, num_columns)
    whole = num_columns - num_columns % size
    for num, starts in ((size, range(0, whole, size)), (num_columns - whole, [whole])):
        if num:
            width = stride * (num - 1) + kw
            yield (
                num,
                [slice(q * stride * channels, (q * stride + width) * channels) for q in starts],
            )


def _gram(left, right, strips):
    """Products of the pixels of two sets of image lines, summed over images and strips."""
    return sum(left[:, strip].T @ right[:, strip] for strip in strips)


def _fold(block, gram, num_columns, stride):
    """Sums the pixel products of a strip over its output columns into `(kw, c, kw, c)`."""
    kw, channels = block.shape[:2]
    pixels = gram.reshape(len(gram) // channels, channels, -1, channels)
    for column, other in np.ndindex(kw, kw):
        met = pixels[_span(column, num_columns, stride), :, _span(other, num_columns, stride)]
        block[column, :, other] += np.einsum("qcqd->cd", met)
