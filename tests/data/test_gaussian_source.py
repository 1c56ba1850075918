import numpy as np
import pytest

from rl_keras.data.examples import decoded_bytes, load_examples
from rl_keras.data.gaussian import GaussianSource
from rl_keras.data.label_table import label_table
from rl_keras.data.labels import LabelMap
from rl_keras.data.sources import open_source
from rl_keras.errors import UsageError
from rl_keras.science.alignment import random_basis
from rl_keras.science.eigenspaces import eigenspaces, sampled_eigenspaces
from rl_keras.settings.experiment import from_values


def test_interface():
    source = open_source("gaussian", variances=(4.0, 1.0, 0.25), num_examples=20_000)
    assert source.name == "gaussian"
    assert source.image_shape == (3,)
    assert source.num_classes is None
    assert source.splits == {"train": 20_000, "test": 2000}
    assert GaussianSource((1.0,), 50).splits == {"train": 50, "test": 1000}
    assert decoded_bytes(source, "train[:10]") == 10 * 3 * 4


def test_pinned_values():
    vectors = GaussianSource((4.0, 1.0, 1.0, 1.0, 0.25), 10).vectors("train", 0, 2)
    assert vectors.dtype == np.float32
    expected = [
        [-3.913999, -0.340078, -1.113222, -2.181883, 0.055793],
        [-0.285673, -2.793054, -0.172010, 1.073362, 0.805902],
    ]
    np.testing.assert_allclose(vectors, expected, atol=1e-6)
    other = GaussianSource((1.0,), 10).vectors("test", 3, 4)
    np.testing.assert_allclose(other, [[1.613720]], atol=1e-6)


def test_an_example_does_not_depend_on_slice_or_size():
    variances = tuple(range(1, 8))
    small, large = (GaussianSource(variances, num) for num in (100, 5000))
    whole = small.vectors("train", 0, 100)
    assert (large.vectors("train", 0, 100) == whole).all()
    assert (large.vectors("train", 37, 41) == whole[37:41]).all()
    examples = load_examples(large, "train[90:100]+train[10:12]")
    assert (examples.images == np.concatenate([whole[90:100], whole[10:12]])).all()
    assert examples.ids[0] == b"train_0000090"
    assert examples.ids[-1] == b"train_0000011"
    assert examples.true is None


def test_moments_are_those_asked_for():
    variances = np.array([9.0, 1.0, 0.04, 2.0, 3.0])
    vectors = GaussianSource(variances, 40_000).vectors("train", 0, 40_000) / np.sqrt(variances)
    assert np.abs(vectors.mean(axis=0)).max() < 4 / np.sqrt(40_000)
    assert np.abs(np.cov(vectors.T) - np.eye(5)).max() < 5 * np.sqrt(2 / 40_000)
    assert np.abs((vectors**4).mean(axis=0) - 3).max() < 4 * np.sqrt(96 / 40_000)


def test_rotation_turns_every_example_about_the_same_basis():
    plain = GaussianSource((9.0, 1.0, 0.04), 100).vectors("train", 0, 100)
    turned = GaussianSource((9.0, 1.0, 0.04), 100, rotation=7)
    whole = turned.vectors("train", 0, 100)
    np.testing.assert_allclose(whole, plain @ random_basis(3, 7).T, atol=1e-5)
    assert not np.allclose(whole, GaussianSource((9.0, 1.0, 0.04), 100, 8).vectors("train", 0, 100))
    assert (turned.vectors("train", 37, 41) == whole[37:41]).all()


def test_splits_differ():
    source = GaussianSource((1.0, 1.0), 1000)
    assert not (source.vectors("train", 0, 10) == source.vectors("test", 0, 10)).any()


def test_labels_are_random_only():
    source = GaussianSource((1.0, 1.0), 100)
    assert len(label_table(source, "train", LabelMap("random", 0, 10)).given) == 100
    with pytest.raises(UsageError, match="'true' needs true labels"):
        label_table(source, "train", LabelMap("true", 0, 10))


@pytest.mark.parametrize(
    ("variances", "num_examples", "text"),
    [
        ((), 10, r"one finite variance .*--gaussian_variances. Received: \[\]"),
        ((1.0, float("inf")), 10, "finite variance"),
        ((1.0, 0.0), 10, "--gaussian_variances must be positive. Received: 0.0"),
        ((1.0, -2.0), 10, "--gaussian_variances must be positive. Received: -2.0"),
        ((1.0,), 0, "--gaussian_examples must be at least 1. Received: 0"),
    ],
)
def test_bad_settings_are_refused(variances, num_examples, text):
    with pytest.raises(UsageError, match=text):
        open_source("gaussian", variances=variances, num_examples=num_examples)


def test_bad_slice_is_refused():
    with pytest.raises(UsageError, match="Unknown split 'validation'"):
        GaussianSource((1.0,), 10).slice_of("validation")


def test_spiked_covariates_have_two_eigenvalues_along_random_axes():
    config = from_values(
        {
            "dataset": "gaussian",
            "scaling": "none",
            "gaussian_variances": (9.0, 1.0),
            "gaussian_counts": (3, 8),
        }
    )
    assert config.data.input_variances == (9.0,) * 3 + (1.0,) * 8
    source = GaussianSource(config.data.input_variances, 20_000, rotation=4)
    cov = np.cov(source.vectors("train", 0, 20_000).T)
    signal = random_basis(11, 4)[:, :3]
    np.testing.assert_allclose(cov, np.eye(11) + 8 * signal @ signal.T, atol=5 * 9 / 100)
    # The sample tells two eigenspaces apart, though no two of its eigenvalues are equal.
    spaces = sampled_eigenspaces(cov, 20_000)
    assert spaces.groups == (slice(0, 3), slice(3, 11))
    assert len(eigenspaces(cov).groups) == 11


def test_each_variance_counts_once_without_counts():
    config = from_values(
        {"dataset": "gaussian", "scaling": "none", "gaussian_variances": (2.0, 1.0)}
    )
    assert config.data.input_variances == (2.0, 1.0)
