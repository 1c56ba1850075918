"""How noisy are these labels? What the agreement with held-out predictions tells.

Half of the data is predicted by a network that was trained on the other half. If its
predictions are as noisy as the labels themselves, predictions and labels agree as often as
two noisy copies of the true labels do.
"""

import numpy as np
from numpy.typing import ArrayLike

from rl_keras.errors import UsageError

_KINDS = ("symmetric", "pair")


def expected_agreement(
    noise: ArrayLike, num_classes: int, kind: str = "symmetric", accuracy: float = 1.0
) -> np.ndarray:
    """Share of held-out predictions that equal the given label.

    With e the noise and c classes it is `(1 - e)^2 + e^2 / (c - 1)` for symmetric noise
    and `(1 - e)^2 + e^2` for pair flips.

    Args:
        noise: e in `[0, 1]`, of any shape: probability that a label is not the true one.
        num_classes: c, at least 2.
        kind: `"symmetric"`, a uniform other class, or `"pair"`, the next class.
        accuracy: share of true classes that the network knows; it takes the others for
            a uniform other class before the noise. 1 in the paper.

    Returns:
        A float64 array of the shape of the noise.

    Raises:
        UsageError: if a number is out of range or the kind is unknown.

    Example:
        >>> expected_agreement([0.0, 0.5, 0.9], num_classes=10).round(3).tolist()
        [1.0, 0.278, 0.1]

    Reference:
        Chen et al., ICML 2019, "Understanding and Utilizing Deep Neural Networks Trained
        with Noisy Labels"; the accuracy is ours.
    """
    e = _checked(noise, num_classes, kind, "noise")
    if not 0 <= accuracy <= 1:
        raise UsageError(f"accuracy must be in [0, 1]. Received: accuracy={accuracy}")
    wrong = (1 - accuracy) / (num_classes - 1)
    if kind == "pair":
        return accuracy * ((1 - e) ** 2 + e**2) + 2 * wrong * e * (1 - e)
    known = accuracy * (1 - e) + wrong * e  # the prediction is the true class
    return known * (1 - e) + (1 - known) * e / (num_classes - 1)


def implied_noise_rate(
    agreement: ArrayLike, num_classes: int, kind: str = "symmetric"
) -> np.ndarray:
    """The noise e-hat at which held-out predictions would agree so often with the labels.

    The inverse of `expected_agreement` at full accuracy on the branch of less than full
    noise, `e < (c - 1) / c` or, for pairs, `e < 1/2`. Near full noise the agreement hardly
    changes with e, so a small error of the agreement is a large one of e-hat there. An
    agreement below any possible one gives full noise.

    An imperfect network disagrees with true labels too, so e-hat is biased upward,
    see `apparent_noise_rate`.

    Args:
        agreement: in `[0, 1]`, of any shape.
        num_classes: as in `expected_agreement`, and so are `kind` and the errors.

    Returns:
        A float64 array of the shape of the agreement.

    Example:
        >>> implied_noise_rate([1.0, 0.5, 0.1], num_classes=10).round(3).tolist()
        [0.0, 0.3, 0.9]

    Reference:
        Chen et al., ICML 2019, who search a grid.
    """
    agreement = _checked(agreement, num_classes, kind, "agreement")
    end = 1 / 2 if kind == "pair" else (num_classes - 1) / num_classes
    return end * (1 - np.sqrt(np.maximum(1 - (1 - agreement) / end, 0)))


def apparent_noise_rate(
    noise: ArrayLike, num_classes: int, accuracy: float, kind: str = "symmetric"
) -> np.ndarray:
    """What `implied_noise_rate` reads off a network of the given clean accuracy.

    Less the true noise this is the bias of e-hat.

    Args:
        noise: as in `expected_agreement`, and so is all else.

    Example:
        >>> apparent_noise_rate(0.0, num_classes=10, accuracy=0.9).round(3)  # clean labels
        np.float64(0.051)
    """
    agreement = expected_agreement(noise, num_classes, kind, accuracy)
    return implied_noise_rate(agreement, num_classes, kind)


def guide_accuracy(corruption: ArrayLike, num_classes: int, labels: str = "given") -> np.ndarray:
    """Test accuracy of perfect generalisation from partly redrawn labels.

    Labels are redrawn with probability p, the original included, and predictions are
    as noisy as labels: `1/c + (1 - 1/c) (1 - p)^2` against labels redrawn alike and
    `1/c + (1 - 1/c) (1 - p)` against true ones. Upper guides: scale by the accuracy on
    clean labels.

    Args:
        corruption: p in `[0, 1]`, of any shape. The noise is `p (1 - 1/c)`.
        num_classes: c, at least 2.
        labels: of the test set, `"given"` or `"true"`.

    Returns:
        A float64 array of the shape of the corruption.

    Raises:
        UsageError: if a number is out of range or the labels are unknown.

    Example:
        >>> guide_accuracy([0.0, 0.5, 1.0], 2).tolist(), guide_accuracy(0.5, 2, "true").tolist()
        ([1.0, 0.625, 0.5], 0.75)

    Reference:
        Zhang et al., ICLR 2017, arXiv 1611.03530, Figure 1c, for the corruption.
    """
    kept = 1 - _checked(corruption, num_classes, "symmetric", "corruption")
    if labels not in ("given", "true"):
        raise UsageError(f'labels must be "given" or "true". Received: labels={labels!r}')
    return 1 / num_classes + (1 - 1 / num_classes) * kept ** (2 if labels == "given" else 1)


def _checked(share, num_classes, kind, name):
    share = np.asarray(share, dtype=np.float64)
    if not ((share >= 0) & (share <= 1)).all():
        raise UsageError(f"{name} must be in [0, 1]. Received: {name}={share.tolist()}")
    if not isinstance(num_classes, (int, np.integer)) or num_classes < 2:
        raise UsageError(f"num_classes must be at least 2. Received: num_classes={num_classes}")
    if kind not in _KINDS:
        raise UsageError(f'kind must be "symmetric" or "pair". Received: kind={kind!r}')
    return share
