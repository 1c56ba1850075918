"""Where files are, on a disk or under gs://, and how each is written: whole or not at all."""

import os
import re
import tempfile
import uuid
from pathlib import Path

from rl_keras.errors import UsageError
from rl_keras.storage.cloud import SCHEME, CloudPath

AnyPath = Path | CloudPath


def folder(text: str | AnyPath, flag: str) -> AnyPath:
    """Returns a local path, or one in the cloud for text that begins with `gs://`.

    Args:
        text: what the user wrote; a path is returned as it is.
        flag: where it was written.

    Raises:
        UsageError: for another scheme than `gs://`, or none of its buckets.

    Example:
        >>> folder("runs/a", "workdir"), folder("gs://bucket/a", "workdir")
        (PosixPath('runs/a'), CloudPath('gs://bucket/a'))
    """
    if not isinstance(text, str):
        return text
    # Also matches gs:/, to which a library for local paths may have shortened gs://.
    if not re.match(r"\w{2,}:/", text):
        return Path(text)
    if not re.match(SCHEME + r"[^/\s]", text):
        raise UsageError(
            f"--{flag} must be a local folder or {SCHEME}BUCKET/FOLDER. Received: {text}"
        )
    return CloudPath(text)


def write_bytes(path: AnyPath, content: bytes) -> None:
    """Writes a whole file or nothing: temporary name, fsync, rename.

    In the cloud an object is visible when its upload has ended, so it is written
    under its own name.
    """
    if isinstance(path, CloudPath):
        path.write_bytes(content)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def try_writing(path: AnyPath) -> None:
    """Writes into a folder, or the nearest existing one above it, and leaves nothing there.

    Permissions alone mislead: for the superuser, on read-only and on full disks.

    Raises:
        NotADirectoryError: if a file is in the way.
        OSError: if writing fails for any other reason.
    """
    if isinstance(path, CloudPath):
        if path.is_file():
            raise NotADirectoryError(str(path))
        probe = path / f".{uuid.uuid4().hex}.tmp"
        probe.write_bytes(b"0" * 4096)
        probe.unlink()
        return
    while not path.exists() and path != path.parent:
        path = path.parent
    if not path.is_dir():
        raise NotADirectoryError(str(path))
    with tempfile.TemporaryFile(dir=path) as file:
        file.write(b"0" * 4096)
