"""What does training on random labels leave behind, and is the next task learnt faster for it?

Left: misalignment of the first layer's filters with the eigenvectors of the data, while the
network trains on random labels. It stays at the sampling floor, the value that as many perfectly
aligned Gaussian filters have. With random orthonormal bases the same filters become more and
more misaligned. Right: train accuracy on the next task when the first layer starts from fresh
weights, from the trained filters, or from a Gaussian with the covariance of the trained filters.

The titles state a finding only where a run shows it in every seed; otherwise they name what is
drawn.

Flagfile: flags/fig5_initialisations_cpu.cfg, and any other with --figures=finding.

Reference:
    Maennel et al., NeurIPS 2020, arXiv 2006.10455, Figures 2 and 5.
"""

from rl_keras.figures import Drawing
from rl_keras.figures.plotting import panels, style
from rl_keras.results import quantities
from rl_keras.results.curves import Curve
from rl_keras.results.runs import Results
from rl_keras.settings.transfer import split_arm

STYLE = {"savefig.dpi": 160}  # some 1,100 pixels wide, for a page that is read on a screen


def read(results: Results) -> list[Curve]:
    """Returns the curves of the panels `misalignment` and `accuracy`, of one kind of labels each.

    Bounds are as in the figures `misalignment` and `initialisations`.
    """
    arms = quantities.deepest_arms(results.config)
    labels = results.config.downstream.labels[0]
    accuracy = quantities.accuracy(results, labels, arms, probes=("train",))
    return quantities.misalignment(results) + accuracy


def draw(curves: list[Curve], results: Results) -> Drawing:
    alignment = [curve for curve in curves if curve.panel == "misalignment"]
    accuracy = [curve for curve in curves if curve.panel == "accuracy"]
    figure, axes = style.subplots(2, rows=[(2.0, 1.15)], left=0.6, width=2.3, top=0.42)
    left, right = axes[0]
    labels = style.LABELS[results.config.upstream.labels[0]]
    aligned = "align with the data" if _are_aligned(alignment) else "and the data"
    left.set_title(f"Filters trained on {labels}\n{aligned} ...")
    logarithmic = results.config.measure.measure_schedule == "logarithmic"
    panels.misalignment(left, alignment, logarithmic)
    learnt = "is learnt faster" if _is_faster(accuracy) else "from each start"
    right.set_title(f"... and the next task\n{learnt}")
    panels.accuracy(right, accuracy, test=False)
    for ax, drawn in ((left, alignment), (right, accuracy)):
        if drawn:
            ax.set_xlabel(f"optimiser steps {'upstream' if ax is left else 'downstream'}")
            style.legend(ax, columns=1)
    if accuracy:
        right.set_ylabel("train accuracy (fraction)")
    return Drawing(figure, [quantities.depth_text(results)])


def _are_aligned(curves) -> bool:
    """Whether at the end every seed is less misaligned with the data than with random bases."""
    by_name = {curve.quantity.rpartition("/")[2]: curve for curve in curves}
    if not {"data_basis", "random_basis"} <= set(by_name):
        return False
    data, random = by_name["data_basis"], by_name["random_basis"]
    return bool(data.values[:, -1].max() < random.low[-1])


def _is_faster(curves) -> bool:
    """Whether the pre-trained start has the larger area under its curve in every seed."""
    areas: dict[str, dict[int, float]] = {}
    for curve in curves:
        if curve.quantity == "train_probe":
            means = curve.values.mean(axis=1)
            areas[split_arm(curve.start)[0]] = dict(zip(curve.seeds, means, strict=True))
    scratch, pretrained = areas.get("scratch", {}), areas.get("pretrained", {})
    shared = scratch.keys() & pretrained.keys()
    return bool(shared) and all(pretrained[seed] > scratch[seed] for seed in shared)
