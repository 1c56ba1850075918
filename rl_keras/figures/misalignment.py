"""Do the filters align with the data while the network trains, on random and on true labels?

A panel for each variant of the run, all at one scale: the misalignment of the first layer
with the eigenvectors of the data, with random orthonormal bases, and the value that
perfectly aligned Gaussian filters would show by sampling alone. Fresh filters score that
floor in every basis, so the evidence is the contrast: the basis of the data stays low while
random bases rise.

Training makes the tails of the filters heavier than a Gaussian's, and they alone raise the
score. The grey band keeps them: 95% of what the same filters score when each is flipped at
random along each eigenvector of the data. It takes the filters of a run for independent,
which they are not quite, so that they may lie below the band, too. Only a value above the band
speaks against alignment. From five seeds on the small print has a p-value for which whole runs
are flipped.

Flagfile: flags/fig2_misalignment_cpu.cfg, and any other with --figures=misalignment.

Reference:
    Maennel et al., NeurIPS 2020, arXiv 2006.10455, Figure 2.
"""

from itertools import chain

from rl_keras.figures import Drawing
from rl_keras.figures.plotting import panels, small_print, style
from rl_keras.results import quantities
from rl_keras.results.curves import Curve
from rl_keras.results.runs import Variants

STAGE = "upstream"
ACROSS_VARIANTS = True


def read(variants: Variants) -> dict[str, list[Curve]]:
    """Returns the curves of the panel `misalignment`.

    Bounds are 95% intervals of the mean over seeds; those of `random_basis` are one
    standard deviation over random bases and seeds. The band of aligned filters, `null`, and
    the p-values are those of `quantities.null_curves`.
    """
    return {name: quantities.misalignment(results) for name, results in variants.items()}


def draw(curves: dict[str, list[Curve]], variants: Variants) -> Drawing:
    every = list(chain.from_iterable(curves.values()))
    figure, axes = style.subplots(len(variants), rows=[(2.2, style.legend_space(4, 2))])
    for ax, (name, results) in zip(axes[0], variants.items(), strict=True):
        labels = results.config.upstream.labels[0]
        ax.set_title(panels.title("Alignment upstream", labels, name))
        logarithmic = results.config.measure.measure_schedule == "logarithmic"
        panels.misalignment(ax, curves[name], logarithmic, others=every)
    style.share_heights([ax for ax, name in zip(axes[0], curves, strict=True) if curves[name]])
    sizes = dict.fromkeys(map(_sizes, variants.values()))
    p_values = [small_print.p_value_text(curves[name], name) for name in curves]
    return Drawing(figure, [*sizes, *p_values])


def _sizes(results):
    """How many filters, dimensions and random bases there are, as far as the arrays tell."""
    for layer in results.layers("alignment")[:1]:
        arrays = results.arrays(next(iter(results.finished)))
        if f"alignment/{layer}/filters" in arrays:
            filters, dim = arrays[f"alignment/{layer}/filters"].shape
            text = f"{filters} filters in {dim} dimensions"
        else:
            text = f"{len(arrays[f'alignment/{layer}/eigenvalues'])} dimensions"
        return f"{layer}: {text}, {results.config.measure.random_bases} random bases."
    return ""
