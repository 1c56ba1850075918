"""What do explicit regularisers change, on true labels and on random ones?

A row for each variant of the run in the layout of the paper's tables: network, random crops,
weight decay, labels; train accuracy on the given and test accuracy on the true labels, beside
the printed ones. Those are of 50,000 examples and the full networks.

Flagfiles: flags/zhang_table1_cpu.cfg, flags/zhang_table4_cpu.cfg, and any other with
--figures=regularizers.

Reference:
    Zhang et al., ICLR 2017, arXiv 1611.03530, Tables 1 and 4.
"""

import math

import numpy as np

from rl_keras.figures import Drawing
from rl_keras.figures.plotting import style
from rl_keras.papers.printed import TABLES, PrintedAccuracy, table_row
from rl_keras.results.runs import Variants
from rl_keras.results.tables import aligned
from rl_keras.science.summaries import Interval, mean_interval

STAGE = "upstream"
ACROSS_VARIANTS = True
_COLUMNS = {"train": "final_train_accuracy", "test": "final_test_accuracy_true"}
_TITLES = {"train": "Train accuracy, given labels", "test": "Test accuracy, true labels"}
_AUGMENTATIONS = {"none": "no", "crop": "yes", "full": "and flips, turns"}
_HEADER = (
    "network",
    "labels",
    "random crop",
    "weight decay",
    "train %",
    "paper",
    "test %",
    "paper",
)


def read(variants: Variants) -> list[dict]:
    """Returns the lines of the table: names, accuracies in per cent with 95% intervals.

    `published_train` and `published_test` are `None` where the paper has no such row, and
    `published_train` is NaN where it says that the network failed to converge.
    """
    lines = []
    for variant, results in variants.items():
        setting = table_row(results.config)
        if setting is None:
            continue
        published = TABLES.get(setting)
        row = {
            "variant": variant,
            "network": setting.network,
            "labels": setting.labels,
            "augmentation": setting.augmentation,
            "weight_decay": results.config.upstream.weight_decay,
            "num_seeds": len(results.upstream_keys),
        }
        for name, column in _COLUMNS.items():
            interval = _interval(results, column)
            for part in ("mean", "low", "high"):
                row[f"{name}_{part}"] = getattr(interval, part, None)
            row[f"published_{name}"] = _of(published, name)
        lines.append(row)
    return lines


def _of(published: PrintedAccuracy | None, name):
    return getattr(published, name) if published else None


def _interval(results, column) -> Interval | None:
    values = [results.finished[key]["summary"][column] for key in results.upstream_keys]
    values = [100 * value for value in values if value is not None and math.isfinite(value)]
    return mean_interval(values) if values else None


def table(lines: list[dict]) -> str:
    """Lays out the lines as the paper does, its numbers beside ours."""
    cells = [_HEADER]
    for row in lines:
        numbers = [_cell(row, "train"), _printed(row["published_train"])]
        numbers += [_cell(row, "test"), _printed(row["published_test"])]
        cells.append((*_names(row), *numbers))
    return "\n".join(aligned(cells))


def _names(row):
    decay = "yes" if row["weight_decay"] else "no"
    return row["network"], row["labels"], _AUGMENTATIONS[row["augmentation"]], decay


def _cell(row, name):
    mean, low, high = (row[f"{name}_{part}"] for part in ("mean", "low", "high"))
    if mean is None:
        return "-"
    return f"{mean:.2f}" if math.isnan(low) else f"{mean:.2f} [{low:.2f}, {high:.2f}]"


def _printed(value):
    if value is None:
        return "-"
    return "fails" if math.isnan(value) else f"{value:.2f}"


def draw(lines: list[dict], variants: Variants) -> Drawing:
    height = 0.5 + 0.19 * len(lines)
    figure, axes = style.subplots(2, rows=[(height, 0.95)], left=2.3, between=0.15, width=2.6)
    for ax, (column, title) in zip(axes[0], _TITLES.items(), strict=True):
        ax.set_title(title)
        _draw_panel(ax, lines, column)
        names = [_label(row) if column == "train" else "" for row in lines]
        ax.set_yticks(range(len(lines)), names, fontsize=7)
    if lines:
        chance = 100 / next(iter(variants.values())).num_classes
        axes[0, 1].axvline(chance, color=style.GREY, linestyle=":", label="chance")
        style.legend(axes[0, 0], columns=3, others=[axes[0, 1]])
    others = [name for name, results in variants.items() if table_row(results.config) is None]
    notes = [f"regularizers: variant {name} has no row of this kind" for name in others]
    return Drawing(figure, ["Bars: 95% interval over seeds."], notes, has_bands=False)


def _label(row):
    """The name of a row in the picture."""
    parts = [row["network"]]
    parts += {"none": [], "crop": ["crop"], "full": ["full"]}[row["augmentation"]]
    parts += ["decay"] if row["weight_decay"] else []
    return f"{', '.join(parts)} ({row['labels']})"


def _draw_panel(ax, lines, column):
    if not lines:
        return style.empty(ax, "no row of the tables")
    heights = np.arange(len(lines))
    low, mean, high = (_numbers(lines, f"{column}_{part}") for part in ("low", "mean", "high"))
    printed = _numbers(lines, f"published_{column}")
    ax.hlines(heights, low, high, color=style.LAST.color, linewidth=1.5)
    ax.plot(mean, heights, label="ours", linestyle="", **_point(style.LAST))
    text, look = "the paper, 50,000 examples", _point(style.REFERENCE) | style.HOLLOW
    ax.plot(printed, heights, label=text, linestyle="", zorder=3, **look)
    known = np.concatenate([low, mean, printed, [100]])
    least = 10 * math.floor((np.nanmin(known) - 2) / 10)
    ax.set(xlim=(max(-2, least), 102), ylim=(len(lines) - 0.4, -0.6))
    ax.set_xlabel("accuracy (per cent)")


def _numbers(lines, name):
    return np.array([math.nan if row[name] is None else row[name] for row in lines])


def _point(look):
    return {"color": look.color, "marker": look.marker or "D"}
