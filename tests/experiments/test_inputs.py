"""What a run makes of crops, corrupted inputs and augmentation, in memory and streamed."""

import numpy as np
import pytest
import tensorflow as tf

import main
from rl_keras.data.examples import load_examples
from rl_keras.data.sources import open_source
from rl_keras.errors import UsageError
from rl_keras.experiments.plan import make_plan
from rl_keras.experiments.run_data import RunData
from rl_keras.settings.experiment import from_values
from rl_keras.storage.run_folder import RunDirectory, read_arrays, stage_keys

SMALL = {
    "upstream_split": "train[:40]",
    "downstream_split": "train[40:70]",
    "test_split": "test[:30]",
    "upstream_batch_size": 10,
    "downstream_batch_size": 10,
    "upstream_epochs": 2,
    "downstream_epochs": 1,
    "probe_every": 2,
    "measure_every": 2,
    "starts": ("scratch",),
    "model": "mlp",
    "widths": (4,),
    "alignment_layers": ("none",),
    "scaling": "per_image",
}


@pytest.fixture
def make_data(patches_dir, tmp_path):
    def make(**values):
        plan = make_plan(from_values({**SMALL, "data_dir": patches_dir, **values}))
        return RunData(plan, RunDirectory(tmp_path / "run"))

    return make


def everything(one):
    """All images that a run looks at, but those it trains on."""
    stage = one.plan.stages[0]
    images = {
        name: np.concatenate([batch[0] for batch in one.eval_dataset(stage, is_test)])
        for name, is_test in (("train", False), ("test", True))
    }
    images["probe"] = one.probe(stage, test=True)[0]
    images["moments"] = np.concatenate(list(one.moment_batches(one.upstream)))
    return images


def test_all_images_are_whitened_crops(make_data, patches_dir):
    one = make_data(crop_size=28)
    seen = everything(one)
    source = open_source("natural_patches", patches_dir)
    for name, spec in (("train", "train[:40]"), ("test", "test[:30]")):
        centres = load_examples(source, spec).images[:, 2:30, 2:30]
        expected = tf.image.per_image_standardization(centres).numpy()
        np.testing.assert_allclose(seen[name], expected, atol=3e-6)
    np.testing.assert_array_equal(seen["probe"], seen["test"])
    np.testing.assert_array_equal(seen["moments"], seen["train"])
    trained = np.concatenate([batch for batch, _ in one.train_dataset(one.plan.stages[0])])
    known = {image.tobytes() for image in seen["train"]}
    assert len(trained) == 80 and {image.tobytes() for image in trained} == known


@pytest.mark.parametrize(
    "values",
    [
        {"crop_size": 28},
        {"crop_size": 20, "input_corruption": "shuffled_pixels"},
        {"input_corruption": "random_pixels"},
        {"crop_size": 20, "input_corruption": "gaussian"},
        {"crop_size": 20, "upstream_augmentation": "full"},
    ],
    ids=str,
)
def test_streamed_images_are_those_in_memory(make_data, values):
    resident, streamed = make_data(**values), make_data(**values, max_resident_mb=0)
    images = [everything(one) for one in (resident, streamed)]
    for name, own in images[0].items():
        np.testing.assert_array_equal(images[1][name], own)
    # In one epoch every example of the 40 once, in another order.
    epochs = []
    for one in (resident, streamed):
        batches = [batch for batch, _ in one.train_dataset(one.plan.stages[0])][:4]
        epochs.append(sorted(image.tobytes() for image in np.concatenate(batches)))
    assert epochs[0] == epochs[1]


def test_corrupted_inputs_do_not_depend_on_labels_or_root_seed(make_data):
    images = [
        everything(make_data(input_corruption="gaussian", **values))
        for values in ({}, {"seeds": (7,), "upstream_labels": ("true",)})
    ]
    for name, own in images[0].items():
        np.testing.assert_array_equal(images[1][name], own)


