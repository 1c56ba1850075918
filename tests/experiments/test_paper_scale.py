"""Flagfiles for accelerators are not run to their end here: each takes ten steps of every stage.

Those for two CPU cores are run by hand; here they pass a dry run.
"""

from pathlib import Path

import pytest

import main
from rl_keras.settings import command_line
from rl_keras.storage.run_folder import RunDirectory, stage_keys

ROOT = Path(__file__).parents[2]
FILES = [p for p in sorted((ROOT / "flags").glob("*.cfg")) if "not run to its end" in p.read_text()]
STEPS = 10
BATCH = 8


def ten_steps(path, workdir, data_dir):
    """The flags of a flagfile on little data; its network and its stages are as they stand."""
    flags = [
        f"--flagfile={path}",
        f"--workdir={workdir}",
        f"--data_dir={data_dir}",
        "--dataset=natural_patches",
        "--test_split=test[:16]",
        "--seeds=0",
        "--require_fit=0",
        "--notensorboard",
        f"--probe_every={STEPS}",
        f"--measure_every={STEPS}",
        "--probe_examples=16",
        "--moment_examples=64",
    ]
    for stage, first in (("upstream", 0), ("downstream", 100)):
        flags += [
            f"--{stage}_split=train[{first}:{first + STEPS * BATCH}]",
            f"--{stage}_batch_size={BATCH}",
            f"--{stage}_epochs=1",
        ]
    return flags


SMALL = [
    p
    for p in sorted((ROOT / "flags").glob("*_cpu.cfg"))
    if p.stem not in ("paper_cpu", "zhang_cpu")
]
FEW = {"fig1_positive.cfg", "zhang_fig1a.cfg"}  # the others have the same networks
DRY = [pytest.param(p, marks=() if p.name in FEW else pytest.mark.slow) for p in FILES]


@pytest.mark.parametrize("path", DRY, ids=lambda path: path.name)
def test_dry_run_at_full_size(path, cifar10_dir, capsys):
    config, _ = command_line.parse([f"--flagfile={path}"])
    if config.data.dataset != "cifar10":
        pytest.skip(f"{config.data.dataset} is not there; ten steps are tested on other images")
    assert main.main([f"--flagfile={path}", f"--data_dir={cifar10_dir}", "--dry_run"]) == 0
    assert "operations" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("path", SMALL, ids=lambda path: path.name)
def test_dry_run_at_the_scale_of_two_cores(path, cifar10_dir, tmp_path):
    flags = [f"--flagfile={path}", f"--workdir={tmp_path}", "--dry_run"]
    config, _ = command_line.parse(flags)
    where = [f"--data_dir={cifar10_dir}"] if config.data.dataset == "cifar10" else []
    assert main.main([*flags, *where]) == 0


@pytest.mark.slow
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_ten_steps_of_every_stage(path, tmp_path, patches_dir):
    flags = ten_steps(path, tmp_path / "run", patches_dir)
    assert main.main(flags) == 0
    config, _ = command_line.parse(flags)
    names = [folder.name for folder in (tmp_path / "run").iterdir() if folder.is_dir()]
    runs = names if config.run.variants else ["."]
    trained = [RunDirectory(tmp_path / "run" / name) for name in runs]
    trained = [run for run in trained if run.path.joinpath("config.json").exists()]
    assert trained
    for run in trained:
        for key in stage_keys(run.read_config()):
            assert run.read_result(key)["summary"]["steps"] == STEPS
