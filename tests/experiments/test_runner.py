"""The whole recipe on a few small images: what it leaves, what it reuses, what arms share."""

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import main
from rl_keras.data.examples import load_examples
from rl_keras.data.label_table import load_labels
from rl_keras.data.sources import open_source
from rl_keras.experiments.plan import describe, make_plan
from rl_keras.experiments.run_data import RunData
from rl_keras.settings.experiment import from_values
from rl_keras.settings.transfer import FIRST_LAYER_STARTS as STARTS
from rl_keras.storage import locks
from rl_keras.storage.run_folder import RunDirectory, StageKey, read_arrays

ROOT = Path(__file__).parents[2]

SMALL = (
    "--upstream_split=train[:40] --downstream_split=train[40:80] --test_split=test[:25] "
    "--upstream_batch_size=10 --downstream_batch_size=10 --upstream_epochs=2 --downstream_epochs=2 "
    "--probe_every=4 --measure_every=4 --filters=32 --units=4 "
    "--upstream_num_random_classes=5 --seeds=0,1 --keep_weights=all --null_draws=9 --figures="
).split()


def run(workdir, data_dir, *flags):
    status = main.main([*SMALL, f"--workdir={workdir}", f"--data_dir={data_dir}", *flags])
    assert status == 0
    return RunDirectory(workdir)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, patches_dir):
    return run(tmp_path_factory.mktemp("runs") / "a", patches_dir, "--figures=overview")


def arms(seed=0, labels="true"):
    return {start: StageKey("downstream", labels, start, seed) for start in STARTS}


def test_the_folder_is_as_documented(finished):
    names = {path.name for path in finished.path.iterdir()}
    assert names == {
        *("config.json", "flags.cfg", "labels", "metrics.jsonl", "summary.csv"),
        *("arrays", "figures", "tensorboard", "stages"),
    }
    assert {path.name for path in finished.figures_path.iterdir()} == {
        *("overview.png", "overview.csv"),
    }
    events = list((finished.path / "tensorboard").rglob("events*"))
    assert len(events) == 1 + 2 + 2 * 4  # HParams, upstream, downstream


def test_every_line_of_the_log_has_the_documented_keys(finished):
    rows = finished.read_metrics()
    keys = {"stage", "labels", "start", "seed", "step", "name", "value"}
    assert all(set(row) == keys for row in rows)
    names = {row["name"] for row in rows}
    assert {
        *("train_probe/accuracy", "test_probe/accuracy", "train/loss"),
        *("alignment/conv1/data_basis", "alignment/conv1/random_basis", "alignment/conv1/floor"),
        *("alignment/conv1/null_low", "alignment/conv1/null_high", "alignment/conv1/p_value"),
        *("activity/conv1/dead_units", "activity/dense1/rarely_active", "final/test_accuracy"),
    } <= names


def test_summary_has_a_row_for_each_start_and_seed(finished):
    rows = finished.read_summary()
    stages = {(row["start"], row["labels"], row["seed"]) for row in rows}
    assert stages == {(start, "true", seed) for start in STARTS for seed in ("0", "1")}
    assert len(rows) == 8


def test_arms_start_from_the_same_weights_but_for_the_transferred_kernel(finished, patches_dir):
    from rl_keras.experiments.devices import make_strategy
    from rl_keras.experiments.runner import Experiment

    config = finished.read_config()
    plan = make_plan(config)
    experiment = Experiment(plan, RunData(plan, finished), finished, make_strategy(config.run))
    upstream = read_arrays(finished.weights_path(plan.upstream(0).key))
    stages = {s.key.start: s for s in plan.stages if s.key in arms().values()}
    weights = {start: experiment.initial_weights(stages[start], upstream) for start in STARTS}
    assert plan.arms["pretrained"].variables == ("conv1/kernel",)
    for start in STARTS[1:]:
        for path, value in weights["scratch"].items():
            same = np.array_equal(value, weights[start][path])
            assert same != (path == "conv1/kernel"), (start, path)
    # The head is fresh: another number of classes here, and other values in general.
    assert weights["pretrained"]["head/kernel"].shape != upstream["head/kernel"].shape
    assert not np.array_equal(weights["pretrained"]["dense1/kernel"], upstream["dense1/kernel"])


