"""Bad input of many kinds: one line on stderr, a non-zero exit, and nothing changed on the disk."""

import pathlib
import shutil
import subprocess
import sys

import pytest
from refusals import SMALL, assert_refused, snapshot

ROOT = pathlib.Path(__file__).parents[1]
MLP = "--model=mlp --filters=256 --units=64"
GAUSSIAN = f"--dataset=gaussian --gaussian_variances=1,2 --scaling=none {MLP}"

# Flags that contradict each other, the data or the model; and what the user reads.
BAD_FLAGS = [
    ("--sedes=0", "Unknown command line flag 'sedes'. Did you mean: seeds"),
    ("--upstream_epochs=many", "--upstream_epochs takes a whole number. Received: 'many'"),
    ("--flagfile=no/such/file.cfg", "no/such/file.cfg"),
    ("stray", "arguments must be flags of the form --name=value. Received: stray"),
    ("--seeds=1,1", "--seeds must not repeat an entry"),
    ("--upstream_labels=upside_down", "--upstream_labels must be one of true, random, partial"),
    (
        "--upstream_optimizer=adagrad",
        "--upstream_optimizer must be one of sgd, adam. Received: adagrad",
    ),
    ("--keep_filters=often", "keep_filters"),
    ("--upstream_corruption=0.3", "--upstream_corruption has an effect only with"),
    (
        "--upstream_labels=partial --upstream_corruption=2",
        "--upstream_corruption must be from 0 to 1. Received: 2.0",
    ),
    ("--downstream_split=train[30:60]", "--upstream_split=train[:40]"),
    ("--test_split=train[20:30]", "--test_split=train[20:30]"),
    ("--upstream_split=trian", "trian"),
    ("--upstream_split=train[:0]", "no examples"),
    ("--upstream_split=train[9999999:]", "9999999"),
    (
        "--upstream_learning_rate_drops=0.5 --upstream_learning_rate_decay=0.9",
        "are two ways for the rate to fall; remove one",
    ),
    ("--upstream_learning_rate_drops=0.5,0.2", "must be rising fractions between 0 and 1"),
    ("--upstream_learning_rate_decay=1.5", "must be above 0 and at most 1. Received: 1.5"),
    ("--transfer_depths=1 --transfer_layers=conv1", "both say what to transfer; remove one"),
    ("--transfer_depths=2,1,2 --starts=pretrained", "--transfer_depths must not repeat an entry"),
    ("--transfer_depths=1 --starts=scratch", "has an effect only with a start that transfers"),
    ("--starts=none,scratch", "--starts must not combine none with others. Received: none,scratch"),
    ("--upstream_batch_size=41", "--upstream_batch_size must not exceed the 40 examples"),
    (
        "--num_logical_cpus=2 --strategy=mirrored --upstream_batch_size=5",
        "divisible by the 2 replicas",
    ),
    ("--num_logical_cpus=2 --strategy=cpu", "--num_logical_cpus above 1 needs --strategy=mirrored"),
    ("--upstream_head_units=4", "--upstream_head_units must be at least the 10 classes"),
    ("--downstream_head_units=3", "--downstream_head_units must be at least the 7 classes"),
    ("--measure_every=400", "--measure_every never falls within the upstream stage of 8 steps"),
    ("--probe_every=400", "--probe_every never falls within the upstream stage of 8 steps"),
    ("--upstream_steps_per_execution=3", "--probe_every must be a multiple of"),
    ("--transfer_layers=conv7", "--transfer_layers: model 'simple_cnn' has no layer named 'conv7'"),
    ("--transfer_layers=flatten", "is a Flatten. Expected a Conv2D or Dense layer"),
    ("--transfer_layers=head", "--transfer_layers must leave the head 'head' out"),
    ("--transfer_layers=dense1", "needs more filters than input dimensions (28800)"),
    ("--alignment_layers=conv7", "--alignment_layers: model 'simple_cnn' has no layer named"),
    ("--filters=27", "needs more filters than input dimensions (27) in layer 'conv1'"),
    ("--kernel_size=33", "--kernel_size must not exceed the image, 32x32"),
    ("--widths=5", "--widths has no effect on --model=simple_cnn"),
    ("--dataset=cifar11", "did you mean"),
    ("--dataset=../../etc", "--dataset must be a TFDS name"),
    ("--data_dir=/no/such/folder", "--data_dir must be an existing folder"),
    ("--scaling=squash", "--scaling must be one of standardize"),
    ("--scaling_examples=-1", "--scaling_examples must be at least 0. Received: -1"),
    ("--dataset=imagenet2012", "Images of varying size need --image_size"),
    ("--image_size=-1", "--image_size must be at least 0. Received: -1"),
    ("--image_size=2", "--kernel_size must not exceed the image, 2x2"),
    (f"{GAUSSIAN} --image_size=32", "--image_size has no effect on --dataset=gaussian"),
    (
        f"{GAUSSIAN} --upstream_labels=true",
        "needs true labels, which --dataset=gaussian",
    ),
    ("--dataset=gaussian --scaling=none", "needs --gaussian_variances"),
    ("--mode=draw", "--workdir holds no run; run it first"),
    ("--mode=report", "--workdir must hold a run with a finished stage, or folders of such runs"),
]


