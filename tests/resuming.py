"""A tiny experiment that is interrupted in many ways, and what it must end with."""

from pathlib import Path

import numpy as np

from rl_keras.storage.run_folder import RunDirectory, read_arrays, stage_keys

ROOT = Path(__file__).parents[1]
SMALL = (
    "--upstream_split=train[:40] --downstream_split=train[40:80] --test_split=test[:20] "
    "--upstream_batch_size=10 --downstream_batch_size=10 --upstream_epochs=4 --downstream_epochs=3 "
    "--probe_every=4 --measure_every=4 --filters=32 --units=4 --starts=scratch,covariance "
    "--keep_weights=all --checkpoint_every=4 --null_draws=9 --notensorboard --figures="
).split()
VARIANTS = {
    "resident": [],
    "streaming": ["--max_resident_mb=0"],
    "executions": [
        "--upstream_steps_per_execution=4",
        "--downstream_steps_per_execution=4",
        # Another optimiser, with more state, and records that no log holds.
        "--upstream_optimizer=adam",
        "--upstream_learning_rate=0.001",
        "--keep_filters",
    ],
    "replicas": ["--strategy=mirrored", "--num_logical_cpus=2"],
    "regularised": [
        "--crop_size=24",
        "--upstream_augmentation=full",
        "--downstream_augmentation=crop",
        "--upstream_weight_decay=0.01",
        "--dropout=0.3",
        "--strategy=mirrored",
        "--num_logical_cpus=2",
    ],
    "corrupted": [
        "--crop_size=24",
        "--input_corruption=random_pixels",
        "--max_resident_mb=0",
        "--dropout=0.3",
    ],
}


def arguments(workdir, data_dir, variant="resident"):
    return [*SMALL, f"--workdir={workdir}", f"--data_dir={data_dir}", *VARIANTS[variant]]


def assert_same(one, other):
    for name in ("metrics.jsonl", "summary.csv"):
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
    first, second = RunDirectory(one), RunDirectory(other)
    for key in stage_keys(first.read_config()):
        for path in (RunDirectory.weights_path, RunDirectory.arrays_path):
            arrays = read_arrays(path(first, key)), read_arrays(path(second, key))
            assert arrays[0].keys() == arrays[1].keys()
            for name in arrays[0]:
                np.testing.assert_array_equal(arrays[0][name], arrays[1][name], err_msg=name)
    assert not list(other.rglob("step-*.npz"))
    assert not list(other.rglob("*.tmp"))
