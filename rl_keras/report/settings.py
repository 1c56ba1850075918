"""Where each setting of a run comes from: its flagfile, which marks it, a change, or a default."""

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
_OF_THE_MACHINE = {"data_dir", "download"}  # where data lie changes no result


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
        if heading := re.match(r"# \[(\w+)\]", line):
            mark = heading[1]
        elif flag := re.match(r"--(\w+)", line):
            marks[flag[1] if flag[1] in values else flag[1].removeprefix("no")] = mark
    header = []
    for line in lines:
        if not line.startswith("#"):
            break
        header.append(line.lstrip("# "))
    question = re.search(r"Question: (.*?\?)(?: |$)", " ".join(header))
    title = " ".join(itertools.takewhile(bool, header))
    return Flagfile(title, question[1] if question else "", marks, values)


def setting_rows(config: ExperimentConfig, flagfile: Flagfile | None) -> list[Row]:
    """Returns the settings that may change the results of a run, in the order of the sections.

    A value that the flagfile sets has the mark that it has there. A value other than the
    flagfile's or, where that sets none, other than the default is marked *changed*.

    Args:
        config: of the run.
        flagfile: of the same experiment, `None` without one.
    """
    values, rows = to_values(config), []
    for setting in all_settings():
        if not _may_change_results(setting, config):
            continue
        value, default = (
            command_line.format_value(v) for v in (values[setting.flag], setting.default)
        )
        in_flagfile = flagfile.values.get(setting.flag) if flagfile else None
        if in_flagfile is not None and value == in_flagfile:
            mark, note = flagfile.marks.get(setting.flag) or CHANGED, ""
        elif in_flagfile is None and value == default:
            mark, note = DEFAULT, ""
        else:
            origin = "default" if in_flagfile is None else "flagfile"
            before = default if in_flagfile is None else in_flagfile
            mark, note = CHANGED, f"{origin}: {before or 'empty'}"
        rows.append(Row(setting.flag, value or "empty", mark, note))
    return rows


def _may_change_results(setting, config):
    """Also leaves out settings of other models, of stages that the run does not have, and so on."""
    if setting.flag in _NOT_OF_A_RESULT | _OF_THE_MACHINE:
        return False
    if setting.section == "model":
        always = ("model", *OF_EVERY_MODEL)
        return setting.name in (*always, *MODELS[config.model.model])
    if setting.section == "downstream":
        return bool(config.transfer.arms)
    if setting.name.startswith("gaussian_"):
        return config.data.is_synthetic
    return True
