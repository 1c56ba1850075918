"""Paths in Google Cloud Storage, with the methods of `pathlib.Path` that this project uses.

They go through `tf.io.gfile`, and TensorFlow is imported at the first access, not
before. Three things are settled here rather than at every caller: errors of the
store become `OSError`, so that a lost network reads like a full disk; a file is
read to its end, since TensorFlow trusts a length that may be that of the file
before it was replaced; and an object store has no folders, so making one does nothing.
"""

import contextlib
import errno
import fnmatch
import functools
import posixpath
from collections.abc import Iterator

SCHEME = "gs://"
_CHUNK = 16 * 2**20  # what TensorFlow fetches at a time


@functools.total_ordering
class CloudPath:
    """A name that begins with `gs://`.

    Args:
        text: `gs://BUCKET` or `gs://BUCKET/NAME`.

    Example:
        >>> path = CloudPath("gs://bucket/runs/") / "a" / "config.json"
        >>> str(path), path.stem, path.parent
        ('gs://bucket/runs/a/config.json', 'config', CloudPath('gs://bucket/runs/a'))
    """

    def __init__(self, text: str):
        self._key = posixpath.normpath(text.removeprefix(SCHEME))

    def __str__(self):
        return SCHEME + self._key

    __fspath__ = __str__

    def __repr__(self):
        return f"CloudPath({str(self)!r})"

    def __eq__(self, other):
        return isinstance(other, CloudPath) and self._key == other._key

    def __lt__(self, other):
        return self._key < other._key

    def __hash__(self):
        return hash(self._key)

    def __truediv__(self, name: str) -> "CloudPath":
        return CloudPath(posixpath.join(self._key, name))

    @property
    def name(self) -> str:
        return posixpath.basename(self._key)

    @property
    def stem(self) -> str:
        return posixpath.splitext(self.name)[0]

    @property
    def parent(self) -> "CloudPath":
        return CloudPath(posixpath.dirname(self._key) or self._key)

    def with_name(self, name: str) -> "CloudPath":
        return self.parent / name

    def exists(self) -> bool:
        """Says whether there is such an object, or one below this name."""
        with self._gfile() as gfile:
            return gfile.exists(str(self))

    def is_dir(self) -> bool:
        """Says whether there is an object below this name, or this is a bucket."""
        with self._gfile() as gfile:
            return gfile.isdir(str(self))

    def is_file(self) -> bool:
        """Says whether there is such an object."""
        try:
            with self._gfile() as gfile:
                return not gfile.stat(str(self)).is_directory
        except FileNotFoundError:
            return False

    def iterdir(self) -> Iterator["CloudPath"]:
        with self._gfile() as gfile:
            names = gfile.listdir(str(self))
        return iter([self / name for name in names])

    def glob(self, pattern: str) -> Iterator["CloudPath"]:
        """Yields what lies directly in this folder and has a matching name."""
        with contextlib.suppress(FileNotFoundError):
            for path in self.iterdir():
                if fnmatch.fnmatchcase(path.name, pattern):
                    yield path

    def read_bytes(self) -> bytes:
        chunks = []
        with self._gfile() as gfile, gfile.GFile(str(self), "rb") as file:
            while chunk := file.read(_CHUNK):
                chunks.append(chunk)
        return b"".join(chunks)

    def read_text(self) -> str:
        return self.read_bytes().decode()

    def write_bytes(self, content: bytes) -> None:
        """Writes an object, which others see whole when this returns and not before."""
        # A single call, which an interrupt cannot split.
        with self._gfile() as gfile, gfile.GFile(str(self), "wb") as file:
            file.write(content)

    def modified(self) -> float:
        """Returns when the object was last written, in seconds, by the clock of the store."""
        with self._gfile() as gfile:
            return gfile.stat(str(self)).mtime_nsec / 1e9

    def unlink(self, missing_ok: bool = False) -> None:
        try:
            with self._gfile() as gfile:
                gfile.remove(str(self))
        except FileNotFoundError:
            if not missing_ok:
                raise

    def rmdir(self) -> None:
        """Does nothing: a folder is only the beginning of names, and gone with the last."""

    @contextlib.contextmanager
    def _gfile(self):
        import tensorflow as tf

        try:
            yield tf.io.gfile
        except tf.errors.OpError as error:
            reason = error.message.strip().split("\n")[0]
            missing = isinstance(error, tf.errors.NotFoundError)
            code = errno.ENOENT if missing else errno.EIO  # the first makes a FileNotFoundError
            raise OSError(code, reason, str(self)) from error
