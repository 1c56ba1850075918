"""Section 5 of Zhang et al. from the command line: descent from zero, beside the least norm."""

import numpy as np
import pytest

import main
from rl_keras.errors import UsageError
from rl_keras.figures.plotting.drawing import rows_of
from rl_keras.settings.experiment import from_values
from rl_keras.storage.run_folder import RunDirectory, StageKey, read_arrays

SMALL = (
    "--model=linear --upstream_loss=squared_error --minimum_norm --starts=none "
    "--upstream_split=train[:40] --test_split=test[:20] --upstream_batch_size=20 "
    "--upstream_epochs=40 --upstream_learning_rate=0.0002 --probe_every=40 --measure_every=20 "
    "--alignment_layers=none --figures=interpolation --notensorboard --keep_weights=all"
).split()
KEY = StageKey("upstream", "random", "", 0)


def test_both_kinds_of_features_leave_paths_and_ends(patches_dir, tmp_path):
    variants = "--variants=pixels: scaling=standardize; features: random_filters=16"
    flags = [f"--workdir={tmp_path / 'run'}", f"--data_dir={patches_dir}", variants]
    assert main.main([*SMALL, *flags]) == 0
    for name in ("pixels", "features"):
        run = RunDirectory(tmp_path / "run" / name)
        arrays = read_arrays(run.arrays_path(KEY))
        distance = arrays["minimum_norm/distance"]
        assert distance[0] == 1 and (np.diff(distance) < 0).all()
        weights = read_arrays(run.weights_path(KEY))["head/kernel"]
        assert np.linalg.norm(weights) == pytest.approx(arrays["minimum_norm/norm"][-1], rel=1e-5)
        # The weights of least norm are the nearest to zero of all that fit the labels.
        assert arrays["minimum_norm/norm"][-1] < arrays["minimum_norm/linear/norm"]
        assert arrays["minimum_norm/linear/train_error"] == 0
    rows = rows_of("interpolation", RunDirectory(tmp_path / "run"))
    assert {row["variant"] for row in rows} == {"pixels", "features"}
    ends = {row["quantity"] for row in rows if row["panel"] == "end"}
    kinds = {
        f"{kind}/{what}"
        for kind in ("end", "linear", "gaussian")
        for what in ("norm", "test_error")
    }
    assert ends == {*kinds, "chance"}
    assert (tmp_path / "run" / "figures" / "interpolation.png").exists()


def test_too_many_examples_end_before_training(patches_dir, tmp_path, capsys):
    workdir = tmp_path / "run"
    flags = [*SMALL, "--random_filters=5", f"--workdir={workdir}", f"--data_dir={patches_dir}"]
    assert main.main(flags) == 2
    assert "--minimum_norm needs more inputs" in capsys.readouterr().err
    assert not workdir.exists()


def test_slices_that_are_streamed_are_refused(patches_dir, tmp_path, capsys):
    flags = [*SMALL, "--max_resident_mb=0", f"--workdir={tmp_path}", f"--data_dir={patches_dir}"]
    assert main.main(flags) == 2
    assert (
        "--minimum_norm needs the upstream and the test split in memory" in capsys.readouterr().err
    )


def test_other_models_losses_and_starts_are_refused():
    good = {"model": "linear", "upstream_loss": "squared_error", "starts": ("none",)}
    good |= {"minimum_norm": True, "alignment_layers": ("none",)}
    assert from_values(good).measure.minimum_norm
    for other in ({"model": "mlp"}, {"upstream_loss": "cross_entropy"}, {"starts": ("scratch",)}):
        with pytest.raises(
            UsageError, match="--minimum_norm needs --model=linear, --upstream_loss"
        ):
            from_values({**good, **other})
