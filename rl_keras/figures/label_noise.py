"""How random are these labels? A network trained on one half is asked about the other.

The variants of the run are the two halves, under one or several label maps: in each the
upstream split is one half and the test split the other. Left: how often its predictions
agree with the given labels of the half it has not seen. Right: the noise rate that this
agreement implies, against the true one. The dashed curves are the closed forms for a
network of the accuracy that was reached on clean labels, if they are among the variants.

Any flagfile with --figures=label_noise.

Reference:
    Chen et al., ICML 2019, "Understanding and Utilizing Deep Neural Networks Trained with
    Noisy Labels".
"""

import math
from itertools import chain

import numpy as np

from rl_keras.figures import Drawing
from rl_keras.figures.plotting import style
from rl_keras.figures.plotting.points import draw_points
from rl_keras.results.curves import Curve, mean_curve
from rl_keras.results.runs import Variants
from rl_keras.results.variants import read_halves
from rl_keras.science.label_noise import apparent_noise_rate, expected_agreement, implied_noise_rate

STAGE = "upstream"
ACROSS_VARIANTS = True
_SMALL_PRINT = "Bars: 95% interval of the mean over seeds, each the mean of both halves."
_LOOKS = {
    "agreement": (style.LAST, "agreement with the given labels"),
    "accuracy": (style.MIDDLE, "accuracy (true labels)"),
    "implied": (style.LAST, "implied by the agreement"),
}


def read(variants: Variants) -> dict[str, list[Curve]]:
    """Returns the curves of each label map, one point each; `x` is the true noise rate.

    The variant is that of both halves, such as `a+b`. The panel `agreement` has the
    quantities `agreement` and `accuracy`, means over the halves, the panel `noise` the
    quantity `implied`.
    """
    curves: dict[str, list[Curve]] = {}
    for one in read_halves(variants):
        seeds = list(one.agreement)
        agreement = list(one.agreement.values())
        quantities = {
            "agreement": agreement,
            "accuracy": list(one.accuracy.values()),
            "implied": list(implied_noise_rate(agreement, one.num_classes)),
        }
        for name, values in quantities.items():
            panel = "noise" if name == "implied" else "agreement"
            column = np.array(values)[:, None]
            if np.isfinite(column).all():
                curve = mean_curve(panel, one.key, name, seeds, math.nan, column, [one.rate])
                curves.setdefault("+".join(one.names), []).append(curve)
    return curves


def draw(by_map: dict[str, list[Curve]], variants: Variants) -> Drawing:
    curves = sorted(chain.from_iterable(by_map.values()), key=lambda curve: curve.x[0])
    figure, axes = style.subplots(2, rows=[(2.2, 1.4)])
    left, right = axes[0]
    left.set_title("What the other half says")
    left.set(ylabel="share of the examples", ylim=(0, 1.02))
    right.set_title("How noisy it takes the labels for")
    right.set(ylabel="implied share of false labels", ylim=(-0.02, 1.02))
    _draw_points(left, curves, ("agreement", "accuracy"))
    _draw_points(right, curves, ("implied",))
    if curves:
        _draw_guides(left, right, curves, next(iter(variants.values())).num_classes)
    for ax in (left, right):
        ax.set(xlabel="true share of false labels", xlim=(-0.02, 1))
        style.legend(ax, columns=1)
    return Drawing(figure, [_SMALL_PRINT], has_bands=False)


def _draw_guides(left, right, curves, num_classes):
    """The closed forms, for a perfect network and for one as good as this one on clean labels."""
    noise = np.linspace(0, (num_classes - 1) / num_classes, 100)
    line = {"color": style.GREY, "linewidth": 0.8}
    style.level(left, 1 / num_classes, "chance")
    perfect = expected_agreement(noise, num_classes)
    left.plot(noise, perfect, label="agreement of a perfect network", **line)
    right.plot(noise, noise, label="the truth", **line)
    clean = [c.mean[0] for c in curves if c.quantity == "accuracy" and c.x[0] == 0]
    if clean:
        line |= {"linestyle": (0, (5, 2)), "label": f"of one with accuracy {clean[0]:.2f}"}
        left.plot(noise, expected_agreement(noise, num_classes, accuracy=clean[0]), **line)
        right.plot(noise, apparent_noise_rate(noise, num_classes, clean[0]), **line)


def _draw_points(ax, curves, quantities):
    for quantity in quantities:
        look, text = _LOOKS[quantity]
        points = [curve for curve in curves if curve.quantity == quantity]
        if points:
            draw_points(ax, points, look, text)
