"""Gradient descent from zero on a linear model ends at the weights of least norm."""

import keras
import numpy as np
import pytest

from rl_keras.callbacks import every
from rl_keras.callbacks.minimum_norm import MinimumNormTracker
from rl_keras.errors import UsageError
from rl_keras.models.linear import linear
from rl_keras.models.losses import OneHotSquaredError, make_loss

RNG = np.random.default_rng(0)
# Rows of an orthogonal matrix, so that the problem is as well conditioned as can be.
INPUTS = np.linalg.qr(RNG.normal(size=(24, 24)))[0][:10].reshape(10, 2, 4, 3).astype("float32")
LABELS = np.arange(10) % 3


def trained(steps, tracker):
    model = linear((2, 4, 3), 3)
    model.compile(keras.optimizers.SGD(0.5), make_loss("squared_error"))
    # Every batch is all examples; Keras's loss is its mean.
    inputs, labels = np.tile(INPUTS, (steps, 1, 1, 1)), np.tile(LABELS, steps)
    model.fit(inputs, labels, batch_size=10, shuffle=False, verbose=0, callbacks=[tracker])
    return model


def tracker(inputs=INPUTS, labels=LABELS, **settings):
    return MinimumNormTracker(inputs, labels, 3, INPUTS[:4], LABELS[:4], **settings)


def test_descent_from_zero_ends_at_the_pseudoinverse():
    found = tracker(schedule=every(50))
    model = trained(400, found)
    expected = np.linalg.pinv(INPUTS.reshape(10, 24).astype(np.float64)) @ np.eye(3)[LABELS]
    weights = model.get_layer("head").kernel.numpy()
    np.testing.assert_allclose(weights, expected, atol=1e-6)
    records = found.records
    assert records["distance"][0] == 1 and records["distance"][-1] < 1e-5
    assert (np.diff(records["norm"]) > 0).all()
    assert records["norm"][-1] == pytest.approx(np.linalg.norm(expected), rel=1e-5)
    assert found.solutions["linear"]["norm"] == pytest.approx(np.linalg.norm(expected))
    # At zero every output is equal, and the first class is taken.
    assert records["train_error"][0] == np.mean(LABELS != 0) and records["train_error"][-1] == 0


def test_the_gaussian_kernel_fits_too():
    found = tracker(schedule=every(10))
    trained(1, found)
    gaussian = found.solutions["gaussian"]
    assert gaussian["train_error"] == gaussian["test_error"] == 0
    # By hand: K = exp(-gamma |x - y|^2) of orthonormal rows, whose squared distances are all 2.
    gram = np.eye(10) + (1 - np.eye(10)) * np.exp(-1)
    norm = np.sqrt(np.trace(np.eye(3)[LABELS].T @ np.linalg.solve(gram, np.eye(3)[LABELS])))
    assert gaussian["norm"] == pytest.approx(norm, rel=1e-6)


def test_measuring_changes_no_weight():
    measured = trained(3, tracker(schedule=every(1))).get_layer("head").kernel.numpy()
    plain = trained(3, keras.callbacks.Callback()).get_layer("head").kernel.numpy()
    np.testing.assert_array_equal(measured, plain)


def test_as_many_examples_as_inputs_are_refused():
    many = np.concatenate([INPUTS] * 3)
    found = tracker(many, np.arange(30) % 3)
    message = "--minimum_norm needs more inputs .* than examples, 30; .* Received: 24 inputs"
    with pytest.raises(UsageError, match=message):
        trained(1, found)


def test_the_loss_is_half_the_squared_distance():
    outputs = np.array([[1.0, 2.0, 3.0], [0.0, 1.0, 0.0]], "float32")
    assert float(OneHotSquaredError()(np.array([0, 1]), outputs)) == (4 + 9) / 2 / 2


def test_random_features_are_not_trained():
    model = linear((8, 8, 3), 3, random_filters=5)
    assert [v.path for v in model.trainable_variables] == ["head/kernel"]
    assert model.get_layer("head").kernel.shape == (4 * 5, 3)
    other = linear((8, 8, 3), 3, random_filters=5, seed=1)
    kernels = [m.get_layer("conv1").kernel.numpy() for m in (model, other)]
    assert not np.array_equal(*kernels)