def test_arms_of_a_seed_share_labels_and_seeds_differ(finished):
    true, other = (load_labels(finished.labels_path("upstream", "random", seed)) for seed in (0, 1))
    assert true.sha256 != other.sha256
    assert true.given.max() < 5
    results = [finished.read_result(key) for key in arms().values()]
    assert len({result["labels_sha256"] for result in results}) == 1


def test_label_files_say_how_many_labels_are_wrong(finished):
    path = finished.labels_path("upstream", "random", 0)
    with np.load(path, allow_pickle=False) as archive:
        rates = json.loads(str(archive["rates"]))
        wrong = np.mean(archive["given"] != archive["true"])
    # Two of the seven photographs are beyond the five random classes.
    assert rates["realised"] == wrong and 0.7 < rates["nominal"] < 1


def test_a_second_run_trains_nothing_and_changes_nothing(finished, patches_dir, monkeypatch):
    from rl_keras.experiments.training import Trainer

    monkeypatch.setattr(Trainer, "fit", lambda *_: pytest.fail("trained again"))
    files = [finished.metrics_path, finished.summary_path, *finished.path.glob("figures/*.csv")]
    before = [path.read_bytes() for path in files]
    run(finished.path, patches_dir)
    assert [path.read_bytes() for path in files] == before


def test_no_figures_are_drawn_when_none_are_asked_for(finished, capsys):
    assert main.main([f"--workdir={finished.path}", "--mode=draw", "--figures="]) == 0
    assert "wrote" not in capsys.readouterr().out


def test_a_missing_stage_is_trained_again_with_the_same_result(finished, patches_dir, tmp_path):
    shutil.copytree(finished.path, tmp_path / "run")
    key = arms(seed=1)["covariance"]
    copy = RunDirectory(tmp_path / "run")
    shutil.rmtree(copy.stage_path(key))
    run(copy.path, patches_dir)
    for name in ("metrics_path", "summary_path"):
        assert getattr(copy, name).read_bytes() == getattr(finished, name).read_bytes()
    weights = [read_arrays(directory.weights_path(key)) for directory in (copy, finished)]
    for path in weights[0]:
        np.testing.assert_array_equal(weights[0][path], weights[1][path])


def test_a_run_repeats_from_its_own_folder(finished, patches_dir, tmp_path):
    flags = [f"--flagfile={finished.flagfile_path}", f"--workdir={tmp_path / 'again'}", "--seeds=1"]
    assert main.main(flags) == 0
    again = RunDirectory(tmp_path / "again")
    expected = [row for row in finished.read_summary() if row["seed"] == "1"]
    assert again.read_summary() == expected


def test_two_processes_with_other_seeds_share_a_folder(finished, patches_dir, tmp_path):
    workdir = tmp_path / "run"
    flags = [*SMALL, f"--workdir={workdir}", f"--data_dir={patches_dir}", "--notensorboard"]
    processes = [
        subprocess.Popen([sys.executable, "main.py", *flags, f"--seeds={seeds}"], cwd=ROOT)
        for seeds in ("0", "1")
    ]
    assert [process.wait() for process in processes] == [0, 0]
    together = RunDirectory(workdir)
    for name in ("metrics_path", "summary_path"):
        assert getattr(together, name).read_bytes() == getattr(finished, name).read_bytes()
    assert together.read_config().run.seeds == (0, 1)


def test_a_stage_that_another_process_trains_is_waited_for(
    finished, patches_dir, tmp_path, capsys, monkeypatch
):
    shutil.copytree(finished.path, tmp_path / "run")
    copy, key = RunDirectory(tmp_path / "run"), arms()["covariance"]
    aside = tmp_path / "result.json"
    (copy.stage_path(key) / "result.json").rename(aside)

    def finish_elsewhere():
        with locks.hold(copy.stage_path(key) / "lock", "stage"):
            started.set()
            assert told.wait(60)
            aside.rename(copy.stage_path(key) / "result.json")

    def announce(*arguments):
        locks_announce(*arguments)
        told.set()

    locks_announce = locks.announce_waiting
    monkeypatch.setattr(locks, "announce_waiting", announce)
    started, told = threading.Event(), threading.Event()
    other = threading.Thread(target=finish_elsewhere)
    other.start()
    started.wait()
    run(copy.path, patches_dir)
    other.join()
    text = capsys.readouterr().out
    assert f"stage {key.name} is in the hands of process {os.getpid()}" in text
    assert "[1/1]" not in text


