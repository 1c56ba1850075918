"""Ledger, feature alignment and representations in whole runs: resumable, and only looking."""

import keras
import numpy as np
import pytest
from resuming import arguments, assert_same

import main
from rl_keras.callbacks.measurement import StageView
from rl_keras.data.label_table import load_labels
from rl_keras.errors import UsageError
from rl_keras.experiments import stage
from rl_keras.experiments.checkpoints import save_checkpoint
from rl_keras.experiments.plan import make_plan
from rl_keras.experiments.run_data import RunData, StageData
from rl_keras.science.memorisation import MemorisationLedger
from rl_keras.settings.experiment import from_values
from rl_keras.storage.run_folder import RunDirectory, StageKey, read_arrays, stage_keys

LABELS = [
    *("--upstream_labels=partial", "--upstream_corruption=0.5", "--starts=pretrained"),
    "--units=16",  # with 4 all may be dead, and then nothing changes
]
MEASURES = ["--ledger", "--feature_alignment", "--keep_representations=15"]


def flags(workdir, data_dir, measures=MEASURES):
    return [*arguments(workdir, data_dir), *LABELS, *measures]


@pytest.fixture(scope="module")
def measured(tmp_path_factory, patches_dir):
    workdir = tmp_path_factory.mktemp("measured") / "run"
    assert main.main(flags(workdir, patches_dir)) == 0
    return workdir


def arrays_of(workdir):
    run = RunDirectory(workdir)
    return {key: read_arrays(run.arrays_path(key)) for key in stage_keys(run.read_config())}


def test_interrupted_runs_go_on_to_the_same_bytes(measured, patches_dir, tmp_path, monkeypatch):
    left = [3]

    def save(*args):
        save_checkpoint(*args)
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(stage, "save_checkpoint", save)
        assert main.main(flags(tmp_path / "run", patches_dir)) == 130
    assert main.main(flags(tmp_path / "run", patches_dir)) == 0
    assert_same(measured, tmp_path / "run")


def test_weights_and_other_records_are_bitwise_equal_without(measured, patches_dir, tmp_path):
    assert main.main(flags(tmp_path / "run", patches_dir, [])) == 0
    with_them, without = arrays_of(measured), arrays_of(tmp_path / "run")
    for key, bare in without.items():
        for name, values in bare.items():
            np.testing.assert_array_equal(with_them[key][name], values, err_msg=name)
        more = {name.split("/")[0] for name in with_them[key].keys() - bare.keys()}
        assert more == {"ledger", "feature_alignment", "representation"}
        weights = [
            read_arrays(RunDirectory(run).weights_path(key)) for run in (measured, tmp_path / "run")
        ]
        for name in weights[1]:
            np.testing.assert_array_equal(weights[0][name], weights[1][name], err_msg=name)


def test_two_replicas_are_measured_as_one_device_is(measured, patches_dir, tmp_path):
    devices = ["--strategy=mirrored", "--num_logical_cpus=2"]
    assert main.main([*flags(tmp_path / "run", patches_dir), *devices]) == 0
    one, two = arrays_of(measured), arrays_of(tmp_path / "run")
    for key, arrays in one.items():
        names = [n for n in arrays if n.split("/")[0] in ("feature_alignment", "representation")]
        assert names and two[key].keys() == arrays.keys()
        for name in names:
            mine, its = arrays[name], two[key][name]
            if np.issubdtype(mine.dtype, np.floating):  # weights differ in their last bits
                scale = np.nanmax(np.abs(mine), initial=0)
                np.testing.assert_allclose(its, mine, rtol=0, atol=2e-4 * scale, err_msg=name)
            else:
                np.testing.assert_array_equal(its, mine, err_msg=name)


def test_arrays_and_lines_stand_in_the_order_of_all_runs_so_far(measured):
    order = ("alignment", "activity", "probe", "ledger", "feature_alignment", "representation")
    for arrays in arrays_of(measured).values():
        assert tuple(dict.fromkeys(name.split("/")[0] for name in arrays)) == order
    first = [row["name"] for row in RunDirectory(measured).read_metrics() if row["step"] == 0]
    kinds = ("train_probe", "test_probe", "alignment", "activity", "ledger")
    assert tuple(dict.fromkeys(name.split("/")[0] for name in first))[: len(kinds)] == kinds


def test_the_view_of_a_stage_has_all_that_a_measurement_may_ask_for(measured):
    run = RunDirectory(measured)
    plan = make_plan(run.read_config())
    model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(3)])
    view = StageData(RunData(plan, run), plan.stages[0], model, ())
    methods = [name for name in vars(StageView) if not name.startswith("_")]
    assert "moments" in methods
    for name in (*StageView.__annotations__, *methods):
        assert hasattr(view, name)
    assert view.images("test", 3).shape[0] == 3
    assert len(view.labels("test").ids) == len(view.images("test"))


def test_the_ledger_is_of_the_probe_and_its_labels(measured):
    run = RunDirectory(measured)
    for key, arrays in arrays_of(measured).items():
        table = load_labels(run.labels_path(key.stage, key.labels, key.seed))
        assert arrays["ledger/ids"].tolist() == table.ids.tolist()
        np.testing.assert_array_equal(arrays["ledger/given_labels"], table.given)
        said, given = arrays["ledger/predictions"], arrays["ledger/given_labels"]
        np.testing.assert_array_equal(
            np.mean(said == given, axis=1), arrays["probe/train/accuracy"]
        )
        ledger = MemorisationLedger(table.given, table.true)
        for step, row in zip(arrays["ledger/step"], said, strict=True):
            ledger.update(step, row)
        np.testing.assert_array_equal(arrays["ledger/first_fitted"], ledger.first_fitted)
        corrupted = key.labels == "partial"
        assert np.isnan(arrays["ledger/shares_corrupted"]).any() == (not corrupted)
    logged = {(row["stage"], row["name"]) for row in run.read_metrics()}
    assert {("upstream", f"ledger/{name}") for name in ("true", "given", "other")} <= logged
    assert ("downstream", "ledger/other") not in logged


def test_all_stages_are_sampled_at_the_same_test_examples_and_positions(measured):
    upstream, downstream = arrays_of(measured).values()
    for name in ("representation/ids", "representation/conv1/positions"):
        np.testing.assert_array_equal(upstream[name], downstream[name])
    key = StageKey("upstream", "partial", "", 0)
    assert not set(upstream["representation/ids"]) & set(arrays_of(measured)[key]["ledger/ids"])
    assert upstream["representation/conv1/sample"].shape == (15, 32)
    assert upstream["representation/dense1/sample"].shape == (15, 16)


def test_feature_alignment_starts_from_the_weights_of_the_stage(measured):
    for arrays in arrays_of(measured).values():
        prefix = "feature_alignment/conv1"
        np.testing.assert_array_equal(
            arrays[f"{prefix}/filters"][-1], arrays["alignment/conv1/filters"].astype("float32")
        )
        filters = arrays[f"{prefix}/filters"]
        moved = [not np.array_equal(own, filters[0]) for own in filters]
        assert moved == [False] + [True] * (len(filters) - 1)
        # A dead network has no gradients, and nothing to compare the filters with.
        alive = np.isfinite(arrays[f"{prefix}/gram_observed"])
        assert np.isfinite(arrays[f"{prefix}/change_observed"]).tolist() == (alive & moved).tolist()
        assert (alive & moved).any()


def test_feature_alignment_of_no_layer_is_refused():
    with pytest.raises(UsageError, match="--feature_alignment looks at the filters of --alignment"):
        from_values({"feature_alignment": True, "alignment_layers": ("none",)})
