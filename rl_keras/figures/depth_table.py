"""The table of transferred layers: final train and test accuracy for each start and depth."""

import math
from collections.abc import Iterable, Mapping

from rl_keras.config import split_arm
from rl_keras.figures.table import aligned, arm_of, mean_cell
from rl_keras.science.intervals import mean_interval

_COLUMNS = {"train": "final_train_accuracy", "test": "final_test_accuracy"}  # of summary.csv


def depth_table(rows: Iterable[Mapping]) -> str:
    """Lays out accuracy by the number of transferred layers, as the paper does in Table 1.

    Args:
        rows: rows of `summary.csv`, as `RunDirectory.read_summary` returns them.

    Returns:
        Lines with means over seeds and their 95% intervals in per cent; empty if
        no start was transferred at several depths.

    Example:
        >>> depth_table([])
        ''
    """
    groups = _groups(rows)
    if not groups:
        return ""
    lines = [("labels", "start", "layers", "train %", "test %")]
    for (labels, start, depth), group in groups.items():
        cells = (mean_cell(group, column, 100, 1) for column in _COLUMNS.values())
        lines.append((labels, start, str(depth), *cells))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    title = "Final accuracy by the number of transferred layers:"
    return "\n".join([title, *(aligned(cells, widths) for cells in lines)])


def depth_rows(rows: Iterable[Mapping]) -> list[dict]:
    """Returns the numbers of the table as fractions, one dictionary for each of its lines.

    Cells without a value are `None`: bounds of a single seed, means without any.

    Args:
        rows: as in `depth_table`.
    """
    found = []
    for (labels, start, depth), group in _groups(rows).items():
        row = {"labels": labels, "start": start, "layers": depth, "num_seeds": len(group)}
        for name, column in _COLUMNS.items():
            cells = [cell[column] for cell in group if cell[column] not in (None, "")]
            values = [value for value in map(float, cells) if math.isfinite(value)]
            interval = mean_interval(values) if values else None
            for part in ("mean", "low", "high"):
                value = getattr(interval, part, math.nan)
                row[f"{name}_{part}"] = None if math.isnan(value) else value
        found.append(row)
    return found


def _groups(rows):
    """Rows by labels, start and depth, in this order; scratch comes first, with depth 0."""
    groups: dict[tuple, list] = {}
    for row in rows:
        labels, arm = arm_of(row)
        start, depth = split_arm(arm)
        if start == "scratch" or depth is not None:
            groups.setdefault((labels, start, depth or 0), []).append(row)
    if not any(depth for _, _, depth in groups):
        return {}
    kinds = list(dict.fromkeys(labels for labels, _, _ in groups))
    starts = list(dict.fromkeys(["scratch", *(start for _, start, _ in groups)]))

    def place(group):
        labels, start, depth = group
        return kinds.index(labels), starts.index(start), depth

    return {group: groups[group] for group in sorted(groups, key=place)}
