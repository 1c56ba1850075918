"""Flagfiles: where those that come with rl_keras lie, and how one is read.

A path such as `flags/quickstart.cfg` is looked for in the current folder first. If there is no
such file, it means the flagfile of that name that comes with rl_keras, so that
`python -m rl_keras --flagfile=flags/quickstart.cfg` works from any folder.
"""

from collections.abc import Iterable
from importlib import resources
from pathlib import Path

from rl_keras.errors import UsageError


def shipped_folder() -> Path:
    """Returns the folder of the flagfiles that come with rl_keras.

    An installed package carries them inside; in a checkout they lie beside `main.py`.
    """
    package = Path(str(resources.files("rl_keras")))
    installed = package / "flags"
    return installed if installed.is_dir() else package.parent / "flags"


def locate(path: str) -> Path:
    """Returns the file that a path on the command line means; it need not exist.

    Args:
        path: of a flagfile; `~` is the home folder.

    Example, in an empty folder:
        >>> locate("flags/quickstart.cfg") == shipped_folder() / "quickstart.cfg"
        True
    """
    named = Path(path).expanduser()
    if not named.exists() and named.parts[:-1] == ("flags",):
        shipped = shipped_folder() / named.name
        return shipped if shipped.exists() else named
    return named


def expand(arguments: Iterable[str], including: tuple[Path, ...] = ()) -> list[str]:
    """Replaces each `--flagfile=PATH` by the lines of that flagfile.

    Args:
        arguments: a command line without the program name, or the lines of a flagfile.
        including: the flagfiles that lead to these arguments.

    Raises:
        UsageError: if a flagfile cannot be read or includes itself.

    Example:
        >>> _ = Path("two.cfg").write_text("# Two seeds.\\n--seeds=0,1\\n")
        >>> expand(["--flagfile=two.cfg", "--dry_run"])
        ['--seeds=0,1', '--dry_run']
    """
    expanded: list[str] = []
    remaining = iter(arguments)
    for argument in remaining:
        name, equals, path = argument.partition("=")
        if name not in ("--flagfile", "-flagfile"):
            expanded.append(argument)
            continue
        path = path if equals else next(remaining, "")
        file = locate(path.strip())
        if file in including:
            raise UsageError(f"a --flagfile must not include itself. Received: {file}")
        expanded += expand(_lines(file), (*including, file))
    return expanded


def _lines(file: Path) -> list[str]:
    """Returns the lines of a flagfile without comments and empty ones."""
    try:
        lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
    except OSError as error:
        raise UsageError(
            f"Unable to open flagfile {file} ({error.strerror}); --flagfile takes the path of a "
            "file, or flags/NAME.cfg for one that comes with rl_keras."
        ) from None
    except UnicodeDecodeError:
        raise UsageError(f"a --flagfile is not a text file. Received: {file}") from None
    return [line for line in lines if line and not line.startswith(("#", "//"))]
