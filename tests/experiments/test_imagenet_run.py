"""The whole recipe on `imagenet2012` with made-up images: streamed, on one device and on two."""

import numpy as np
import pytest

import main
from rl_keras.data.label_table import load_labels
from rl_keras.experiments.plan import make_plan
from rl_keras.experiments.run_data import RunData
from rl_keras.settings.experiment import from_values
from rl_keras.storage.run_folder import RunDirectory, read_arrays, stage_keys

FLAGS = (
    "--dataset=imagenet2012 --image_size=32 --test_split=validation "
    "--model=wide_resnet --depth=10 --widen=1 "
    "--upstream_split=train[:50%] --downstream_split=train[50%:] --downstream_labels=random "
    "--upstream_num_random_classes=1000 --downstream_num_random_classes=1000 "
    "--starts=pretrained "
    "--transfer_layers=all --transfer_normalization --alignment_layers=none --scaling_examples=20 "
    "--upstream_batch_size=10 --downstream_batch_size=10 --upstream_epochs=1 --downstream_epochs=1 "
    "--upstream_learning_rate=0.001 --downstream_learning_rate=0.001 "
    "--probe_every=3 --probe_examples=16 --measure_every=3 --moment_examples=16 "
    "--max_resident_mb=0 --keep_weights=all --notensorboard"
).split()
DEVICES = {"one": [], "two": ["--strategy=mirrored", "--num_logical_cpus=2"]}


@pytest.fixture(scope="module")
def finished(tmp_path_factory, imagenet_dir):
    """The folders of two runs, by their number of devices."""
    runs = {}
    for name, flags in DEVICES.items():
        workdir = tmp_path_factory.mktemp("runs") / name
        where = [f"--workdir={workdir}", f"--data_dir={imagenet_dir}"]
        assert main.main([*FLAGS, *where, *flags]) == 0
        runs[name] = RunDirectory(workdir)
    return runs


def test_both_stages_are_trained_on_a_thousand_random_classes(finished):
    keys = list(stage_keys(finished["one"].read_config()))
    assert [key.start for key in keys] == ["", "pretrained"]
    for key in keys:
        assert read_arrays(finished["one"].weights_path(key))["head/kernel"].shape[1] == 1000
    assert [row["start"] for row in finished["one"].read_summary()] == ["pretrained"]


def test_labels_are_kept_by_file_name(finished):
    for stage in ("upstream", "downstream"):
        tables = [load_labels(run.labels_path(stage, "random", 0)) for run in finished.values()]
        assert len(tables[0].ids) == 30
        assert all(name.startswith(b"n") and name.endswith(b".JPEG") for name in tables[0].ids)
        assert tables[0].sha256 == tables[1].sha256


def test_two_devices_agree_with_one(finished):
    for key in stage_keys(finished["one"].read_config()):
        one, two = (read_arrays(run.weights_path(key)) for run in finished.values())
        for path, value in one.items():
            # Rounding, which a deep network amplifies.
            scale = np.abs(value).max() + 1e-3
            np.testing.assert_allclose(two[path], value, rtol=0, atol=1e-5 * scale, err_msg=path)


def test_memory_and_files_give_the_same_scaling(finished, imagenet_dir):
    settings = {
        "dataset": "imagenet2012",
        "data_dir": imagenet_dir,
        "image_size": 32,
        "test_split": "validation",
        "upstream_split": "train[:50%]",
        "downstream_split": "train[50%:]",
        "upstream_batch_size": 10,
        "downstream_batch_size": 10,
        "probe_every": 3,
        "measure_every": 3,
        "probe_examples": 5,
        "moment_examples": 5,
    }
    scalings = {}
    for num in (0, 4, 900):
        for megabytes in (0, 100):
            extra = {"scaling_examples": num, "max_resident_mb": megabytes}
            plan = make_plan(from_values({**settings, **extra}))
            scaling = RunData(plan, finished["one"]).scaling
            scalings[num, megabytes] = (*scaling.mean, *scaling.std)
    for num in (0, 4, 900):
        assert scalings[num, 0] == scalings[num, 100]
    assert scalings[900, 0] == scalings[0, 0]
    assert len(set(scalings.values())) == 2
