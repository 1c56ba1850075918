"""The claims of Zhang et al., ICLR 2017, that a run on CIFAR-10 can decide.

Bounds other than zero are ours; `size` is what the paper has.
"""

from rl_keras.papers.claim import Claim
from rl_keras.papers.effects import randomisation
from rl_keras.results.variants import RANDOM, TRUE

_PAPER = "Zhang et al. 2017"
_POINTS = "percentage points"
_DOUBLINGS = "doublings"
ZHANG = (
    Claim(
        "zhang_fitted",
        "A network that fits true labels fits random ones as well, with the same settings.",
        f"{_PAPER}, Table 1",
        randomisation.train_accuracy,
        "train accuracy on random labels at the end",
        "per cent",
        bound=99.0,
        size="99.34 to 100",
    ),
    Claim(
        "zhang_chance",
        "Its test accuracy is then that of guessing.",
        f"{_PAPER}, Table 1",
        randomisation.beyond_chance,
        "test accuracy against true labels at the end, less the chance level",
        _POINTS,
        side="within",
        bound=2.0,
        size="-0.22 to 0.61",
    ),
    Claim(
        "zhang_random_labels_slowest",
        "Of all conditions random labels take the longest to fit.",
        f"{_PAPER}, Figure 1a",
        randomisation.slower(RANDOM),
        "steps of random labels to a loss of 0.1 over those of another condition, paired by seed",
        _DOUBLINGS,
        size="above 0; 0.5 to 2.1 in a repetition by others",
    ),
    Claim(
        "zhang_true_labels_fastest",
        "True labels on true images take the shortest.",
        f"{_PAPER}, Figure 1a",
        randomisation.slower("", TRUE),
        "steps of another condition to a loss of 0.1 over those of true labels, paired by seed",
        _DOUBLINGS,
        size="above 0; 0.5 to 2.1 in a repetition by others",
    ),
    Claim(
        "zhang_small_factor",
        "Random labels take longer by a small factor only.",
        f"{_PAPER}, Figures 1a and 1b",
        randomisation.times_as_long,
        "steps of random labels to a loss of 0.1 over those of true labels, paired by seed",
        "times",
        side="below",
        bound=5.0,
        size="1 to 4",
    ),
    Claim(
        "zhang_error_rises",
        "The more labels are corrupted, the larger is the test error of a network that fits them.",
        f"{_PAPER}, Figure 1c",
        randomisation.error_rises,
        "least rise of the test error from one level of corruption to the next, paired by seed",
        _POINTS,
        size="from 14 per cent to 90 in ten steps",
    ),
    Claim(
        "zhang_kernel",
        "Fitting the labels exactly, with a kernel and no regulariser, generalises.",
        f"{_PAPER}, Section 5 and Table 3",
        randomisation.kernel_beyond_chance,
        "chance level of the test error minus that of the interpolant of least norm of the "
        "Gaussian kernel on pixels",
        _POINTS,
        size="44 with 50,000 examples",
    ),
    Claim(
        "zhang_norm",
        "The norm does not foretell the error: features with the larger norm have the smaller one.",
        f"{_PAPER}, Section 5, there on MNIST with Gabor features",
        randomisation.larger_norm_errs_less,
        "of two kinds of features, test error of the least-norm weights of the smaller norm minus "
        "that of the larger norm, paired by seed",
        _POINTS,
        size="0.6, at norms of 220 and 390",
    ),
)
