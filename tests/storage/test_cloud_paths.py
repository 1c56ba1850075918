"""Runs under gs://, through TensorFlow's own client: the same results as on a disk.

`cloud.py` says what stands at the other end.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import main
from rl_keras.callbacks.writers import TensorBoardWriter
from rl_keras.data.examples import load_examples
from rl_keras.data.sources import open_source
from rl_keras.errors import UsageError
from rl_keras.settings.experiment import from_values
from rl_keras.storage.run_folder import RunDirectory

ROOT = Path(__file__).parents[2]
SMALL = (
    "--upstream_split=train[:40] --downstream_split=train[40:80] --test_split=test[:20] "
    "--upstream_batch_size=10 --downstream_batch_size=10 --upstream_epochs=2 --downstream_epochs=3 "
    "--probe_every=4 --measure_every=4 --filters=32 --units=4 --starts=covariance "
    "--keep_weights=all --checkpoint_every=4 --null_draws=9"
).split()
# Runs main.py, and is killed a second after it has begun to save the state in UPLOAD.
UPLOAD = "downstream-true-covariance-seed0/checkpoints/step-000000008"
DIES_SAVING = """
import os, signal, sys, threading
import main
from rl_keras.experiments import checkpoints, stage
def save(folder, checkpoint):
    if "downstream" in str(folder) and checkpoint.step == 8:
        threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGKILL)).start()
    checkpoints.save_checkpoint(folder, checkpoint)
stage.save_checkpoint = save
sys.exit(main.main(sys.argv[1:]))
"""


def files_below(path):
    """Returns the content of every file by its name below the folder."""
    files = {}
    for below in path.iterdir():
        if below.is_dir():
            files |= {f"{below.name}/{name}": c for name, c in files_below(below).items()}
        else:
            files[below.name] = below.read_bytes()
    return files


@pytest.fixture(scope="module")
def on_disk(tmp_path_factory, patches_dir):
    workdir = tmp_path_factory.mktemp("runs") / "a"
    assert main.main([*SMALL, f"--workdir={workdir}", f"--data_dir={patches_dir}"]) == 0
    return workdir


@pytest.fixture(scope="module")
def in_cloud(bucket, patches_dir):
    """A run that was killed in the middle of uploading a state, and then finished."""
    workdir = bucket / "runs" / "a"
    (bucket / "stall").write_bytes(UPLOAD.encode())
    flags = [*SMALL, f"--workdir={workdir}", f"--data_dir={patches_dir}"]
    command = [sys.executable, "-c", DIES_SAVING, *flags]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == -signal.SIGKILL
    left = " ".join(files_below(workdir))
    assert "downstream-true-covariance-seed0/lock.00000001." in left
    assert "downstream-true-covariance-seed0/checkpoints/step-000000004" in left
    assert UPLOAD not in left and not (bucket / "stall").exists()
    assert main.main(flags) == 0
    return workdir


def test_a_killed_run_ends_with_the_bytes_of_an_undisturbed_one_on_a_disk(in_cloud, on_disk):
    def kept(path):
        files = files_below(path)
        return {name: files[name] for name in files if not name.startswith("tensorboard/")}

    ended, expected = kept(in_cloud), kept(on_disk)
    assert ended.keys() == expected.keys()
    differ = {name for name in ended if ended[name] != expected[name]}
    results = {name for name in ended if name.endswith("result.json")}
    assert differ <= {"config.json", "flags.cfg", *results}  # the folder's name; seconds
    for name in results:
        one, other = json.loads(ended[name]), json.loads(expected[name])
        assert one | {"train_seconds": 0} == other | {"train_seconds": 0}


def test_variants_share_an_upstream_stage(bucket, patches_dir):
    variants = "--variants=a: downstream_epochs=1; b: downstream_epochs=2"
    flags = [f"--workdir={bucket / 'runs' / 'shared'}", f"--data_dir={patches_dir}", variants]
    assert main.main([*SMALL, *flags, "--figures="]) == 0
    one, other = (bucket / "runs" / "shared" / name for name in "ab")
    stage = "upstream-random-seed0"
    for name in (
        f"arrays/{stage}.npz",
        f"stages/{stage}/result.json",
        f"stages/{stage}/weights.npz",
    ):
        assert (one / name).read_bytes() == (other / name).read_bytes()
    assert list((other / "tensorboard" / stage).glob("events*"))


def test_tensorboard_files_are_readable(in_cloud):
    for stage in (in_cloud / "tensorboard").glob("*-seed0"):
        tags = EventAccumulator(str(stage)).Reload().Tags()["tensors"]
        assert {"train_probe/accuracy", "final/test_accuracy"} <= set(tags)


def test_a_run_is_drawn(in_cloud, capsys):
    before = (in_cloud / "figures" / "overview.csv").read_bytes()
    (in_cloud / "figures" / "overview.csv").unlink()
    assert main.main([f"--workdir={in_cloud}", "--mode=draw"]) == 0
    assert (in_cloud / "figures" / "overview.csv").read_bytes() == before
    assert f"wrote {in_cloud}/figures/overview.csv" in capsys.readouterr().out


def test_drawing_on_a_disk_needs_no_tensorflow(on_disk):
    code = f"""
