"""Comparisons within one command: variants, depths of transfer, layers drawn anew."""

import numpy as np
import pytest
import tensorflow as tf

import main
from rl_keras.experiments.devices import make_strategy
from rl_keras.experiments.starts import StartContext, layerwise
from rl_keras.experiments.training import Trainer, fresh_weights, learning_rate
from rl_keras.settings.experiment import from_values
from rl_keras.settings.stage import StageConfig
from rl_keras.storage.run_folder import RunDirectory, StageKey, read_arrays

SMALL = (
    "--upstream_split=train[:40] --downstream_split=train[40:80] --test_split=test[:20] "
    "--upstream_batch_size=10 --downstream_batch_size=10 --upstream_epochs=2 --downstream_epochs=2 "
    "--probe_every=4 --measure_every=4 --notensorboard --figures= --keep_weights=all"
).split()
RNG = np.random.default_rng(0)


def run(workdir, data_dir, *flags):
    assert main.main([*SMALL, f"--workdir={workdir}", f"--data_dir={data_dir}", *flags]) == 0
    return RunDirectory(workdir)


def test_each_variant_is_what_a_run_of_its_own_would_be(tmp_path, patches_dir, capsys):
    variants = "--variants=few: filters=28 starts=scratch; many: filters=32 starts=none"
    top = run(tmp_path / "top", patches_dir, "--units=4", variants)
    assert "[2/3]" in capsys.readouterr().out  # stages are counted over all variants
    alone = run(tmp_path / "alone", patches_dir, "--units=4", "--filters=28", "--starts=scratch")
    for name in ("metrics.jsonl", "summary.csv"):
        assert (top.path / "few" / name).read_bytes() == (alone.path / name).read_bytes()
    rows = [(row["variant"], row["start"]) for row in top.read_summary()]
    assert rows == [("few", "scratch"), ("many", "")]  # without arms the upstream stage counts
    before = {path: path.read_bytes() for path in top.path.rglob("*.csv")}
    assert main.main([f"--workdir={top.path}", "--mode=draw", "--figures="]) == 0
    assert "few: true" in capsys.readouterr().out
    assert before == {path: path.read_bytes() for path in top.path.rglob("*.csv")}


def test_a_wrong_variant_stops_everything_before_it_begins(tmp_path, patches_dir, capsys):
    flags = [*SMALL, f"--workdir={tmp_path / 'top'}", f"--data_dir={patches_dir}"]
    assert main.main([*flags, "--variants=a: filters=28; b: upstream_batch_size=41"]) == 2
    error = capsys.readouterr().err
    assert "--upstream_batch_size must not exceed the 40 examples" in error
    assert not (tmp_path / "top").exists()


def test_a_folder_with_variants_is_not_one_without(tmp_path, patches_dir, capsys):
    run(tmp_path / "top", patches_dir, "--filters=28", "--starts=none")
    flags = [*SMALL, f"--workdir={tmp_path / 'top'}", f"--data_dir={patches_dir}"]
    assert main.main([*flags, "--filters=28", "--starts=none", "--variants=a:"]) == 2
    assert "holds a run without --variants; use another --workdir" in capsys.readouterr().err


def test_depths_transfer_the_first_layers_and_nothing_else(tmp_path):
    flags = (
        "--dataset=gaussian --gaussian_variances=1,2,3 --gaussian_examples=100 --scaling=none "
        "--test_split=train[80:] --downstream_labels=random --model=mlp --widths=6,5 "
        "--starts=scratch,pretrained,layerwise --transfer_depths=1,2 --alignment_layers=none"
    )
    finished = run(tmp_path / "run", tmp_path, *flags.split())
    arms = finished.read_config().transfer.arms
    assert arms == (
        *("scratch", "pretrained-first1", "pretrained-first2"),
        *("layerwise-first1", "layerwise-first2"),
    )
    for arm in arms:
        result = finished.read_result(StageKey("downstream", "random", arm, 0))
        depth = 0 if arm == "scratch" else int(arm[-1])
        assert result["transferred"] == [f"dense{k}/kernel" for k in range(1, depth + 1)]


def test_the_normalisation_of_a_layer_goes_along_when_asked(tmp_path, patches_dir):
    flags = (
        "--model=cnn3 --conv_filters=3,4,5 --padding=same --batch_normalization=synchronized "
        "--starts=scratch,pretrained --transfer_depths=1,3 --alignment_layers=none"
    )
    finished = run(tmp_path, patches_dir, *flags.split(), "--transfer_normalization")
    arms = {arm: finished.read_result(key_of(arm)) for arm in finished.read_config().transfer.arms}
    variables = ("gamma", "beta", "moving_mean", "moving_variance")
    assert arms["pretrained-first1"]["transferred"] == [
        "conv1/kernel",
        *(f"conv1_bn/{name}" for name in variables),
    ]
    assert len(arms["pretrained-first3"]["transferred"]) == 3 * 5
    assert arms["scratch"]["transferred"] == []
    tracked = {name.split("/")[1] for name in read_arrays(finished.arrays_path(key_of("scratch")))}
    assert {"conv1_relu", "conv2_relu", "conv3_relu"} <= tracked  # what comes after the ReLU


def key_of(arm):
    return StageKey("downstream", "true", arm, 0)