def test_steps_per_execution_change_nothing(finished, patches_dir, tmp_path):
    flags = ["--upstream_steps_per_execution=4", "--downstream_steps_per_execution=4", "--seeds=0"]
    again = run(tmp_path / "run", patches_dir, *flags)
    key = arms()["pretrained"]
    weights = [read_arrays(directory.weights_path(key)) for directory in (again, finished)]
    for path in weights[0]:
        np.testing.assert_array_equal(weights[0][path], weights[1][path])
    expected = [row for row in finished.read_metrics() if row["seed"] == 0]
    assert again.read_metrics() == expected


def test_streaming_gives_the_same_contract(patches_dir, tmp_path):
    flags = ["--max_resident_mb=0", "--seeds=0", "--starts=scratch"]
    run_ = run(tmp_path / "run", patches_dir, *flags, "--downstream_labels=true,random")
    assert [row["labels"] for row in run_.read_summary()] == ["true", "random"]


def test_two_replicas_run_the_whole_experiment(finished, patches_dir, tmp_path):
    flags = ["--strategy=mirrored", "--num_logical_cpus=2", "--seeds=0", "--starts=covariance"]
    two = run(tmp_path / "two", patches_dir, *flags)
    key = arms()["covariance"]
    weights = [read_arrays(directory.weights_path(key)) for directory in (two, finished)]
    for path in weights[0]:
        np.testing.assert_allclose(weights[0][path], weights[1][path], atol=1e-5)


def test_gaussian_vectors_through_an_mlp(tmp_path):
    flags = (
        "--dataset=gaussian --gaussian_variances=0.5,1,2 --gaussian_examples=80 --scaling=none "
        "--model=mlp --widths=16,8 --upstream_split=train[:40] --downstream_split=train[40:] "
        "--test_split=test[:20] --upstream_batch_size=10 --downstream_batch_size=10 "
        "--upstream_epochs=1 --downstream_epochs=1 --probe_every=4 --measure_every=4 "
        f"--downstream_labels=random --workdir={tmp_path / 'run'}"
    ).split()
    assert main.main(flags) == 0
    arrays = read_arrays(
        RunDirectory(tmp_path / "run").arrays_path(StageKey("upstream", "random", "", 0))
    )
    source = open_source("gaussian", variances=(0.5, 1, 2), num_examples=80)
    vectors = load_examples(source, "train[:40]").images.astype(np.float64)
    expected = np.linalg.eigvalsh(np.cov(vectors.T, bias=True))[::-1]
    np.testing.assert_allclose(arrays["alignment/dense1/eigenvalues"], expected, rtol=1e-12)
    row = RunDirectory(tmp_path / "run").read_summary()[0]
    assert row["final_train_accuracy_true"] == ""


def test_dry_run_prints_the_plan_and_writes_nothing(patches_dir, tmp_path, capsys):
    workdir = tmp_path / "run"
    flags = [f"--workdir={workdir}", f"--data_dir={patches_dir}", "--dry_run"]
    assert main.main([*SMALL, *flags, "--downstream_labels=true,random"]) == 0
    text = capsys.readouterr().out
    assert "[18/18] downstream, random labels, covariance, seed 1" in text
    assert "40 examples, 5 classes, 8 steps of 10" in text
    assert not workdir.exists()


def test_cost_counts_every_multiplication(patches_dir):
    config = from_values({"data_dir": patches_dir, "filters": 32, "units": 4})
    plan = make_plan(config)
    assert plan.multiplications == 30 * 30 * 27 * 32 + 30 * 30 * 32 * 4 + 4 * 7
    assert "conv1/kernel" in describe(plan)


def test_results_are_plain_json(finished):
    result = json.loads((finished.stage_path(arms()["scratch"]) / "result.json").read_text())
    assert result["num_classes"] == 7
    assert result["transferred"] == []
    assert result["labels_realised_rate"] == 0.0
