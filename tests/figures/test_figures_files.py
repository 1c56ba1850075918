"""The written files, and that drawing needs neither TensorFlow nor the state of pyplot."""

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

import rl_keras.figures
from rl_keras.figures.plotting import style
from rl_keras.figures.plotting.drawing import draw_all, draw_figure, rows_of
from rl_keras.results.curves import mean_curve
from rl_keras.settings.experiment import all_settings
from rl_keras.settings.stage import LABEL_MAPS
from rl_keras.settings.transfer import STARTS
from rl_keras.storage.run_folder import StageKey

NEEDED = {"depths": {"transfer_depths": (1, 2)}}  # without which there is a note
ROOT = Path(__file__).parents[2]
FIGURES = sorted(path.stem for path in ROOT.glob("rl_keras/figures/[a-z]*.py"))


def test_figures_are_the_choices_of_the_flag():
    (setting,) = (setting for setting in all_settings() if setting.flag == "figures")
    assert set(FIGURES) == set(setting.choices)


@pytest.mark.parametrize("name", FIGURES)
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
    paths, notes, _ = draw_figure(name, run)
    assert paths == [run.figures_path / f"{name}.png", run.figures_path / f"{name}.csv"]
    assert notes == []
    with open(paths[1], newline="") as file:
        written = list(csv.DictReader(file))
    expected = [
        {key: "" if value is None else str(value) for key, value in row.items()}
        for row in rows_of(name, run)
    ]
    assert written == expected
    with Image.open(paths[0]) as image:
        assert min(image.info["dpi"]) > 150
    assert {path.name for path in run.figures_path.iterdir()} == {path.name for path in paths}


NEW_FIGURE = '''"""Which steps were measured?"""
from rl_keras.figures import Drawing
from rl_keras.figures.plotting import style

STAGE = "upstream"
ACROSS_VARIANTS = True

def read(variants):
    stacks = {n: r.stack(r.upstream_keys, "probe/train", "accuracy") for n, r in variants.items()}
    return {name: steps for name, (_, steps, _) in stacks.items()}

def rows(steps):
    return [{"variant": name, "step": int(step)} for name in steps for step in steps[name]]

def draw(steps, variants):
    figure, axes = style.subplots(1, rows=[(1, 1)])
    axes[0, 0].set_title("Steps")
    return Drawing(figure, ["Points: steps.", ""], [f"{len(variants)} variants"], has_bands=False)

def table(steps):
    return "\\n".join(f"{name}: {len(steps[name])} steps" for name in steps)
'''


def test_a_new_figure_is_one_file(make_run, tmp_path, monkeypatch):
    (tmp_path / "steps_measured.py").write_text(NEW_FIGURE)
    monkeypatch.setattr("rl_keras.figures.__path__", [str(tmp_path), *rl_keras.figures.__path__])
    run = make_run(variants="one: ; two: filters=64", seeds=(0,))
    text = draw_all(str(run.path), ("steps_measured",))
    sys.modules.pop("rl_keras.figures.steps_measured")
    lines = text.splitlines()
    table = lines.index("one: 21 steps")
    assert lines[table + 1] == "two: 21 steps"
    assert lines[table + 3 :] == [
        f"wrote {run.figures_path / 'steps_measured.png'}",
        f"wrote {run.figures_path / 'steps_measured.csv'}",
        "note: 2 variants",
        f"tensorboard --logdir={run.path / 'tensorboard'}",
    ]
    with open(run.figures_path / "steps_measured.csv", newline="") as file:
        written = list(csv.DictReader(file))
    assert written[0] == {"variant": "one", "step": "0"} and len(written) == 42


def test_panels_are_lettered_and_small_print_is_under_them(make_run):
    with style.context():
        figure, axes = style.subplots(2, rows=[(1, 1), (1, 1)])
        for ax in axes.flat:
            ax.set_title("panel")
        axes[0, 1].set_visible(False)
        figure.add_axes((0, 0, 0.1, 0.1), label=style.COLOUR_BAR)
        style.finish(figure, "small print")
    titles = [ax.get_title("left") for ax in figure.axes]
    assert titles == ["(a) panel", "panel", "(b) panel", "(c) panel", ""]
    assert [text.get_text() for text in figure.texts] == ["small print"]


def test_drawn_twice_gives_the_same_table(make_run):
    run = make_run()
    tables = []
    for _ in range(2):
        paths, *_ = draw_figure("initialisations", run)
        tables.append(paths[1].read_bytes())
    assert tables[0] == tables[1]


def test_drawing_loads_neither_tensorflow_nor_pyplot(make_run):
    code = (
        "import sys\n"
        "import rl_keras.figures.plotting.drawing as drawing\n"
        "from rl_keras.settings.run import FIGURES\n"
        "from rl_keras.results.tables import summary_table\n"
        "from rl_keras.storage.run_folder import RunDirectory\n"
        "assert 'matplotlib' not in sys.modules\n"
        "run = RunDirectory(sys.argv[1])\n"
        "summary_table(run.read_summary())\n"
        "for name in FIGURES:\n"
        "    drawing.draw_figure(name, run)\n"
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
    for name in ("line", "marker", "marker_shift", "label"):
        assert len({getattr(look, name) for look in looks}) == len(looks)
    grey = np.sort([np.dot(to_rgb(look.color), (0.299, 0.587, 0.114)) for look in looks])
    assert np.diff(grey).min() > 0.1
    assert grey.max() < 0.75


def test_new_starts_get_free_looks_and_change_no_other():
    looks = style.looks_of_starts([*STARTS, "orthogonal", "sparse"])
    assert {start: looks[start] for start in STARTS} == style.STARTS
    assert [looks[start].label for start in ("orthogonal", "sparse")] == ["orthogonal", "sparse"]
    for name in ("color", "line", "marker", "marker_shift", "label"):
        assert len({getattr(look, name) for look in looks.values()}) == len(looks)
    grey = np.sort([np.dot(to_rgb(look.color), (0.299, 0.587, 0.114)) for look in looks.values()])
    assert np.diff(grey).min() > 0.1 and grey.max() < 0.75
    assert style.looks_of_starts(["a", "scratch"])["scratch"] == style.STARTS["scratch"]


@pytest.mark.parametrize(("num_seeds", "lines", "bands"), [(1, 1, 0), (2, 3, 0), (3, 1, 1)])
def test_band_shows_seeds_until_there_are_three(num_seeds, lines, bands):
    values = np.arange(num_seeds)[:, None] + np.arange(4.0)
    key = StageKey("downstream", "true", "scratch", 0)
    curve = mean_curve("accuracy", key, "train_probe", range(num_seeds), np.arange(4), values)
    ax = Figure().add_subplot()
    style.band(ax, curve, style.STARTS["scratch"])
    assert (len(ax.lines), len(ax.collections)) == (lines, bands)
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), values.mean(axis=0))