def test_a_layer_with_too_many_inputs_cannot_be_drawn_anew(tmp_path, patches_dir, capsys):
    flags = [*SMALL, f"--workdir={tmp_path}", f"--data_dir={patches_dir}", "--starts=layerwise"]
    assert main.main([*flags, "--transfer_depths=2", "--filters=28", "--units=4"]) == 2
    expected = "inputs of layer 'dense1', and can take 6000; transfer fewer layers"
    assert expected in capsys.readouterr().err


def test_no_downstream_stage_at_all(tmp_path, patches_dir):
    finished = run(tmp_path / "run", patches_dir, "--filters=28", "--starts=none", "--seeds=0,1")
    rows = finished.read_summary()
    assert [(row["start"], row["labels"], row["seed"]) for row in rows] == [
        ("", "random", "0"),
        ("", "random", "1"),
    ]
    assert not list(finished.path.glob("stages/downstream*"))


def trainer(widths=(6, 8)):
    config = from_values({"model": "mlp", "widths": widths})
    own = Trainer(config, config.upstream, (5,), 3, make_strategy(config.run))
    weights = [fresh_weights(config, (5,), 3, seed) for seed in (0, 1)]
    return own, *weights


def test_drawn_layers_do_not_depend_on_how_many_follow():
    own, upstream, fresh = trainer()
    images = RNG.normal(size=(80, 5)).astype("float32")
    batches = [lambda: iter([images])] * 2
    kernels = [
        layerwise(
            StartContext(
                *(layers, [], fresh, upstream),
                lambda purpose, path: np.random.default_rng(len(path)),
                *(own, *batches),
            )
        )
        for layers in (["dense1"], ["dense1", "dense2"])
    ]
    assert set(kernels[1]) == {"dense1/kernel", "dense2/kernel"}
    np.testing.assert_array_equal(kernels[0]["dense1/kernel"], kernels[1]["dense1/kernel"])
    for path, kernel in kernels[1].items():
        assert not np.array_equal(kernel, upstream[path])
        assert np.linalg.norm(kernel) == pytest.approx(np.linalg.norm(fresh[path]), rel=1e-6)


def test_drawn_filters_have_the_profile_of_the_trained_ones_on_the_new_inputs():
    # Many units, so that the sample covariance is near the one that is drawn from. The filters
    # upstream are strong along the first input only, which downstream is the last one.
    own, upstream, fresh = trainer(widths=(4000, 4))
    scale = np.array([5, 2, 1, 1, 1], "float32")
    kernel = RNG.normal(size=(5, 4000)).astype("float32") * np.array([[9], [1], [1], [1], [1]])
    upstream["dense1/kernel"] = kernel.astype("float32")
    images = RNG.normal(size=(4000, 5)).astype("float32") * scale
    context = StartContext(
        *(["dense1"], ["dense1/kernel"], fresh, upstream),
        lambda *names: np.random.default_rng(0),
        trainer=own,
        upstream_batches=lambda: iter([images]),
        downstream_batches=lambda: iter([images[:, ::-1]]),
    )
    new = layerwise(context)["dense1/kernel"]
    deviations = np.sqrt(np.mean(new.astype("float64") ** 2, axis=1))
    np.testing.assert_allclose(deviations[:4] / deviations[4], 1 / 9, rtol=0.1)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"learning_rate_drops": (0.25, 0.5)}, {0: 0.9, 4: 0.9, 5: 0.3, 9: 0.3, 10: 0.1, 19: 0.1}),
        ({"learning_rate_decay": 0.1}, {0: 0.9, 7: 0.9, 8: 0.09, 15: 0.09, 16: 0.009}),
    ],
)
def test_the_rate_falls_at_the_drops_or_after_each_epoch(settings, expected):
    rate = learning_rate(StageConfig(learning_rate=0.9, **settings), 20, steps_per_epoch=8)
    for step, value in expected.items():
        assert float(rate(step)) == pytest.approx(value, rel=1e-5)
    assert learning_rate(StageConfig(learning_rate=0.5), 20, 8) == 0.5


def test_a_falling_rate_is_what_the_optimiser_uses():
    stage = StageConfig(learning_rate=1.0, momentum=0.0, learning_rate_drops=(0.5,))
    config = from_values({"model": "mlp", "widths": (4,)})
    rate = learning_rate(stage, num_steps=2, steps_per_epoch=2)
    own = Trainer(config, stage, (5,), 3, make_strategy(config.run), rate)
    start = fresh_weights(config, (5,), 3, 0)
    x, y = RNG.normal(size=(8, 5)).astype("float32"), RNG.integers(0, 3, 8)
    batch = tf.data.Dataset.from_tensors((x, y))

    def moved(steps):
        own.reset(start)
        own.fit(batch.repeat(steps), [])
        return own.model.get_layer("head").bias.numpy()

    own.reset(start)
    with tf.GradientTape() as tape:
        loss = own.model.compute_loss(y=y, y_pred=own.model(x))
    first = start["head/bias"] - tape.gradient(loss, own.model.get_layer("head").bias.value).numpy()
    np.testing.assert_allclose(moved(1), first, atol=1e-6)
    again = moved(1)
    with tf.GradientTape() as tape:
        loss = own.model.compute_loss(y=y, y_pred=own.model(x))
    second = tape.gradient(loss, own.model.get_layer("head").bias.value).numpy() / 3
    np.testing.assert_allclose(moved(2), again - second, atol=1e-6)
