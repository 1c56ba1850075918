"""Starts TensorFlow without its start-up notices."""

import contextlib
import glob
import importlib
import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from types import ModuleType


@contextlib.contextmanager
def hidden_notices() -> Iterator[None]:
    """Holds back what native code writes to stderr, and shows it if the block fails.

    TensorFlow announces CPU features and absent GPUs before its log level is
    read, so no setting silences them; a user's one-line error would drown.
    """
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            os.dup2(stderr, 2)
            held.seek(0)
            sys.stderr.write(held.read().decode(errors="replace"))
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def start_tensorflow() -> ModuleType:
    """Imports TensorFlow and lists its devices, quietly; returns the module."""
    logging.getLogger("absl").setLevel(logging.ERROR)
    if not has_tpu_chips():
        # On import the TPU build asks a cloud machine's metadata server, for minutes if there
        # is none; seen with tensorflow-tpu 2.19.1. Other builds ignore the variable.
        os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
    with hidden_notices():
        tensorflow = importlib.import_module("tensorflow")
        tensorflow.config.list_physical_devices()
    return tensorflow


def has_tpu_chips() -> bool:
    """Says whether TPU chips are attached to this machine, as they are to a TPU VM."""
    return bool(glob.glob("/dev/accel*") or glob.glob("/dev/vfio/[0-9]*"))
