"""Claims of other papers whose diagnostics this project has; bounds other than zero are ours."""

from rl_keras.papers.claim import Claim
from rl_keras.papers.effects import diagnostics

_POINTS = "percentage points"
OTHERS = (
    Claim(
        "energy_profile",
        "First-layer filters learnt from random and from true labels grow along the same axes of "
        "the data.",
        "Chowers and Weiss 2023",
        diagnostics.profiles_agree,
        "correlation of the energy profiles of the filters over the axes, of one seed",
        "correlation",
        bound=0.5,
        size="0.90 for VGG11 on CIFAR-10; 0.03 to 0.14 with untrained filters",
    ),
    Claim(
        "neural_feature_ansatz",
        "Filters change along the average gradient of the outputs at their patches.",
        "Radhakrishnan et al. 2024, Beaglehole et al. 2023",
        diagnostics.gradients_beyond_identity,
        "correlation of the change of the filters with the average gradient outer product, less "
        "that with an identity in place of the gradients, after the last step",
        "correlation",
    ),
    Claim(
        "early_layers_general",
        "Early layers generalise while late ones specialise.",
        "Maennel et al. 2020, introduction",
        diagnostics.likeness_lost_with_depth,
        "centred kernel alignment of networks on random and on true labels: first hidden layer "
        "minus last, of one seed",
        "alignment",
    ),
    Claim(
        "two_fold_agreement",
        "How often a network agrees with the noisy labels of the half of the data it has not seen "
        "follows from the noise rate alone.",
        "Chen et al. 2019",
        diagnostics.agreement_off_closed_form,
        "agreement less its closed form, for a network as accurate as this one on clean labels",
        _POINTS,
        side="within",
        bound=5.0,
        size="0 to -10, with a closed form for a perfect network",
    ),
    Claim(
        "truth_first",
        "A false label is memorised late: before that the true class of the example is predicted.",
        "Liu et al. 2020",
        diagnostics.truth_seen_first,
        "share of corrupted examples predicted as their true class beyond the chance level, at "
        "the step where the other seeds predict most of them",
        _POINTS,
    ),
)
