"""Tables printed after a run: which start trained best, how sure that is, what was not fitted."""

import math
from collections.abc import Iterable, Mapping, Sequence

from rl_keras.errors import NotFittedError
from rl_keras.results.runs import read_variants
from rl_keras.science.summaries import mean_interval
from rl_keras.settings.transfer import split_arm
from rl_keras.storage.run_folder import RunDirectory

_HEADER = ("labels", "start", "train %", "test %", "steps to 80%", "area %")
_COLUMNS = (  # column of summary.csv, factor, decimals
    ("final_train_accuracy", 100, 1),
    ("final_test_accuracy", 100, 1),
    ("steps_to_80", 1, 0),
    ("area_under_train_curve", 100, 1),
)
_FEWEST = 3  # seeds for an interval; of two its half-width is 9 times their difference
_ACCURACIES = {"train": "final_train_accuracy", "test": "final_test_accuracy"}  # of summary.csv
_REFERENCE = "pretrained"  # the start with which the others are compared


def summary_table(rows: Iterable[Mapping]) -> str:
    """Lays out the summary of a run, one line for each label kind and start.

    Args:
        rows: rows of `summary.csv`, as `RunDirectory.read_summary` returns them.

    Returns:
        Lines of at most 110 characters. A cell is a mean over seeds with its 95%
        interval, from three seeds on and cut off at 0 and 100%; where some seed never
        reached an accuracy of 80% it is the mean over those which did and their number.

    Example:
        >>> summary_table([]).splitlines()[0].split()[:2]
        ['labels', 'start']
    """
    rows = list(rows)
    return "\n".join([*aligned(summary_cells(rows)), summary_note(rows)])


def aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    """Returns lines of cells as text with aligned columns: two names, then numbers.

    Example:
        >>> aligned([("labels", "start", "%"), ("true", "scratch", "1.5")])
        ['labels  start      %', 'true    scratch  1.5']
    """
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    texts = []
    for cells in lines:
        names = (cell.ljust(width) for cell, width in zip(cells[:2], widths, strict=False))
        numbers = (cell.rjust(width) for cell, width in zip(cells[2:], widths[2:], strict=True))
        texts.append("  ".join((*names, *numbers)).rstrip())
    return texts


def summary_cells(rows: Iterable[Mapping]) -> list[tuple[str, ...]]:
    """Returns the lines of `summary_table` as cells, the header first."""
    lines = [_HEADER]
    for names, group in _by_arm(rows).items():
        numbers = (_mean_cell(group, column, scale, digits) for column, scale, digits in _COLUMNS)
        lines.append((*names, *numbers))
    return lines


def _by_arm(rows) -> dict[tuple, list]:
    groups: dict[tuple, list] = {}
    for row in rows:
        groups.setdefault(_arm_of(row), []).append(row)
    return groups


def _arm_of(row: Mapping) -> tuple[str, str]:
    """What a line of a table is about: kind of labels, after the variant's name, and start."""
    variant = row.get("variant")
    return f"{variant}: {row['labels']}" if variant else row["labels"], row["start"]


def _mean_cell(group: Sequence[Mapping], column: str, scale: float, digits: int) -> str:
    """The mean over seeds and, from three on, its interval; seeds may have an empty cell.

    Per cents, of scale 100, keep to 0 and 100.
    """
    values = [scale * float(row[column]) for row in group if row[column] not in (None, "")]
    values = [value for value in values if math.isfinite(value)]
    if len(values) < len(group):
        mean = f"{sum(values) / len(values):.{digits}f}" if values else "-"
        return f"{mean} ({len(values)} of {len(group)})"
    interval = mean_interval(values)
    if interval.num < _FEWEST:
        return f"{interval.mean:.{digits}f}"
    low, high = interval.low, interval.high
    if scale == 100:
        low, high = max(low, 0.0), min(high, 100.0)
    return f"{interval.mean:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def summary_note(rows: Iterable[Mapping]) -> str:
    """Returns what a cell of `summary_table` is."""
    sizes = sorted({len(group) for group in _by_arm(rows).values()})
    seeds = f"Mean [95% interval] over {' or '.join(map(str, sizes))} seeds"
    if sizes == [1]:
        seeds = "One seed"
    elif sizes == [2]:
        seeds = "Mean over 2 seeds, too few for an interval"
    return f"{seeds}; (n of N): n seeds have a value; area: mean train accuracy."


def paired_table(rows: Iterable[Mapping]) -> str:
    """Lays out how the starts differ from `pretrained`, seed by seed.

    Arms of a seed share labels, data order and fresh weights, so their difference
    varies less over seeds than each of them.

    Args:
        rows: rows of `summary.csv`.

    Returns:
        Lines with mean differences and their 95% intervals, from three seeds on, over the
        seeds in which both arms have a value; empty without two such seeds.

    Example:
        >>> paired_table([])
        ''
    """
    lines = paired_cells(rows)
    if len(lines) == 1:
        return ""
    return "\n".join([f"Difference to {_REFERENCE}, paired by seed:", *aligned(lines)])


