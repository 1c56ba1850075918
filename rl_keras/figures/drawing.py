"""Everything that is read from a finished run: figures, their rows, the printed table."""

from rl_keras.figures import FIGURES
from rl_keras.figures.table import paired_table, summary_table
from rl_keras.storage import RunDirectory


def draw_all(workdir: str, figures: tuple[str, ...] | None = None) -> str:
    """Draws the figures of a run and returns what to print.

    Args:
        workdir: folder of the run.
        figures: names of figures; those of the stored settings if not given.

    Raises:
        UsageError: if the folder holds no run, or no finished stage.
    """
    run = RunDirectory(workdir)
    config = run.read_config()
    lines, notes = [], []
    rows = run.read_summary()
    if rows:
        lines += ["", summary_table(rows), ""]
        differences = paired_table(rows)
        lines += [differences, ""] if differences else []
    for name in config.run.figures if figures is None else figures:
        paths, more = FIGURES[name](run)
        lines += [f"wrote {path}" for path in paths]
        notes += [note for note in more if note not in notes]
    lines += [f"note: {note}" for note in notes]
    lines.append(f"tensorboard --logdir={run.path / 'tensorboard'}")
    return "\n".join(lines) + "\n"