import sys, main
sys.exit(main.main(["--workdir={on_disk}", "--mode=draw"]) or "tensorflow" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_drawing_starts_tensorflow_quietly(bucket):
    command = [sys.executable, "main.py", f"--workdir={bucket / 'nothing'}", "--mode=draw"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == (
        "error: --workdir holds no run; run it first without --mode=draw. "
        f"Received: {bucket}/nothing\n"
    )


def refused(workdir, *flags):
    RunDirectory(workdir).check(from_values(dict(flags)))


def test_folders_that_are_not_this_run_are_refused(in_cloud, bucket):
    refused(bucket / "new")
    assert not (bucket / "new").exists()
    with pytest.raises(UsageError, match="holds a run with --test_split=test"):
        refused(in_cloud)
    (bucket / "thesis" / "one.tex").write_bytes(b"")
    with pytest.raises(UsageError, match="holds other files and no config.json"):
        refused(bucket / "thesis")
    with pytest.raises(UsageError, match="--workdir must be a folder.*one.tex"):
        refused(bucket / "thesis" / "one.tex")
    with pytest.raises(UsageError, match="holds no run; run it first"):
        RunDirectory(bucket / "thesis").read_config()


@pytest.mark.parametrize(("name", "code"), [("readonly", 403), ("missing", 404)])
def test_buckets_that_cannot_be_written_are_refused(bucket, name, code):
    with pytest.raises(UsageError, match=f"cannot be written .*{code}.*Received: gs://{name}/a"):
        refused(f"gs://{name}/a")


@pytest.mark.parametrize("text", ["s3://bucket/a", "gs://", "gs:/bucket/a", "https://a.b/c"])
def test_other_places_are_refused_in_one_line(text, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for flag in ("workdir", "data_dir"):
        assert main.main([f"--{flag}={text}"]) == 2
        error = capsys.readouterr().err
        assert error == (
            f"error: --{flag} must be a local folder or gs://BUCKET/FOLDER. Received: {text}\n"
        )
    assert not list(tmp_path.iterdir())


def test_a_lost_store_reads_like_a_full_disk(in_cloud, monkeypatch, capsys):
    def fail(*_):
        raise tf.errors.UnavailableError(None, None, "The store is away.\nAnd more.")

    monkeypatch.setattr(tf.io.gfile, "GFile", fail)
    assert main.main([f"--workdir={in_cloud}", "--mode=draw"]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: The store is away.: {in_cloud}/")
    assert error.count("\n") == 1


def test_data_are_prepared_and_read_in_a_bucket(bucket, patches_dir):
    with pytest.raises(UsageError, match="--data_dir must be an existing folder"):
        open_source("natural_patches", str(bucket / "data"))
    (bucket / "data" / "README").write_bytes(b"a bucket has no empty folders")
    far = open_source("natural_patches", str(bucket / "data"))
    near = open_source("natural_patches", patches_dir)
    one, other = (load_examples(source, "train[10:30]").images for source in (far, near))
    np.testing.assert_array_equal(one, other)
    for column in range(2):
        one, other = (source.identify("test")[column] for source in (far, near))
        np.testing.assert_array_equal(one, other)
    with pytest.raises(UsageError, match="not prepared in gs://bucket/data/cifar10/3.0.2"):
        open_source("cifar10", str(bucket / "data"))
    # A network that fails does not mean damaged files.
    away = tf.errors.UnavailableError(None, None, "{{node}} away\nfor long")
    with pytest.raises(OSError, match="away: 'gs://bucket/data"), far.refusing_damage():
        raise away


def test_summaries_are_sent_in_large_parts_and_cleared(bucket):
    writer = TensorBoardWriter(bucket / "board")
    for step in range(100):
        writer.scalar(step, "a", 0.0)
    (path,) = (bucket / "board").glob("events*")
    assert len(path.read_bytes()) < 100  # the heading
    writer.close()
    events = EventAccumulator(str(path), size_guidance={"tensors": 0}).Reload()
    assert len(events.Tensors("a")) == 100
    writer.clear()
    assert not list((bucket / "board").iterdir())


@pytest.mark.slow
def test_two_processes_with_other_seeds_share_a_folder(bucket, on_disk, patches_dir):
    workdir = bucket / "shared"
    flags = [*SMALL, f"--workdir={workdir}", f"--data_dir={patches_dir}"]
    processes = [
        subprocess.Popen([sys.executable, "main.py", *flags, f"--seeds={seeds}"], cwd=ROOT)
        for seeds in ("0", "1", "0")
    ]
    assert [process.wait() for process in processes] == [0, 0, 0]
    together = RunDirectory(workdir)
    assert together.read_config().run.seeds == (0, 1)
    expected = RunDirectory(on_disk).read_metrics()
    assert [row for row in together.read_metrics() if row["seed"] == 0] == expected
    assert os.environ["https_proxy"]
