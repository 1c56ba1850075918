"""Opens a data set by name, and says what to do when it is not there."""

import contextlib
import difflib
import io
import os
import re
from collections.abc import Sequence

import tensorflow_datasets as tfds

from rl_keras.data.gaussian import GaussianSource
from rl_keras.data.natural_patches import NaturalPatches  # the import makes TFDS know it
from rl_keras.data.tfds_source import TfdsSource, supported_keys
from rl_keras.errors import UsageError
from rl_keras.storage.files import folder

# name, name/config, name:1.2.3 and both; no "namespace:name", which TFDS would look up online.
_NAME = re.compile(r"\w+(/[\w.+-]+)?(:[\d.*]+)?")
EMBEDDED = NaturalPatches.name


def open_source(
    name: str,
    data_dir: str | None = None,
    download: bool = False,
    variances: Sequence[float] = (),
    num_examples: int = 4000,
    image_size: int = 0,
    rotation: int = 0,
) -> TfdsSource | GaussianSource:
    """Returns a data set by name, ready to be read.

    The network is touched only with `download=True`. `natural_patches` is
    embedded: it is prepared on first use, into the folder it will be read from.

    What is returned has the attributes `name`, `image_shape`, `dtype`,
    `num_classes`, `class_names` and `splits`, and the methods `slice_of(spec)`,
    `identify(split)` and `read(spec)`.

    Args:
        name: `"natural_patches"`, `"gaussian"`, any TFDS image classification
            set, or one that the user's own builder prepared into `data_dir`.
        data_dir: folder of prepared data; `None` or empty for the TFDS default.
        download: let TFDS download and prepare what is missing.
        variances: only for `"gaussian"`, one for each dimension.
        num_examples: only for `"gaussian"`, the size of the split `train`.
        image_size: not for `"gaussian"`, side of the square to which images are
            resized and cropped; 0 for images as they are.
        rotation: only for `"gaussian"`, seed of the axes of the variances; 0 for those of the
            inputs.

    Raises:
        UsageError: an unknown name, missing or damaged files, or a data set
            that is not for image classification.

    Example:
        >>> open_source("natural_patches").image_shape
        (32, 32, 3)
    """
    if name == GaussianSource.name:
        return GaussianSource(variances, num_examples, rotation)
    if data_dir:
        data_dir = os.path.expanduser(data_dir)
        if not folder(data_dir, "data_dir").is_dir():
            raise UsageError(
                "--data_dir must be an existing folder; create it, or leave the flag out for the "
                f"TFDS default. Received: {data_dir}"
            )
    tfds.disable_progress_bar()
    builder = _find_builder(name, data_dir or None)
    supported_keys(name, builder.info, image_size)  # refuses before anything is downloaded
    if not builder.is_prepared():
        if builder.name != EMBEDDED and not download:
            raise _not_prepared(name, builder, data_dir)
        builder = _prepare(name, builder, data_dir or None)
    if not builder.info.splits:
        raise UsageError(
            f"Data set {name!r} is damaged: dataset_info.json is missing or names no splits. "
            f"Delete the folder and prepare it again. Received: {builder.data_dir}"
        )
    return TfdsSource(name, builder, image_size)


def _find_builder(name, data_dir):
    if not _NAME.fullmatch(name):
        raise UsageError(
            "--dataset must be a TFDS name such as cifar10, cifar10_corrupted/fog_1 or "
            f"cifar10:3.0.2. Received: {name!r}"
        )
    base_name = re.split("[/:]", name)[0]
    data_root = os.path.expanduser(data_dir or tfds.core.constants.DATA_DIR)
    prepared = folder(data_root, "data_dir") / base_name
    try:
        return tfds.builder(name, data_dir=data_dir, try_gcs=False)
    except tfds.core.DatasetNotFoundError as error:
        if prepared.is_dir():
            raise UsageError(
                f"Folder {prepared} holds no such version or config with a features.json, and TFDS "
                "has no code to prepare the data set. Check the name, or prepare it again with the "
                f"code that made it. Received: --dataset={name}"
            ) from error
        raise _unknown(name, base_name, data_dir) from error
    except Exception as error:
        # TFDS has no common error: its parsers, versions and imports raise what they like.
        raise UsageError(
            f"Data set {name!r} cannot be opened: {_first_line(error)}. Check its config and "
            f"version; if its files are damaged, delete {prepared} and prepare it again. "
            f"Received: --dataset={name}"
        ) from error


def _unknown(name, base_name, data_dir):
    known = [*tfds.list_builders(with_community_datasets=False), GaussianSource.name]
    close = difflib.get_close_matches(base_name, known, n=3)
    hint = f"did you mean {' or '.join(close)}?" if close else f"try {EMBEDDED} or cifar10."
    return UsageError(
        f"--dataset is neither known to TFDS nor prepared in {data_dir or 'the TFDS folder'}; "
        f"{hint} Received: {name!r}"
    )


def _not_prepared(name, builder, data_dir):
    expected = folder(builder.data_dir, "data_dir")
    versions = sorted(path.name for path in expected.parent.glob("[0-9]*.[0-9]*.[0-9]*"))
    hint = ""
    if versions:
        hint = f" There is version {', '.join(versions)}: --dataset={name}:{versions[-1]} takes it."
    where = "another folder than --data_dir" if data_dir else "its folder with --data_dir"
    return UsageError(
        f"Data set {name!r} is not prepared in {expected}.{hint} Run with --download to fetch it, "
        f"name {where}, or use --dataset={EMBEDDED}, which needs no network. "
        f"Received: --dataset={name} --data_dir={data_dir or ''}"
    )


def _prepare(name, builder, data_dir):
    """Returns the prepared builder: a new one if another process has prepared it meanwhile."""
    config = tfds.download.DownloadConfig(try_download_gcs=False)
    # TFDS prints how a download goes on; for the embedded set nothing is downloaded.
    quiet = contextlib.redirect_stdout(io.StringIO()) if builder.name == EMBEDDED else None
    try:
        with quiet or contextlib.nullcontext():
            builder.download_and_prepare(download_config=config)
        return builder
    except Exception as error:
        # Runs started side by side prepare the same set; the first to finish has the folder.
        other = _find_builder(name, data_dir)
        if other.is_prepared():
            return other
        if builder.name == EMBEDDED:
            advice = "Name a folder that can be written with --data_dir."
        elif builder.MANUAL_DOWNLOAD_INSTRUCTIONS:
            advice = f"TFDS says: {' '.join(builder.MANUAL_DOWNLOAD_INSTRUCTIONS.split())}"
        else:
            advice = (
                "Check the network and the room on the disk, or prepare it elsewhere and name the "
                f"folder with --data_dir; --dataset={EMBEDDED} needs no network."
            )
        raise UsageError(
            f"Data set {name!r} cannot be prepared in {builder.data_dir}: {_first_line(error)}. "
            f"{advice} Received: --dataset={name}"
        ) from error


def _first_line(error):
    lines = str(error).strip().splitlines() or [repr(error)]
    # TFDS puts the arguments it was called with in front.
    return re.sub(r'^Failed to construct dataset .*?}": ', "", lines[0]).rstrip(".:")
