"""Everything that is read from a finished run: figures, their rows, the printed table."""

from rl_keras.figures import ACROSS_VARIANTS, FIGURES
from rl_keras.results.runs import read_variants
from rl_keras.results.tables import depth_rows, depth_table, fit_text, paired_table, summary_table
from rl_keras.storage.run_folder import RunDirectory, write_table


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
    lines, notes = [], []
    rows = run.read_summary()
    if rows:
        lines += ["", summary_table(rows), ""]
        differences = paired_table(rows)
        lines += [differences, ""] if differences else []
        lines += _depths(run, rows)
        lines += fit_text(run, require_fit)
    wanted = config.run.figures if figures is None else figures
    if "regularizers" in wanted:
        from rl_keras.figures import regularizers  # matplotlib, which others may not need

        lines += [regularizers.table(run), ""]
    for name in wanted:
        for folder in _folders(name, run, config):
            paths, more = FIGURES[name](folder)
            lines += [f"wrote {path}" for path in paths]
            notes += [note for note in more if note not in notes]
    lines += [f"note: {note}" for note in notes]
    lines.append(f"tensorboard --logdir={run.path / 'tensorboard'}")
    return "\n".join(lines) + "\n"


def _depths(run, rows):
    """What to print of a comparison of depths; its table is written as well."""
    table = depth_table(rows)
    if not table:
        return []
    path = run.figures_path / "depth_table.csv"
    write_table(path, depth_rows(rows))
    return [table, "", f"wrote {path}"]


def _folders(figure, run, config):
    """The folders a figure is drawn in: the run's, or each variant's for a figure of one run."""
    if figure in ACROSS_VARIANTS or not config.run.variants:
        return [run]
    return [results.run for results in read_variants(run).values()]
