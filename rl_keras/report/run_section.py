"""What the page says about one run: its question, figures, numbers and settings."""

from collections.abc import Sequence

from rl_keras.report.markup import Markup, join, table, tag
from rl_keras.report.pictures import csv_of, read_pictures
from rl_keras.report.settings import DEFAULT, read_flagfile, setting_rows
from rl_keras.results.runs import Run
from rl_keras.results.tables import paired_cells, summary_cells, summary_note, unfitted

_LONG = 40  # a list with more items is shortened
_MAX_NAMED = 8  # more stages are counted instead of named


def run_section(run: Run, anchor: str) -> Markup:
    """Returns the section of a run, which `#anchor` leads to."""
    flagfile = read_flagfile(run.config.run.experiment)
    parts = [tag("h2", run.name, id=anchor)]
    if flagfile:
        parts.append(tag("p", tag("strong", flagfile.title)))
        parts += [tag("p", f"Question: {flagfile.question}")] if flagfile.question else []
    else:
        parts.append(tag("p", f"Experiment {run.config.run.experiment}, which has no flagfile."))
    parts += [tag("p", _state(run), class_="faint"), *_unfitted(run), *_figures(run)]
    parts += _summary(run)
    return join([*parts, *_settings(run, flagfile)], "\n")


def seeds_text(seeds: Sequence[int]) -> str:
    """Returns seeds in words.

    Example:
        >>> seeds_text([0, 1, 2, 3]), seeds_text([4]), seeds_text([0, 5])
        ('seeds 0 to 3', 'seed 4', 'seeds 0, 5')
    """
    if len(seeds) == 1:
        return f"seed {seeds[0]}"
    if len(seeds) > 2 and list(seeds) == list(range(seeds[0], seeds[-1] + 1)):
        return f"seeds {seeds[0]} to {seeds[-1]}"
    return f"seeds {', '.join(map(str, seeds))}"


def _state(run):
    lines = []
    for name, results in run.variants.items():
        done, missing = len(results.finished), len(results.missing)
        lines.append(f"{name or 'finished'}: {done} of {done + missing} stages")
    experiment = f"experiment {run.config.run.experiment}, {seeds_text(run.config.run.seeds)}"
    return f"Folder {run.name}, {experiment}; {'; '.join(lines)}."


def _unfitted(run):
    """The stages that did not fit their labels as --require_fit asks; of many, the worst."""
    stages = unfitted(run.directory)
    if not stages:
        return []
    worst = sorted(stages, key=stages.get)[:_MAX_NAMED]
    names = [f"{name} {stages[name]:.1%}" for name in worst]
    names += [f"and {len(stages) - len(worst)} more"] if len(stages) > len(worst) else []
    limit = f"--require_fit={run.config.run.require_fit:g}"
    text = f"Not fitted, final train accuracy on the given labels below {limit}: "
    return [tag("p", text, ", ".join(names), ".", class_="missing unfitted")]


def _figures(run):
    pictures, missing = read_pictures(run)
    parts = []
    for picture in pictures:
        name = f"{picture.variant}: {picture.name}" if picture.variant else picture.name
        alt = f"Figure {name} of {run.name}. {picture.question}".strip()
        numbers = f"Numbers: {csv_of(picture.name, picture.variant).as_posix()}"
        caption = tag(
            "figcaption", tag("b", name), f" {picture.question}", tag("br"), _faint(numbers)
        )
        parts.append(tag("figure", tag("img", src=picture.data, alt=alt), caption))
    if missing:
        text = f"Not drawn yet: {', '.join(missing)}. To draw: "
        command = f"python main.py --mode=draw --workdir={run.directory.path}"
        parts.append(tag("p", text, tag("code", command), class_="missing"))
    return parts


def _summary(run):
    compared = "downstream" if run.config.transfer.arms else "upstream"
    summaries = [
        {"variant": name, **report["summary"]}
        for name, results in run.variants.items()
        for key, report in results.finished.items()
        if key.stage == compared
    ]
    if not summaries:
        return [tag("p", f"No {compared} stage is finished.")]
    header, *cells = summary_cells(summaries)
    parts = [tag("h3", f"Summary, {compared}"), table(header, cells, names=2)]
    parts.append(tag("p", summary_note(summaries), class_="faint"))
    header, *cells = paired_cells(summaries)
    if cells:
        parts.append(tag("h3", "Difference to pretrained, paired by seed"))
        parts.append(table(header, cells, names=2))
    return parts


def _settings(run, flagfile):
    rows = setting_rows(run.config, flagfile)
    set_rows = [row for row in rows if row.mark != DEFAULT]
    default_rows = [row for row in rows if row.mark == DEFAULT]
    parts = [tag("h3", "Settings")]
    if set_rows:
        parts.append(_setting_table(set_rows))
    if default_rows:
        summary = tag("summary", f"{len(default_rows)} settings at their defaults")
        parts.append(tag("details", summary, _setting_table(default_rows)))
    return parts


def _setting_table(rows):
    cells = [
        (
            tag("span", f"--{row.flag}", class_="flag"),
            tag("span", row.mark, class_=f"mark {row.mark}"),
            tag("div", *_value(row), class_="value"),
        )
        for row in rows
    ]
    return table(("flag", "origin", "value"), cells, names=3)


def _value(row):
    value = join(_shortened(row.value).split(","), f",{tag('wbr')}")
    return [value, " ", _faint(f"({_shortened(row.note)})")] if row.note else [value]


def _shortened(value):
    """A value without the middle of a very long list; the whole of it is in the flagfile."""
    items = value.split(",")
    return value if len(items) <= _LONG else ",".join([*items[:3], "...", items[-1]])


def _faint(text):
    return tag("span", text, class_="faint")
