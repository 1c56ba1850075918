"""The written files, and that drawing needs neither TensorFlow nor the state of pyplot."""

import csv
import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

from rl_keras.figures import FIGURES
from rl_keras.figures.plotting import style
from rl_keras.results.curves import mean_curve
from rl_keras.settings.experiment import all_settings
from rl_keras.settings.stage import LABEL_MAPS
from rl_keras.settings.transfer import STARTS
from rl_keras.storage.run_folder import StageKey

MODULES = {name: importlib.import_module(f"rl_keras.figures.{name}") for name in FIGURES}
NEEDED = {"depths": {"transfer_depths": (1, 2)}}  # without which there is a note
ROOT = Path(__file__).parents[2]


def test_figures_are_the_choices_of_the_flag():
    (setting,) = (setting for setting in all_settings() if setting.flag == "figures")
    assert tuple(FIGURES) == setting.choices


@pytest.mark.parametrize("name", list(FIGURES))
@pytest.mark.parametrize(
    "values",
    [
        {"seeds": (0,), "measure_schedule": "logarithmic", "starts": ("scratch", "pretrained")},
        {"seeds": (0, 3), "downstream_labels": ("random",)},
        {"downstream_labels": ("true", "random")},
    ],
    ids=["one_seed", "two_seeds", "two_kinds"],
)
def test_csv_beside_the_image_holds_the_rows(make_run, monkeypatch, name, values):
    monkeypatch.setattr("rl_keras.results.pooled_filters.NUM_DRAWS", 19)  # for speed
    run = make_run(**values, **NEEDED.get(name, {}))
    paths, notes = FIGURES[name](run)
    assert paths == [run.figures_path / f"{name}.png", run.figures_path / f"{name}.csv"]
    assert notes == []
    with open(paths[1], newline="") as file:
        written = list(csv.DictReader(file))
    expected = [
        {key: "" if value is None else str(value) for key, value in row.items()}
        for row in MODULES[name].rows(run)
    ]
    assert written == expected
    with Image.open(paths[0]) as image:
        assert min(image.info["dpi"]) > 150
    assert {path.name for path in run.figures_path.iterdir()} == {path.name for path in paths}


def test_drawn_twice_gives_the_same_table(make_run):
    run = make_run()
    tables = []
    for _ in range(2):
        paths, _ = FIGURES["initialisations"](run)
        tables.append(paths[1].read_bytes())
    assert tables[0] == tables[1]


def test_drawing_loads_neither_tensorflow_nor_pyplot(make_run):
    code = (
        "import sys\n"
        "from rl_keras.figures import FIGURES\n"
        "from rl_keras.results.tables import summary_table\n"
        "from rl_keras.storage.run_folder import RunDirectory\n"
        "assert 'matplotlib' not in sys.modules\n"
        "run = RunDirectory(sys.argv[1])\n"
        "summary_table(run.read_summary())\n"
        "for draw in FIGURES.values():\n"
        "    draw(run)\n"
        "loaded = {'tensorflow', 'keras', 'matplotlib.pyplot'} & set(sys.modules)\n"
        "sys.exit(f'loaded: {loaded}' if loaded else 0)\n"
    )
    command = [sys.executable, "-c", code, str(make_run(seeds=(0,)).path)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")


def test_starts_differ_in_line_marker_and_lightness():
    assert set(style.STARTS) == set(STARTS)
    assert set(style.LABELS) == set(LABEL_MAPS)
    looks = list(style.STARTS.values())
    for name in ("line", "marker", "place", "label"):
        assert len({getattr(look, name) for look in looks}) == len(looks)
    grey = np.sort([np.dot(to_rgb(look.color), (0.299, 0.587, 0.114)) for look in looks])
    assert np.diff(grey).min() > 0.1
    assert grey.max() < 0.75


@pytest.mark.parametrize(("num_seeds", "lines", "bands"), [(1, 1, 0), (2, 3, 0), (3, 1, 1)])
def test_band_shows_seeds_until_there_are_three(num_seeds, lines, bands):
    values = np.arange(num_seeds)[:, None] + np.arange(4.0)
    key = StageKey("downstream", "true", "scratch", 0)
    curve = mean_curve("accuracy", key, "train_probe", range(num_seeds), np.arange(4), values)
    ax = Figure().add_subplot()
    style.band(ax, curve, style.STARTS["scratch"])
    assert (len(ax.lines), len(ax.collections)) == (lines, bands)
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), values.mean(axis=0))
