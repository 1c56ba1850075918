"""Reads the figures that are drawn in the folders of a run, to put them into the page."""

import ast
import base64
from dataclasses import dataclass
from pathlib import Path

import rl_keras.figures
from rl_keras.results.runs import Run
from rl_keras.settings.run import FIGURES
from rl_keras.storage.files import AnyPath

_PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Picture:
    """A figure.

    Attributes:
        name: of the figure.
        variant: in whose folder it lies; empty for that of the whole run.
        question: that it answers.
        data: the picture as a `data:` address.
    """

    name: str
    variant: str
    question: str
    data: str


def read_pictures(run: Run) -> tuple[list[Picture], list[str]]:
    """Returns the figures that are drawn, and the names of those that were asked for and are not.

    Those that the run asks for come first. A file that is no picture counts as missing.
    """
    wanted = run.config.run.figures
    folders = {"": run.directory} | {name: results.run for name, results in run.variants.items()}
    pictures = []
    for variant, directory in folders.items():
        names = {path.stem: path for path in sorted(directory.figures_path.glob("*.png"))}
        order = [name for name in wanted if name in names]
        for name in [*order, *(name for name in names if name not in wanted)]:
            content = names[name].read_bytes()
            if content.startswith(_PNG):
                data = f"data:image/png;base64,{base64.b64encode(content).decode()}"
                pictures.append(Picture(name, variant, question_of(name), data))
    drawn = {picture.name for picture in pictures}
    return pictures, [name for name in wanted if name not in drawn]


def question_of(name: str) -> str:
    """Returns what a figure asks: the first line of its module, which is not imported for that."""
    if name not in FIGURES:
        return ""
    source = Path(rl_keras.figures.__file__).with_name(f"{name}.py").read_text()
    return (ast.get_docstring(ast.parse(source)) or "").split("\n\n")[0].replace("\n", " ")


def csv_of(name: str, variant: str) -> AnyPath:
    """Returns where the numbers of a figure lie, below the folder of its run."""
    return Path(variant) / "figures" / f"{name}.csv"
