"""Draws the figures of a finished run, and lays out what is printed about it."""

import importlib
import io
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from rl_keras.figures.plotting import small_print
from rl_keras.results.curves import Curve, to_rows
from rl_keras.results.runs import Results, Variants, read_variants
from rl_keras.results.tables import depth_rows, depth_table, fit_text, paired_table, summary_table
from rl_keras.results.variants import notes as notes_on_variants
from rl_keras.results.variants import rows as rows_of_variants
from rl_keras.storage.files import write_bytes
from rl_keras.storage.run_folder import RunDirectory, write_table


class Drawn(NamedTuple):
    """A figure that is drawn.

    Attributes:
        paths: of the picture and of the table beside it.
        notes: what to print about it.
        table: the figure's own table to print; empty if it has none.
    """

    paths: list[Path]
    notes: list[str]
    table: str


def draw_all(
    workdir: str, figures: tuple[str, ...] | None = None, require_fit: float | None = None
) -> str:
    """Draws the figures of a run and returns what to print.

    Args:
        workdir: folder of the run.
        figures: names of figures; those of the stored settings if not given.
        require_fit: see `tables.unfitted`; likewise.

    Raises:
        UsageError: if the folder holds no run, or no finished stage.
    """
    run = RunDirectory(workdir)
    config = run.read_config()
    lines = []
    rows = run.read_summary()
    if rows:
        lines += ["", summary_table(rows), ""]
        differences = paired_table(rows)
        lines += [differences, ""] if differences else []
        lines += _depths(run, rows)
        lines += fit_text(run, require_fit)
    wanted = config.run.figures if figures is None else figures
    drawn = [draw_figure(name, one) for name in wanted for one in _runs(name, run)]
    for one in drawn:
        lines += [one.table, ""] if one.table else []
    lines += [f"wrote {path}" for one in drawn for path in one.paths]
    lines += [f"note: {note}" for note in dict.fromkeys(n for one in drawn for n in one.notes)]
    lines.append(f"tensorboard --logdir={run.path / 'tensorboard'}")
    return "\n".join(lines) + "\n"


def draw_figure(name: str, run: RunDirectory) -> Drawn:
    """Draws a figure into the folder of its run, of whatever is finished.

    Args:
        name: of a module in `rl_keras.figures`, which says what such a module has.
        run: of one variant, unless the figure compares variants.

    Raises:
        UsageError: if no stage that the figure needs is finished.
    """
    from rl_keras.figures.plotting import style  # a run without figures needs no matplotlib

    module = _module(name)
    results, numbers = _read(module, run)
    with style.context(getattr(module, "STYLE", {})):
        drawing = module.draw(numbers, results)
        variants = {"": results} if isinstance(results, Results) else results
        text = small_print.about(run.read_config(), variants, drawing.has_bands)
        sentences = filter(None, map(str.strip, drawing.small_print))
        style.finish(drawing.figure, " ".join([text, *sentences]))
        picture = io.BytesIO()
        drawing.figure.savefig(picture, format="png")
    paths = [run.figures_path / f"{name}.{kind}" for kind in ("png", "csv")]
    write_table(paths[1], _rows(module, numbers, results))
    write_bytes(paths[0], picture.getvalue())
    notes = results.notes if isinstance(results, Results) else notes_on_variants(run, results)
    table = module.table(numbers) if hasattr(module, "table") else ""
    return Drawn(paths, [*notes, *drawing.notes], table)


def rows_of(name: str, run: RunDirectory) -> list[dict]:
    """Returns what stands in the CSV of a figure, without drawing it.

    Args:
        name: as in `draw_figure`, and so is `run`.
    """
    module = _module(name)
    results, numbers = _read(module, run)
    return _rows(module, numbers, results)


def _module(name) -> ModuleType:
    return importlib.import_module(f"rl_keras.figures.{name}")


def _read(module, run):
    """What a figure is drawn from, of one run or by variant, and the numbers it reads there."""
    stage = getattr(module, "STAGE", "")
    results: Results | Variants
    if getattr(module, "ACROSS_VARIANTS", False):
        results = read_variants(run, stage)
    else:
        results = Results(run, stage)
    return results, module.read(results)


def _rows(module, numbers, results) -> list[dict]:
    rows = module.rows(numbers) if hasattr(module, "rows") else numbers
    if isinstance(rows, Mapping):
        return rows_of_variants(rows, results)
    if any(isinstance(row, Curve) for row in rows):
        return to_rows(rows, results.config.run.seeds)
    return rows


def _runs(figure, run):
    """The run itself, or each of its variants for a figure of one run."""
    if getattr(_module(figure), "ACROSS_VARIANTS", False) or not run.read_config().run.variants:
        return [run]
    return [results.run for results in read_variants(run).values()]


def _depths(run, rows):
    """What to print of a comparison of depths; its table is written as well."""
    table = depth_table(rows)
    if not table:
        return []
    path = run.figures_path / "depth_table.csv"
    write_table(path, depth_rows(rows))
    return [table, "", f"wrote {path}"]
