import math

import numpy as np
import pytest

from rl_keras.errors import UsageError
from rl_keras.science.label_noise import (
    apparent_noise_rate,
    expected_agreement,
    guide_accuracy,
    implied_noise_rate,
)


def _transition(noise, num_classes, kind):
    """The noise transition matrix, row for the true class."""
    if kind == "pair":
        eye = np.eye(num_classes)
        return (1 - noise) * eye + noise * np.roll(eye, 1, axis=1)
    other = noise / (num_classes - 1)
    return np.full((num_classes, num_classes), other) + (1 - noise - other) * np.eye(num_classes)


def test_agreement_is_that_of_the_paper_to_three_digits():
    published = [1, 0.811, 0.644, 0.5, 0.378, 0.278, 0.2, 0.144, 0.111, 0.1, 0.111]
    values = expected_agreement(np.arange(11) / 10, num_classes=10)
    np.testing.assert_allclose(values, published, atol=5.1e-4)


def test_published_experiments_lie_near_the_closed_forms():
    # ResNet-110 on CIFAR-10, read off a figure; its clean accuracy is about 0.9.
    agreement = [0.902, 0.752, 0.610, 0.480, 0.359, 0.262, 0.183, 0.134, 0.106, 0.10, 0.10]
    noise = np.arange(11) / 10
    np.testing.assert_allclose(expected_agreement(noise, 10), agreement, atol=0.1)
    np.testing.assert_allclose(expected_agreement(noise, 10, accuracy=0.92), agreement, atol=0.035)
    pairs = [0.902, 0.765, 0.633, 0.521, 0.458, 0.432]
    expected = expected_agreement(np.arange(6) / 10, 10, "pair", accuracy=0.9)
    np.testing.assert_allclose(expected, pairs, atol=0.04)


@pytest.mark.parametrize("kind", ["symmetric", "pair"])
@pytest.mark.parametrize("num_classes", [2, 3, 10])
@pytest.mark.parametrize("accuracy", [1.0, 0.8, 0.3])
def test_agreement_equals_sums_over_transition_matrices(kind, num_classes, accuracy):
    for noise in (0.0, 0.2, 0.6, 1.0):
        given = _transition(noise, num_classes, kind)
        predicted = _transition(1 - accuracy, num_classes, "symmetric") @ given
        slow = (given * predicted).sum(axis=1)
        value = expected_agreement(noise, num_classes, kind, accuracy)
        np.testing.assert_allclose(slow, np.full(num_classes, value))


@pytest.mark.parametrize("kind", ["symmetric", "pair"])
def test_closed_forms_are_those_of_drawn_labels(kind):
    generator, num = np.random.default_rng(0), 200_000
    true_labels = generator.integers(0, 5, num)
    given, predicted = (
        (
            true_labels
            + (generator.random(num) < 0.3)
            * (1 if kind == "pair" else generator.integers(1, 5, num))
        )
        % 5
        for _ in range(2)
    )
    agreement = np.mean(predicted == given)
    error = 4 * math.sqrt(0.25 / num)
    assert agreement == pytest.approx(expected_agreement(0.3, 5, kind), abs=error)
    assert implied_noise_rate(agreement, 5, kind) == pytest.approx(0.3, abs=3 * error)


@pytest.mark.parametrize(("kind", "end"), [("symmetric", 0.9), ("pair", 0.5)])
def test_implied_noise_inverts_the_agreement_on_its_branch_only(kind, end):
    noise = np.linspace(0, end, 50)
    agreement = expected_agreement(noise, 10, kind)
    np.testing.assert_allclose(implied_noise_rate(agreement, 10, kind), noise, atol=1e-7)
    beyond = implied_noise_rate(expected_agreement(1.0, 10, kind), 10, kind)
    assert beyond == pytest.approx({"symmetric": 0.8, "pair": 0.0}[kind])
    assert implied_noise_rate(0.01, 10, kind) == pytest.approx(end)


def test_implied_noise_is_the_smallest_of_a_grid_that_explains_the_agreement():
    grid = np.arange(0, 0.9, 1e-3)
    for agreement in (0.95, 0.6, 0.25, 0.12):
        slow = grid[(expected_agreement(grid, 10) <= agreement).argmax()]
        assert 0 <= slow - implied_noise_rate(agreement, 10) <= 1e-3


def test_imperfect_accuracy_reads_as_noise():
    assert implied_noise_rate(0.9, num_classes=10) == pytest.approx(0.0515, abs=1e-4)
    noise = np.linspace(0, 0.9, 10)
    bias = apparent_noise_rate(noise, 10, accuracy=0.9) - noise
    assert bias[0] == pytest.approx(0.0515, abs=1e-4)
    assert (bias[:-1] > 0).all()
    assert bias[-1] == pytest.approx(0, abs=1e-7)
    np.testing.assert_allclose(apparent_noise_rate(noise, 10, accuracy=1.0), noise, atol=1e-7)
    assert apparent_noise_rate(0.2, 10, accuracy=0.1) == pytest.approx(0.9)  # a useless network


def test_guides_are_the_agreement_of_redrawn_labels():
    for num_classes in (2, 10):
        corruption = np.linspace(0, 1, 11)
        noise = corruption * (1 - 1 / num_classes)
        given = guide_accuracy(corruption, num_classes)
        np.testing.assert_allclose(given, expected_agreement(noise, num_classes))
        np.testing.assert_allclose(guide_accuracy(corruption, num_classes, "true"), 1 - noise)
        assert given.argmin() == 10
        assert given[10] == pytest.approx(1 / num_classes)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: expected_agreement(1.2, 10), r"noise must be in \[0, 1\]. Received: noise=1.2"),
        (lambda: expected_agreement(math.nan, 10), "noise must be in"),
        (lambda: expected_agreement(0.1, 1), "at least 2. Received: num_classes=1"),
        (lambda: expected_agreement(0.1, 3, "flip"), '"symmetric" or "pair". Received: kind='),
        (lambda: expected_agreement(0.1, 3, accuracy=2), "accuracy must be in.*accuracy=2"),
        (lambda: implied_noise_rate(-0.1, 3), "agreement must be in"),
        (lambda: guide_accuracy(3, 3), "corruption must be in"),
        (lambda: guide_accuracy(0.1, 3, "clean"), "labels='clean'"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(UsageError, match=message):
        call()
