"""Several flagfiles in one command: shared stages, failures that stop nothing, one report."""

import json

import numpy as np
import pytest

import main
from rl_keras.errors import TrainingError, UsageError
from rl_keras.experiments import runner
from rl_keras.settings.command_line import parse
from rl_keras.settings.variants import expand_flagfiles
from rl_keras.storage.run_folder import RunDirectory, StageKey, read_arrays

SMALL = """
--dataset=gaussian
--gaussian_variances=0.5,1,2
--gaussian_examples=80
--scaling=none
--model=mlp
--widths=16,8
--upstream_split=train[:40]
--downstream_split=train[40:]
--test_split=test[:20]
--upstream_batch_size=10
--downstream_batch_size=10
--upstream_epochs=2
--downstream_epochs=1
--probe_every=4
--measure_every=4
--downstream_labels=random
--starts=scratch,pretrained
"""
UPSTREAM = StageKey("upstream", "random", "", 0)


@pytest.fixture
def flagfiles(tmp_path):
    """Two experiments with one upstream stage, and one with another."""
    more = {"slow": "", "fast": "--downstream_learning_rate=0.1", "short": "--upstream_epochs=1"}
    for name, flags in more.items():
        (tmp_path / f"{name}.cfg").write_text(f"--experiment={name}{SMALL}{flags}\n")
    return [str(tmp_path / f"{name}.cfg") for name in more]


def program(flagfiles, workdir, *flags):
    return main.main([f"--experiments={','.join(flagfiles)}", f"--workdir={workdir}", *flags])


@pytest.fixture
def counted(monkeypatch):
    """The names of the stages that are trained."""
    names, train_stage = [], runner.train_stage

    def counting(stage, *arguments):
        names.append(stage.key.name)
        return train_stage(stage, *arguments)

    monkeypatch.setattr(runner, "train_stage", counting)
    return names


def test_what_experiments_share_is_trained_once(flagfiles, tmp_path, counted, capsys):
    workdir = tmp_path / "all"
    assert program(flagfiles, workdir) == 0
    assert counted.count(UPSTREAM.name) == 2 and len(counted) == 2 + 3 * 2
    text = capsys.readouterr().out
    assert "== experiment 2 of 3: fast ==" in text and "[8/8] downstream" in text
    assert "slow: done, " in text and (workdir / "report.html").exists()
    # A run by itself leaves the same.
    assert main.main([f"--flagfile={flagfiles[1]}", f"--workdir={tmp_path / 'alone'}"]) == 0
    alone, shared = RunDirectory(tmp_path / "alone"), RunDirectory(workdir / "fast")
    for name in ("metrics_path", "summary_path"):
        assert getattr(alone, name).read_bytes() == getattr(shared, name).read_bytes()
    for path in (RunDirectory.arrays_path, RunDirectory.weights_path):
        one, other = read_arrays(path(alone, UPSTREAM)), read_arrays(path(shared, UPSTREAM))
        assert one.keys() == other.keys()
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])
    assert list(shared.tensorboard_path(UPSTREAM).glob("events*"))


def test_variants_share_upstream_stages_too(flagfiles, tmp_path, counted):
    variants = "--variants=a: downstream_epochs=1; b: downstream_epochs=2; c: upstream_epochs=1"
    flags = [f"--flagfile={flagfiles[0]}", f"--workdir={tmp_path / 'run'}", variants]
    assert main.main([*flags, "--figures="]) == 0
    assert counted.count(UPSTREAM.name) == 2


def test_a_second_command_trains_nothing(flagfiles, tmp_path, counted):
    for _ in range(2):
        assert program(flagfiles[:1], tmp_path / "all") == 0
    assert len(counted) == 3


