"""The arithmetic of `patches.PatchMoments`: sums over patches that are never collected.

The same product of two pixels occurs in many patches. Here it is formed about
once: image rows are multiplied with image rows, in strips a few output columns
wide, and every product of two patch entries is a sum of those. A matrix of
patches would hold each pixel `kh * kw` times.
"""

import numpy as np

_MIN_STRIP = 32  # narrower matrix products are slow


def add_sums(sums, padded, outputs, strides):
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


def add_products(products, padded, outputs, strides):
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
            grams = []
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