def paired_cells(rows: Iterable[Mapping]) -> list[tuple[str, ...]]:
    """Returns the lines of `paired_table` as cells, the header first."""
    by_arm = {arm: {row["seed"]: row for row in group} for arm, group in _by_arm(rows).items()}
    lines = [("labels", "start", "steps to 80%", "area %")]
    for (labels, start), arm in by_arm.items():
        base = by_arm.get((labels, _REFERENCE), {})
        if start != _REFERENCE and len(base.keys() & arm.keys()) > 1:
            cells = (_difference(arm, base, *column) for column in _COLUMNS[2:])
            lines.append((labels, start, *cells))
    return lines


def _difference(arm, base, column, scale, digits):
    shared = [seed for seed in arm if seed in base]
    pairs = [(arm[seed][column], base[seed][column]) for seed in shared]
    pairs = [pair for pair in pairs if not {None, ""} & set(pair)]
    if len(pairs) < 2:
        return f"- ({len(pairs)} of {len(shared)})"
    interval = mean_interval([scale * (float(one) - float(other)) for one, other in pairs])
    count = "" if len(pairs) == len(shared) else f" ({len(pairs)} of {len(shared)})"
    if interval.num < _FEWEST:
        return f"{interval.mean:+.{digits}f}{count}"
    low, high = f"{interval.low:+.{digits}f}", f"{interval.high:+.{digits}f}"
    return f"{interval.mean:+.{digits}f} [{low}, {high}]{count}"


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
    groups = _by_depth(rows)
    if not groups:
        return ""
    lines = [("labels", "start", "layers", "train %", "test %")]
    for (labels, start, depth), group in groups.items():
        cells = (_mean_cell(group, column, 100, 1) for column in _ACCURACIES.values())
        lines.append((labels, start, str(depth), *cells))
    return "\n".join(["Final accuracy by the number of transferred layers:", *aligned(lines)])


def depth_rows(rows: Iterable[Mapping]) -> list[dict]:
    """Returns the numbers of the table as fractions, one dictionary for each of its lines.

    Cells without a value are `None`: bounds of a single seed, means without any.

    Args:
        rows: as in `depth_table`.
    """
    lines = []
    for (labels, start, depth), group in _by_depth(rows).items():
        row = {"labels": labels, "start": start, "layers": depth, "num_seeds": len(group)}
        for name, column in _ACCURACIES.items():
            cells = [cell[column] for cell in group if cell[column] not in (None, "")]
            values = [value for value in map(float, cells) if math.isfinite(value)]
            interval = mean_interval(values) if values else None
            for part in ("mean", "low", "high"):
                value = getattr(interval, part, math.nan)
                row[f"{name}_{part}"] = None if math.isnan(value) else value
        lines.append(row)
    return lines


def _by_depth(rows):
    """Rows by labels, start and depth, in this order; scratch comes first, with depth 0."""
    groups: dict[tuple, list] = {}
    for row in rows:
        labels, arm = _arm_of(row)
        start, depth = split_arm(arm)
        if start == "scratch" or depth is not None:
            groups.setdefault((labels, start, depth or 0), []).append(row)
    if not any(depth for _, _, depth in groups):
        return {}
    kinds = list(dict.fromkeys(labels for labels, _, _ in groups))
    starts = list(dict.fromkeys(["scratch", *(start for _, start, _ in groups)]))

    def order(group):
        labels, start, depth = group
        return kinds.index(labels), starts.index(start), depth

    return {group: groups[group] for group in sorted(groups, key=order)}


def unfitted(run: RunDirectory, accuracy: float | None = None) -> dict[str, float]:
    """Returns the finished stages whose labels say nothing of the images, and were not fitted.

    These are stages with random, permuted or partly corrupted labels and, with an
    --input_corruption, all.

    Args:
        run: folder of the run.
        accuracy: on the given labels of the training slice; the stored --require_fit by
            default. Below it a stage is not fitted.

    Returns:
        Final train accuracy by name of stage, that of its variant in front.

    Raises:
        UsageError: if the folder holds no run, or no finished stage.
    """
    config = run.read_config()
    accuracy = config.run.require_fit if accuracy is None else accuracy
    if not accuracy:
        return {}
    stages = {}
    for variant, results in read_variants(run).items():
        is_corrupted = results.config.data.input_corruption != "none"
        for key, result in results.finished.items():
            reached = result["summary"]["final_train_accuracy"]
            if (is_corrupted or key.labels != "true") and reached < accuracy:
                stages["/".join(filter(None, (variant, key.name)))] = reached
    return stages


def fit_text(run: RunDirectory, accuracy: float | None = None) -> list[str]:
    """Returns what to print of `unfitted`: a line for each stage, under a title."""
    stages = unfitted(run, accuracy)
    if not stages:
        return []
    lines = [f"  {name}: {reached:.1%}" for name, reached in stages.items()]
    return ["Not fitted, final train accuracy on the given labels:", *lines, ""]


def check_fit(run: RunDirectory, accuracy: float | None = None) -> None:
    """Refuses a run with stages that are not fitted.

    Raises:
        NotFittedError: naming the worst.
    """
    stages = unfitted(run, accuracy)
    if not stages:
        return
    accuracy = run.read_config().run.require_fit if accuracy is None else accuracy
    worst = min(stages, key=stages.get)
    raise NotFittedError(
        f"{len(stages)} stages did not reach a train accuracy of --require_fit={accuracy:g} on "
        "labels that had to be memorised: train longer, or with another learning rate. "
        f"Received: {stages[worst]:.4g} in stage {worst}"
    )