def test_one_that_fails_stops_no_other(flagfiles, tmp_path, monkeypatch, capsys):
    train_stage = runner.train_stage

    def failing(stage, trainer, data, directory, *rest):
        if "slow" in str(directory.path):
            raise TrainingError("the loss is not finite")
        return train_stage(stage, trainer, data, directory, *rest)

    monkeypatch.setattr(runner, "train_stage", failing)
    assert program(flagfiles[:2], tmp_path / "all") == 3
    said = capsys.readouterr()
    assert said.err == "error: slow: the loss is not finite\n"
    assert "slow: failed, " in said.out and "fast: done, " in said.out
    report = json.loads((tmp_path / "all" / "claims.json").read_text())
    assert report


def test_a_bug_in_one_stops_no_other(flagfiles, tmp_path, monkeypatch, capsys):
    run_seed = runner.Experiment.run_seed

    def failing(self, seed):
        return 1 / 0 if "slow" in str(self.directory.path) else run_seed(self, seed)

    monkeypatch.setattr(runner.Experiment, "run_seed", failing)
    assert program(flagfiles[:2], tmp_path / "all") == 1
    said = capsys.readouterr()
    assert "ZeroDivisionError" in said.err and "fast: done, " in said.out


def test_where_all_fail_the_status_is_theirs(flagfiles, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(runner.Experiment, "run_seed", lambda *_: 1 / 0)
    assert program(flagfiles[:1], tmp_path / "all") == 1
    assert "no run" not in capsys.readouterr().err


def test_bad_input_in_one_stops_all_before_training(flagfiles, tmp_path, counted, capsys):
    (tmp_path / "bad.cfg").write_text("--upstream_batch_size=0\n")
    assert program([*flagfiles, str(tmp_path / "bad.cfg")], tmp_path / "all") == 2
    assert "bad.cfg: --upstream_batch_size" in capsys.readouterr().err
    assert counted == [] and not (tmp_path / "all").exists()


def test_a_dry_run_describes_all_and_writes_nothing(flagfiles, tmp_path, capsys):
    assert program(flagfiles, tmp_path / "all", "--dry_run") == 0
    text = capsys.readouterr().out
    assert text.count("[1/3] upstream") == 3
    assert not (tmp_path / "all").exists()


def test_drawing_reads_only(flagfiles, tmp_path, counted, capsys):
    assert program(flagfiles[:1], tmp_path / "all") == 0
    del counted[:]
    assert program(flagfiles[:2], tmp_path / "all", "--mode=draw") == 2
    said = capsys.readouterr()
    assert counted == []
    assert "error: fast: --workdir holds no run" in said.err and "slow: done" in said.out


REFUSED = {
    "another setting": (["--filters=8"], "beside --experiments only .* Received: --filters"),
    "a variant": (["--variants=a: filters=8"], "beside --experiments .* Received: --variants"),
    "several hosts": (["--strategy=multi_worker"], "--experiments needs all devices on one host"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_flags_that_cannot_be_passed_on_are_refused(name, flagfiles):
    flags, message = REFUSED[name]
    config, given = parse([f"--experiments={flagfiles[0]}", "--workdir=w", *flags])
    with pytest.raises(UsageError, match=message):
        expand_flagfiles(config, given)


def test_a_file_must_be_there_once_and_be_no_program(flagfiles, tmp_path):
    (tmp_path / "all.cfg").write_text(f"--experiments={flagfiles[0]}\n")
    bad = {
        "must not name a file twice": [flagfiles[0]] * 2,
        "must name single experiments": [str(tmp_path / "all.cfg")],
        "none.cfg: .*flagfile": [str(tmp_path / "none.cfg")],
    }
    for message, files in bad.items():
        config, given = parse([f"--experiments={','.join(files)}", "--workdir=w"])
        with pytest.raises(UsageError, match=message):
            expand_flagfiles(config, given)


def test_seeds_and_the_place_of_data_are_passed_on(flagfiles):
    config, given = parse([f"--experiments={flagfiles[0]}", "--workdir=w", "--seeds=4,5"])
    (own,) = expand_flagfiles(config, given).values()
    assert own.run.seeds == (4, 5) and own.run.workdir == "w/slow"
