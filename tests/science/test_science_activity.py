import numpy as np
import pytest

from rl_keras.errors import UsageError
from rl_keras.science.activity import effective_rank, layer_activity
from rl_keras.science.alignment import random_basis


@pytest.mark.parametrize("rank", [1, 3, 6])
def test_effective_rank_of_equal_singular_values_is_the_rank(rank):
    matrix = 5 * random_basis(9, seed=0)[:, :rank] @ random_basis(6, seed=1)[:rank]
    assert effective_rank(matrix) == pytest.approx(rank, rel=1e-9)


def test_effective_rank_closed_form_of_two_singular_values():
    # Shares 1/4 and 3/4: exp(H) = 4 / 3^(3/4).
    assert effective_rank([[1.0, 0.0], [0.0, 3.0], [0.0, 0.0]]) == pytest.approx(4 / 3**0.75)


def test_effective_rank_does_not_depend_on_scale_or_basis():
    matrix = np.random.default_rng(0).standard_normal((8, 5)) * np.arange(1, 6)
    rank = effective_rank(matrix)
    assert 1 < rank < 5
    assert effective_rank(1e-6 * matrix @ random_basis(5, seed=0)) == pytest.approx(rank)


def test_effective_rank_of_zeros_is_zero():
    assert effective_rank(np.zeros((4, 3))) == 0.0


@pytest.mark.parametrize("matrix", [np.zeros(3), np.zeros((0, 3)), [[1.0, np.nan]]])
def test_effective_rank_needs_a_finite_matrix(matrix):
    with pytest.raises(UsageError, match=r"finite matrix \(n, units\). Received: shape="):
        effective_rank(matrix)


def test_activity_of_known_units():
    outputs = np.zeros((1000, 4))
    outputs[:5, 1] = 2.0  # 0.5% of the inputs
    outputs[:10, 2] = 1.0  # exactly 1%: not rare
    outputs[:, 3] = 3.0
    activity = layer_activity((outputs > 0).mean(axis=0), outputs.mean(axis=0), outputs)
    np.testing.assert_allclose(activity.fraction_active, [0, 0.005, 0.01, 1])
    np.testing.assert_allclose(activity.mean_activation, [0, 0.01, 0.01, 3])
    assert activity.dead_units == 1
    assert activity.rarely_active == 0.5
    assert activity.effective_rank == effective_rank(outputs)


@pytest.mark.parametrize(
    ("fraction", "mean", "profile", "message"),
    [
        ([0.5, 0.5], [1.0], np.ones((3, 2)), r"same units. Received: shapes \(2,\), \(1,\)"),
        ([0.5], [1.0], np.ones((3, 2)), r"same units.*\(3, 2\)"),
        ([], [], np.ones((3, 0)), r"same units"),
        ([50.0], [1.0], np.ones((3, 1)), r"must be in \[0, 1\].*Received: from 50.0 to 50.0"),
        ([np.nan], [1.0], np.ones((3, 1)), r"must be in \[0, 1\].*Received: from nan"),
        ([0.5], [np.inf], np.ones((3, 1)), "mean_activation must be finite"),
        ([0.5], [1.0], np.full((3, 1), np.nan), "The effective rank needs a finite matrix"),
    ],
)
def test_bad_measurements_are_refused(fraction, mean, profile, message):
    with pytest.raises(UsageError, match=message):
        layer_activity(fraction, mean, profile)
