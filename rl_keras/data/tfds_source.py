"""An image classification set prepared by TFDS: its identities and its images."""

import contextlib
import errno
import os

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from rl_keras.data.options import as_written, pipeline_options
from rl_keras.data.resizing import central_square
from rl_keras.data.slices import resolve_slice
from rl_keras.errors import UsageError

# Files are read one after another. TFDS's default interleaves them, and then the order within a
# slice is not the order within the split, so that labels could not be matched by position.
_FILE_ORDER = {"interleave_cycle_length": 1}
# Without the autotuner TFDS would decode on 16 cores at most.
_PARALLEL_IMAGES = os.cpu_count()
# A bad checksum, a missing file, too few examples, bytes that are no image.
_DAMAGE = (
    tf.errors.DataLossError,
    tf.errors.NotFoundError,
    tf.errors.FailedPreconditionError,
    tf.errors.InvalidArgumentError,
)
# Under gs://: no network after ten attempts, or no right to read.
_AWAY = (
    tf.errors.AbortedError,
    tf.errors.UnavailableError,
    tf.errors.PermissionDeniedError,
    tf.errors.UnauthenticatedError,
)


class TfdsSource:
    """A prepared data set with images and class labels.

    Use `open_source`, which finds the builder.

    Args:
        name: as the user wrote it.
        builder: a prepared `tfds.core.DatasetBuilder`.
        image_size: side of the square to which `central_square` brings each image;
            0 for images as they are, which must then be of one size.

    Attributes:
        name: as the user wrote it.
        image_shape: `(height, width, channels)`.
        dtype: of the images, uint8.
        num_classes: number of classes.
        class_names: list of that length.
        splits: split name to number of examples.

    Raises:
        UsageError: not an image classification set, or not of one image size
            without `image_size`.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, name: str, builder, image_size: int = 0):
        self.name = name
        self._builder = builder
        self._image_size = image_size
        self._image_key, self._label_key = supported_keys(name, builder.info, image_size)
        features = builder.info.features
        image, label = features[self._image_key], features[self._label_key]
        height, width, channels = image.shape
        self.image_shape = (image_size or height, image_size or width, channels)
        self.num_classes, self.class_names = label.num_classes, list(label.names)
        self.splits = {split: info.num_examples for split, info in builder.info.splits.items()}
        self._id_key = _id_key(features)
        self._identities = {}

    def slice_of(self, spec: str) -> tuple[tuple[str, int, int], ...]:
        """Returns `(split, start, stop)` for each part of a TFDS slicing text.

        Raises:
            UsageError: a bad text, an unknown split or an empty slice.
        """
        return resolve_slice(spec, self._builder.info.splits)

    def identify(self, split: str) -> tuple[np.ndarray, np.ndarray | None]:
        """Returns ids and true labels of a whole split, in file order.

        No image is decoded. The id is the data set's own feature `id` or, as in
        imagenet2012, `file_name` where it has one, else the name TFDS gives it from
        its file and position.

        Returns:
            A bytes array `(n,)`, and an int64 array `(n,)` or `None` if no
            example of the split has a label.

        Raises:
            UsageError: the files are damaged.
        """
        if split not in self._identities:
            dataset = self._read(split, {self._label_key: True})
            columns = as_written(lambda example: (example["id"], example[self._label_key]))
            dataset = dataset.map(columns)
            ids, labels = [], []
            with self.refusing_damage():
                for some_ids, some_labels in dataset.batch(4096).as_numpy_iterator():
                    ids.extend(some_ids)
                    labels.extend(some_labels)
            ids, labels = np.array(ids, np.bytes_), np.array(labels, np.int64)
            for array in (ids, labels):
                array.setflags(write=False)  # shared by every caller
            self._identities[split] = ids, (labels if (labels >= 0).any() else None)
        return self._identities[split]

    def read(self, spec: str) -> tf.data.Dataset:
        """Returns the examples of a slice in file order.

        Position by position they match `identify` on the ranges of `slice_of`.
        Wrap the iteration in `refusing_damage`.

        Returns:
            A dataset of dicts: `image` uint8 `(h, w, c)` and `id`.
        """
        dataset = None
        for split, start, stop in self.slice_of(spec):
            part = self._read(
                tfds.core.ReadInstruction(split, from_=start, to=stop, unit="abs"),
                {self._image_key: True},
            ).map(
                as_written(lambda example: {"image": example[self._image_key], "id": example["id"]})
            )
            dataset = part if dataset is None else dataset.concatenate(part)
        return dataset

    @contextlib.contextmanager
    def refusing_damage(self):
        """Turns TensorFlow's errors on damaged files into `UsageError`.

        And those of a store that does not answer into `OSError`.
        """
        try:
            yield
        except _DAMAGE as error:
            raise self._damaged(_reason(error)) from error
        except _AWAY as error:
            raise OSError(errno.EIO, _reason(error), self._builder.data_dir) from error

    def _read(self, instruction, features):
        if self._id_key:
            features = {**features, self._id_key: True}
        decoders = None
        if self._image_size and self._image_key in features:
            decoders = {self._image_key: _decode_square(self._image_size)}
        dataset = self._builder.as_dataset(
            split=instruction,
            decoders=tfds.decode.PartialDecoding(features, decoders),
            read_config=tfds.ReadConfig(
                add_tfds_id=not self._id_key,
                try_autocache=False,  # what is streamed is too large to be kept decoded
                num_parallel_calls_for_decode=_PARALLEL_IMAGES,
                **_FILE_ORDER,
            ),
            shuffle_files=False,
        )
        key = self._id_key or "tfds_id"

        @as_written
        def rename(example):
            identity = example[key]
            if identity.dtype != tf.string:
                identity = tf.strings.as_string(identity)
            return {**example, "id": identity}

        return dataset.map(rename).with_options(pipeline_options())

    def _damaged(self, reason):
        return UsageError(
            f"The files of data set {self.name!r} are damaged: {reason}. Delete the folder and "
            f"prepare it again. Received: {self._builder.data_dir}"
        )


@tfds.decode.make_decoder()
def _decode_square(encoded, feature, size):
    # Where TFDS decodes, and so on as many cores.
    return central_square(feature.decode_example(encoded), size)


def _reason(error):
    # TensorFlow wraps what happened into the names of the op and its node.
    line = str(error).strip().splitlines()[0]
    return line.rpartition("}}")[2].partition(" [Op:")[0].strip()


def supported_keys(name: str, info, image_size: int = 0) -> tuple[str, str]:
    """Returns the names of the image and label features, for a set not yet prepared too.

    Raises:
        UsageError: not an image classification set, or not of one image size
            without `image_size`.
    """
    keys = info.supervised_keys
    is_pair = isinstance(keys, tuple) and len(keys) == 2 and all(isinstance(k, str) for k in keys)
    image, label = (info.features[key] for key in keys) if is_pair else (None, None)
    if not isinstance(image, tfds.features.Image) or not isinstance(
        label, tfds.features.ClassLabel
    ):
        reason = (
            "The data set must be for image classification: its supervised_keys must name an Image "
            "and a ClassLabel"
        )
    elif image.np_dtype != np.uint8:
        reason = "Only images of 8-bit integers are supported"
    elif image.shape[-1] is None:
        reason = "Only images with one number of channels are supported"
    elif None in image.shape and not image_size:
        raise UsageError(
            "Images of varying size need --image_size, the side of the square to which they are "
            f"resized and cropped, such as 224. Received: --dataset={name} --image_size=0"
        )
    else:
        return keys
    received = f"supervised_keys {keys}" + (f" and {image!r}" if image else "")
    raise UsageError(
        f"{reason}; choose another --dataset. Received: --dataset={name} with {received}"
    )


def _id_key(features):
    for key in ("id", "file_name"):
        if key in features:
            feature = features[key]
            if feature.shape == () and feature.np_dtype.kind in "iuOS":
                return key
    return None
