"""The labels of one slice as a table, and its file.

`labels/NAME.npz` says which example carried which label in a run, with a checksum
that does not depend on the order of the examples.
"""

import dataclasses
import hashlib
import io
import json
import zipfile
import zlib

import numpy as np

from rl_keras.data.labels import LabelMap
from rl_keras.errors import UsageError
from rl_keras.storage.files import AnyPath, write_bytes


@dataclasses.dataclass(frozen=True, eq=False)
class LabelTable:
    """Given and true labels of the examples of a slice, in reading order.

    Args:
        ids: bytes array `(n,)`, unique.
        given: int64 array `(n,)`, what the network is told.
        true: int64 array `(n,)`, `-1` where the data set has no label.
        label_map: the `LabelMap` that made `given`.
        sha256: hexadecimal checksum of ids and given labels.
    """

    ids: np.ndarray
    given: np.ndarray
    true: np.ndarray
    label_map: LabelMap
    sha256: str

    @property
    def nominal_rate(self) -> float | None:
        """Probability that a given label is not the true one; `None` without true labels."""
        known = self.true[self.true >= 0]
        if not known.size:
            return None
        label_map = self.label_map
        if label_map.kind == "true":
            return 0.0
        if label_map.kind == "random":
            # A true class beyond the random classes can never be hit.
            return float(1 - np.mean(known < label_map.num_classes) / label_map.num_classes)
        if label_map.kind == "permuted":
            return float(1 - np.sum((np.bincount(known) / known.size) ** 2))
        if label_map.corruption_kind == "redraw":
            return label_map.corruption * (1 - 1 / label_map.num_classes)
        return label_map.corruption

    @property
    def realised_rate(self) -> float | None:
        """Share of given labels that are not the true ones; `None` without true labels."""
        known = self.true >= 0
        if not known.any():
            return None
        return float(np.mean(self.given[known] != self.true[known]))


def label_table(source, spec: str, label_map: LabelMap) -> LabelTable:
    """Returns the labels of a slice.

    The map is applied to whole splits and then sliced, so an example keeps its
    label in every slice.

    Args:
        source: from `open_source`.
        spec: TFDS slicing text, such as `"train[:40%]"`.
        label_map: the `LabelMap` to apply.

    Returns:
        A `LabelTable`, in the order in which `source.read(spec)` yields.

    Raises:
        UsageError: a bad slice, absent true labels, or an id that occurs twice.

    Example:
        >>> label_table(source, "train[:3]", LabelMap("true", 0, 10)).realised_rate
        0.0
    """
    parts = []
    for split, start, stop in source.slice_of(spec):
        ids, true = source.identify(split)
        given = label_map.apply(ids, true)
        if true is None:
            true = np.full(len(ids), -1, np.int64)
        parts.append((ids[start:stop], given[start:stop], true[start:stop]))
    ids, given, true = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    _refuse_duplicates(ids, f"slice {spec!r} of data set {source.name!r}")
    return LabelTable(ids, given, true, label_map, labels_sha256(ids, given))


def labels_sha256(ids: np.ndarray, given: np.ndarray) -> str:
    """Returns the hexadecimal SHA-256 of a labelling, the same in every order of examples."""
    ids, given = np.asarray(ids), np.asarray(given).astype("<i8")
    digest = hashlib.sha256()
    for index in np.argsort(ids, kind="stable"):
        identity = bytes(ids[index])
        digest.update(len(identity).to_bytes(4, "little") + identity + given[index].tobytes())
    return digest.hexdigest()


def save_labels(path: AnyPath, table: LabelTable) -> None:
    """Writes a `LabelTable` as npz; a crash leaves the old file or the new one."""
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        ids=table.ids,
        given=table.given,
        true=table.true,
        label_map=json.dumps(dataclasses.asdict(table.label_map)),
        sha256=table.sha256,
        rates=json.dumps({"nominal": table.nominal_rate, "realised": table.realised_rate}),
    )
    write_bytes(path, buffer.getvalue())


def load_labels(path: AnyPath) -> LabelTable:
    """Returns the `LabelTable` of a file that `save_labels` wrote, verified.

    Raises:
        UsageError: the file is absent, damaged, or does not match its checksum.
    """
    try:
        content = path.read_bytes()  # a disk or a network that fails does not mean a damaged file
    except FileNotFoundError:
        raise UsageError(f"There is no label file here. Received: {path}") from None
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in ("ids", "given", "true")}
            label_map = LabelMap(**json.loads(str(archive["label_map"])))
            sha256 = str(archive["sha256"])
    # What NumPy, zipfile and JSON raise on damaged input; AttributeError: an npy, not an npz.
    except (
        *(ValueError, KeyError, TypeError, AttributeError, EOFError),
        *(zipfile.BadZipFile, zlib.error, NotImplementedError),
    ) as error:
        raise _damaged(path, f"cannot be read ({error})") from error
    ids, given, true = arrays.values()
    if ids.dtype.kind != "S" or ids.ndim != 1 or not ids.size:
        raise _damaged(path, f"has ids of type {ids.dtype} and shape {ids.shape}")
    for name in ("given", "true"):
        if arrays[name].dtype != np.int64 or arrays[name].shape != ids.shape:
            raise _damaged(path, f"has {name!r} that is not int64 of shape {ids.shape}")
    _refuse_duplicates(ids, f"label file {path}")
    if labels_sha256(ids, given) != sha256:
        raise _damaged(path, "does not match its SHA-256")
    return LabelTable(ids, given, true, label_map, sha256)


def _damaged(path, what):
    return UsageError(f"The label file {what}. Delete it and run again. Received: {path}")


def _refuse_duplicates(ids, where):
    names, counts = np.unique(ids, return_counts=True)
    if counts.size and counts.max() > 1:
        raise UsageError(
            f"Every example needs its own id. Received: {names[counts.argmax()].decode()!r} "
            f"{counts.max()} times in {where}"
        )
