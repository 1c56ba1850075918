"""Where each setting of a run comes from: the marks of its flagfile, or a change on top of it."""

import itertools
import re
from dataclasses import dataclass
from pathlib import Path

from rl_keras.settings import command_line
from rl_keras.settings.experiment import ExperimentConfig, all_settings, to_values
from rl_keras.settings.flagfiles import shipped_folder
from rl_keras.settings.model import MODELS, OF_EVERY_MODEL

CHANGED, DEFAULT = "changed", "default"
_NOT_OF_A_RESULT = {s.flag for s in all_settings() if s.section == "run"} - {"variants", "seeds"}
_PLACES = {"data_dir", "download"}  # on this machine; they change no result


@dataclass(frozen=True)
class Row:
    """One setting: its flag, value as in a flagfile, mark, and what it was before a change."""

    flag: str
    value: str
    mark: str
    note: str = ""


@dataclass(frozen=True)
class Flagfile:
    """What stands in the flagfile of an experiment.

    Attributes:
        title: its first paragraph.
        question: what the experiment asks.
        marks: `paper`, `inferred` or `ours` for each flag that has a mark.
        values: of the flags that it sets, as text.
    """

    title: str
    question: str
    marks: dict[str, str]
    values: dict[str, str]


def read_flagfile(experiment: str, folder: Path | None = None) -> Flagfile | None:
    """Returns the flagfile of this name, or `None` if there is none.

    Args:
        experiment: the name of the file without `.cfg`.
        folder: where to look; by default among those that come with rl_keras.
    """
    path = (folder or shipped_folder()) / f"{experiment}.cfg"
    if not path.is_file():
        return None
    config, given = command_line.parse([f"--flagfile={path}"])
    values = {flag: command_line.format_value(to_values(config)[flag]) for flag in given}
    lines = path.read_text().splitlines()
    marks, mark = {}, ""
    for line in lines:
        if found := re.match(r"# \[(\w+)\]", line):
            mark = found[1]
        elif found := re.match(r"--(\w+)", line):
            marks[found[1].removeprefix("no") if found[1] not in values else found[1]] = mark
    header = []
    for line in lines:
        if not line.startswith("#"):
            break
        header.append(line.lstrip("# "))
    question = re.search(r"Question: (.*?\?)(?: |$)", " ".join(header))
    title = " ".join(itertools.takewhile(bool, header))
    return Flagfile(title, question[1] if question else "", marks, values)


def rows(config: ExperimentConfig, flagfile: Flagfile | None) -> list[Row]:
    """Returns the settings that have a part in a run's results, in the order of the sections.

    A value that is that of the flagfile has the flagfile's mark. One that differs from it, or
    that the flagfile leaves at a default and the run does not, is *changed*.

    Args:
        config: of the run.
        flagfile: of the same experiment, `None` without one.
    """
    values, found = to_values(config), []
    for setting in all_settings():
        if not _has_a_part(setting, config):
            continue
        value, default = (
            command_line.format_value(v) for v in (values[setting.flag], setting.default)
        )
        said = flagfile.values.get(setting.flag) if flagfile else None
        if said is not None and value == said:
            mark, note = flagfile.marks.get(setting.flag) or CHANGED, ""
        elif said is None and value == default:
            mark, note = DEFAULT, ""
        else:
            origin = "default" if said is None else "flagfile"
            mark, note = CHANGED, f"{origin}: {(default if said is None else said) or 'empty'}"
        found.append(Row(setting.flag, value or "empty", mark, note))
    return found


def _has_a_part(setting, config):
    """Leaves out what has no effect on this run: other models' settings, stages it has not."""
    if setting.flag in _NOT_OF_A_RESULT | _PLACES:
        return False
    if setting.section == "model":
        always = ("model", *OF_EVERY_MODEL)
        return setting.name in (*always, *MODELS[config.model.model])
    if setting.section == "downstream":
        return bool(config.transfer.arms)
    if setting.name.startswith("gaussian_"):
        return config.data.is_synthetic
    return True
