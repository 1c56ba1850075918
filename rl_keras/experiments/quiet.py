"""Starts TensorFlow without its start-up notices."""

import contextlib
import importlib
import logging
import os
import sys
import tempfile
from collections.abc import Iterator


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


def start_tensorflow() -> None:
    """Imports TensorFlow and lists its devices, quietly."""
    logging.getLogger("absl").setLevel(logging.ERROR)
    with hidden_notices():
        tensorflow = importlib.import_module("tensorflow")
        tensorflow.config.list_physical_devices()
