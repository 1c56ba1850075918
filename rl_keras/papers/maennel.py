"""The claims of Maennel et al., NeurIPS 2020, in the order of the paper's figures.

The sizes are read off the paper, as far as it gives any. Bounds other than zero are ours: where
the paper says that two things are equal, or that one stays as it was, we allow a difference of
a quarter of what it is compared with.
"""

from rl_keras.papers.claim import Claim
from rl_keras.papers.effects import filters, transfer

_PAPER = "Maennel et al. 2020"
_QUARTER = 0.25
_POINTS = "percentage points"
_AREA = "mean train accuracy while training downstream"
_LEVELS = "initial levels of f"
_SHARES = "shares"
MAENNEL = (
    Claim(
        "fig1_positive",
        "There are settings in which a network that was trained on random labels learns the next "
        "task faster than from scratch.",
        f"{_PAPER}, Figure 1, first two panels",
        transfer.extreme_gain(+1),
        f"{_AREA}: pretrained minus scratch, paired by seed, more than one layer transferred",
        _POINTS,
        of_some=True,
    ),
    Claim(
        "fig1_negative",
        "There are settings in which it learns the next task more slowly than from scratch.",
        f"{_PAPER}, Figure 1, last two panels",
        transfer.extreme_gain(-1),
        f"{_AREA}: pretrained minus scratch, paired by seed, more than one layer transferred",
        _POINTS,
        side="below",
        of_some=True,
    ),
    Claim(
        "fig2_random_basis",
        "While the network trains, its first filters lose their isotropy: their misalignment with "
        "random orthonormal bases rises, on random as on real labels.",
        f"{_PAPER}, Figure 2",
        filters.random_basis_rise,
        "misalignment with random bases minus the sampling floor, after the last step",
        "nats",
    ),
    Claim(
        "fig2_data_basis",
        "Their misalignment with the eigenvectors of the data stays at its sampling floor.",
        f"{_PAPER}, Figure 2",
        filters.data_basis_share,
        "misalignment with the data basis minus the floor, divided by the mean rise of random "
        "bases",
        _SHARES,
        side="within",
        bound=_QUARTER,
        size="0",
    ),
    Claim(
        "fig3_eigenvectors",
        "First-layer filters learnt from random labels look like noise, but the eigenvectors of "
        "their covariance match those of the image patches, beyond chance.",
        f"{_PAPER}, Figure 3",
        filters.matched_overlap,
        "mean squared overlap of matched eigenvectors, less that of random bases matched the "
        "same way; filters of all seeds pooled",
        "squared overlap",
        size="a likeness to the eye, over 70 networks",
    ),
    Claim(
        "fig4_hump",
        "The filters grow along eigenvectors of middling eigenvalues.",
        f"{_PAPER}, Figure 4, centre and right",
        filters.hump(lambda f, peak: f[peak] - 1),
        "f at its hump minus its initial level; the place of the hump is that of the other seeds",
        _LEVELS,
        size="52 to 57 on random labels, 12 on real ones, at epoch 40 of 50,000 examples",
    ),
    Claim(
        "fig4_largest",
        "They are weaker along the eigenvector of the largest eigenvalue than at the hump.",
        f"{_PAPER}, Figure 4, centre and right",
        filters.hump(lambda f, peak: f[0] - f[peak]),
        "f at the largest eigenvalue minus f at its hump",
        _LEVELS,
        side="below",
        size="f of 1.4 at the largest and 53 to 58 at the hump, on random labels",
    ),
    Claim(
        "fig4_smallest",
        "Along eigenvectors of the smallest eigenvalues they stay as they were.",
        f"{_PAPER}, Figure 4, centre and right",
        filters.smallest_share,
        "f over the smallest third of the eigenvalues minus its initial level, divided by the "
        "growth at the hump",
        _SHARES,
        side="within",
        bound=_QUARTER,
        size="0 below an eigenvalue of 0.003",
    ),
    Claim(
        "fig5_pretrained",
        "First-layer filters from random labels speed up the next task, at the norm of fresh ones.",
        f"{_PAPER}, Figure 5",
        transfer.first_layer("pretrained", "scratch"),
        f"{_AREA}: pretrained minus scratch, paired by seed",
        _POINTS,
        size="at 1,000 iterations 0.745 against 0.64 train accuracy",
    ),
    Claim(
        "fig5_covariance",
        "So do new filters drawn from a Gaussian with their covariance.",
        f"{_PAPER}, Figure 5",
        transfer.first_layer("covariance", "scratch"),
        f"{_AREA}: covariance minus scratch, paired by seed",
        _POINTS,
        size="at 1,000 iterations 0.735 against 0.64 train accuracy",
    ),
    Claim(
        "fig5_covariance_is_enough",
        "The covariance is all there is to it: drawn filters are as good as the trained ones.",
        f"{_PAPER}, Figure 5",
        transfer.covariance_share,
        f"{_AREA}: covariance minus pretrained, paired by seed, divided by the mean gain of "
        "pretrained on scratch",
        _SHARES,
        side="within",
        bound=_QUARTER,
        size="at 1,000 iterations -0.10 of the gain (0.735 against 0.745)",
    ),
    Claim(
        "fig5_norm",
        "Without rescaling the filters to their initial norm the next task is faster still.",
        f"{_PAPER}, Figure 5",
        transfer.first_layer("pretrained_unscaled", "pretrained"),
        f"{_AREA}: not rescaled minus pretrained, paired by seed",
        _POINTS,
        size="at 1,000 iterations 0.785 against 0.745 train accuracy",
    ),
    Claim(
        "fig6_deepest",
        "Transferring the first k layers, copied or drawn layer by layer, speeds up the next task.",
        f"{_PAPER}, Figure 6",
        transfer.deepest_against(0),
        f"{_AREA}: the most layers minus scratch, paired by seed",
        _POINTS,
    ),
    Claim(
        "fig6_more_layers",
        "The more layers are transferred the faster it is.",
        f"{_PAPER}, Figure 6",
        transfer.deepest_against(1),
        f"{_AREA}: the most layers minus one layer, paired by seed",
        _POINTS,
    ),
    Claim(
        "table1_test",
        "The gain is in training speed; the test accuracy of the transferred network can be worse.",
        f"{_PAPER}, Table 1, as others summarise it",
        transfer.deepest_against(0, transfer.TEST),
        "final test accuracy on real labels: the most layers minus scratch, paired by seed",
        _POINTS,
        side="below",
    ),
    Claim(
        "fig7_switch",
        "When the task is switched, units of late layers fall silent.",
        f"{_PAPER}, Figure 7",
        transfer.silenced_at_switch,
        "share of rarely active units in the last hidden layer: right after the switch minus "
        "before it",
        _POINTS,
    ),
    Claim(
        "fig7_negative",
        "More of them fall silent where transfer hurts than where it helps.",
        f"{_PAPER}, Figure 7",
        transfer.silenced_where_it_hurts,
        "the same difference: setting of the largest loss minus setting of the largest gain, over "
        "all runs, paired by seed",
        _POINTS,
        across_runs=True,
    ),
    Claim(
        "fig8_width",
        "Wider late layers leave room for the next task, so that transfer hurts less or helps "
        "more.",
        f"{_PAPER}, Figure 8",
        transfer.widest_against_narrowest,
        f"{_AREA}: the gain of pretrained on scratch in the widest network minus that in the "
        "narrowest, paired by seed",
        _POINTS,
    ),
    Claim(
        "fig20_shape",
        "On Gaussian inputs with random labels, f rises and falls with the standard deviation of "
        "the input as printed.",
        f"{_PAPER}, Figure 20 and Figure 4 left",
        filters.same_ups_and_downs,
        "the least of the changes of f between the printed turning points, each counted positive "
        "if it goes the same way",
        _LEVELS,
        size="left -0.21; middle +0.13, then -0.24; right +0.39",
    ),
    Claim(
        "fig20_values",
        "The values of f are those printed.",
        f"{_PAPER}, Figure 20 and Figure 4 left",
        filters.distance_from_print,
        "distance of f from the values read off the print, root mean square",
        "per cent",
        side="below",
        bound=10.0,
        size="0; learning rates and durations are not printed, so that some distance must remain",
    ),
    Claim(
        "proposition1",
        "Filters trained on Gaussian inputs with random labels are aligned with the inputs: their "
        "distribution over runs does not change if an axis of the data is flipped.",
        f"{_PAPER}, Proposition 1",
        filters.pooled_share,
        "misalignment of the filters of all seeds with the data basis, less its mean when whole "
        "runs are flipped at random, divided by the same of random bases; after the last step",
        _SHARES,
        side="within",
        bound=_QUARTER,
        size="0",
    ),
)