def test_augmentation_changes_what_is_trained_on_and_nothing_that_is_measured(make_data):
    values = {"crop_size": 28, "upstream_augmentation": "crop"}
    plain, augmented = make_data(crop_size=28), make_data(**values)
    for name, own in everything(plain).items():
        np.testing.assert_array_equal(everything(augmented)[name], own)
    batches = [list(one.train_dataset(one.plan.stages[0])) for one in (plain, augmented)]
    for (images, labels), (other_images, other_labels) in zip(*batches, strict=True):
        np.testing.assert_array_equal(labels, other_labels)
        assert images.shape == other_images.shape == (10, 28, 28, 3)
        assert np.any(images != other_images)
    # The downstream stage is not augmented.
    stages = [one.plan.stages[1] for one in (plain, augmented)]
    both = [list(o.train_dataset(s)) for o, s in zip((plain, augmented), stages, strict=True)]
    for one, other in zip(*both, strict=True):
        np.testing.assert_array_equal(one[0], other[0])


def test_arms_of_a_seed_share_augmented_images_and_seeds_do_not(make_data):
    values = {"crop_size": 28, "downstream_augmentation": "full", "seeds": (0, 1)}
    one = make_data(**values, starts=("scratch", "pretrained"))
    first = {
        (stage.key.start, stage.key.seed): next(iter(one.train_dataset(stage)))[0].numpy()
        for stage in one.plan.stages
        if stage.key.stage == "downstream"
    }
    np.testing.assert_array_equal(first["scratch", 0], first["pretrained", 0])
    known = {image.tobytes() for image in first["scratch", 0]}
    assert not known & {image.tobytes() for image in first["scratch", 1]}


def test_variants_with_the_same_images_share_them(patches_dir, tmp_path):
    sources, slices, plans = {}, {}, []
    for values in (
        {"crop_size": 28, "upstream_labels": ("true",)},
        {"crop_size": 28},
        {"crop_size": 28, "input_corruption": "gaussian"},
        {"crop_size": 28, "input_corruption": "gaussian", "upstream_split": "train[70:99]"},
    ):
        config = from_values({**SMALL, "data_dir": patches_dir, **values})
        plans.append(make_plan(config, sources=sources))
        RunData(plans[-1], RunDirectory(tmp_path), slices)
    assert plans[0].source is plans[1].source
    assert len({id(plan.source) for plan in plans}) == 3
    assert len(slices) == 3 * 3


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"crop_size": 33}, "--crop_size must not exceed the images of .*, 32x32. Received: 33"),
        (
            {"crop_size": 32, "upstream_augmentation": "crop"},
            "--upstream_augmentation=crop needs images larger than --crop_size. Received: .*=32",
        ),
        ({"input_corruption": "gaussian", "upstream_split": "trian"}, "--upstream_split: .*trian"),
    ],
)
def test_what_does_not_go_with_the_data_is_refused(make_data, values, message):
    with pytest.raises(UsageError, match=message):
        make_data(**values)


def test_two_replicas_train_on_corrupted_inputs_as_one_device_does(patches_dir, tmp_path, capsys):
    flags = [
        *"--upstream_split=train[:40] --test_split=test[:20] --upstream_batch_size=10".split(),
        *"--upstream_epochs=2 --probe_every=4 --measure_every=4 --model=mlp --widths=8".split(),
        *"--crop_size=20 --input_corruption=random_pixels --starts=none --figures=".split(),
        *"--notensorboard --alignment_layers=none --require_fit=1".split(),
        *f"--upstream_weight_decay=0.01 --data_dir={patches_dir}".split(),
    ]
    weights = []
    for name, more in (("one", []), ("two", ["--strategy=mirrored", "--num_logical_cpus=2"])):
        # So few steps do not fit; the run goes to its end and says so.
        assert main.main([*flags, *more, f"--workdir={tmp_path / name}"]) == 4
        text = capsys.readouterr()
        assert text.err.splitlines()[0] == (
            "warning: experiment: upstream labels are random, and --upstream_weight_decay=0.01 "
            "may keep the network from memorising them."
        )
        assert "Not fitted, final train accuracy on the given labels:" in text.out
        run = RunDirectory(tmp_path / name)
        (key,) = stage_keys(run.read_config())
        assert run.read_result(key) is not None
        weights.append(read_arrays(run.weights_path(key)))
    for path in weights[0]:
        np.testing.assert_allclose(weights[0][path], weights[1][path], atol=1e-5)