@pytest.mark.parametrize(("flags", "message"), BAD_FLAGS, ids=[flags for flags, _ in BAD_FLAGS])
def test_bad_flags(flags, message, tmp_path, patches_dir, capsys):
    workdir = tmp_path / "run"
    data = [] if "--data_dir" in flags else [f"--data_dir={patches_dir}"]
    assert_refused([*SMALL, f"--workdir={workdir}", *data, *flags.split()], message, capsys)
    assert not workdir.exists()


def occupied(path):
    path.mkdir()
    (path / "thesis.tex").write_text("years of work")


def a_file(path):
    path.write_text("not a folder")


def foreign_config(path):
    path.mkdir()
    (path / "config.json").write_text('{"learning_rate": 0.1}')


def truncated_config(path):
    path.mkdir()
    (path / "config.json").write_text('{"format": 1, "sett')


def newer_config(path):
    path.mkdir()
    (path / "config.json").write_text('{"format": 7, "settings": {}}')


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (occupied, "--workdir holds other files and no config.json"),
        (a_file, "--workdir must be a folder"),
        (foreign_config, "was not written by this project"),
        (truncated_config, "was not written by this project"),
        (newer_config, "has another format. Expected: 1. Received: 7"),
    ],
)
@pytest.mark.parametrize("mode", ["run", "draw", "report"])
def test_bad_workdirs(prepare, message, mode, tmp_path, patches_dir, capsys):
    if mode == "draw" and prepare in (occupied, a_file):
        message = "--workdir holds no run" if prepare is occupied else "was not written"
    if mode == "report" and prepare in (occupied, a_file):
        message = "--workdir must hold a run with a finished stage, or folders of such runs"
    prepare(tmp_path / "run")
    before = snapshot(tmp_path)
    flags = [f"--workdir={tmp_path / 'run'}", f"--data_dir={patches_dir}", f"--mode={mode}"]
    assert_refused([*SMALL, *flags], message, capsys)
    assert snapshot(tmp_path) == before


def test_an_unwritable_workdir(patches_dir, capsys):
    # Nobody can make folders there, the superuser included.
    flags = ["--workdir=/proc/rl_keras", f"--data_dir={patches_dir}"]
    assert_refused([*SMALL, *flags], "--workdir cannot be written", capsys)


def damage_record(folder):
    path = next(folder.rglob("*train.tfrecord*"))
    content = bytearray(path.read_bytes())
    content[len(content) // 50] ^= 0xFF
    path.write_bytes(content)


def lose_records(folder):
    next(folder.rglob("*train.tfrecord*")).unlink()


def damage_info(folder):
    next(folder.rglob("dataset_info.json")).write_text("{")


@pytest.mark.parametrize("damage", [damage_record, lose_records, damage_info])
def test_a_damaged_data_set(damage, patches_dir, tmp_path, capsys):
    shutil.copytree(patches_dir, tmp_path / "data")
    damage(tmp_path / "data")
    workdir = tmp_path / "run"
    flags = [*SMALL, f"--workdir={workdir}", f"--data_dir={tmp_path / 'data'}"]
    assert_refused(flags, "natural_patches", capsys)
    assert not workdir.exists()


def test_data_that_are_not_there(tmp_path, capsys):
    flags = [*SMALL, "--dataset=cifar10", f"--data_dir={tmp_path}", f"--workdir={tmp_path / 'run'}"]
    assert_refused(flags, "--download", capsys)
    assert not any(tmp_path.iterdir())


def test_the_command_itself_prints_one_line_and_exits_with_two(tmp_path):
    command = [sys.executable, "main.py", "--upstream_epochs=0", f"--workdir={tmp_path / 'run'}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == "error: --upstream_epochs must be at least 1. Received: 0\n"
    assert done.stdout == ""
