"""Do the filters align with the data while the network trains, on random and on true labels?

A panel for each variant of the run, all at one scale: the misalignment of the first layer
with the eigenvectors of the data, with random orthonormal bases, and the value that
perfectly aligned Gaussian filters would show by sampling alone. Fresh filters score that
floor in every basis, so the evidence is the contrast: the basis of the data stays low while
random bases rise.

Training makes the tails of the filters heavier than a Gaussian's, and they alone raise the
score. The grey band keeps them: 95% of what the same filters score when each is flipped at
random along each eigenvector of the data. It takes the filters of a run for independent,
which they are not quite: they may lie below it, too, and only what lies above speaks against
alignment. From five seeds on the small print has a p-value for which whole runs are flipped.

Flagfile: flags/fig2_misalignment_cpu.cfg, and any other with --figures=misalignment.

Reference:
    Maennel et al., NeurIPS 2020, arXiv 2006.10455, Figure 2.
"""

from pathlib import Path

from rl_keras.figures.plotting import panels, small_print, style
from rl_keras.figures.plotting.small_print import p_value_text
from rl_keras.results import quantities, variants
from rl_keras.results.runs import Results, read_variants
from rl_keras.storage.run_folder import RunDirectory

NAME = "misalignment"


def rows(run: RunDirectory) -> list[dict]:
    """Returns the plotted numbers, as `variants.rows` lays them out.

    Bounds are 95% intervals of the mean over seeds; those of `random_basis` are one
    standard deviation over random bases and seeds. The band of aligned filters, `null`, and
    the p-values are those of `quantities.null_curves`.
    """
    found = read_variants(run, stage="upstream")
    return variants.rows({n: quantities.misalignment(r) for n, r in found.items()}, found)


def draw(run: RunDirectory) -> tuple[list[Path], list[str]]:
    """Draws what is finished, see `rl_keras.figures`."""
    found = read_variants(run, stage="upstream")
    curves = {name: quantities.misalignment(results) for name, results in found.items()}
    every = [curve for own in curves.values() for curve in own]
    with style.context():
        figure, axes = style.subplots(len(found), rows=[(2.2, style.legend_space(4, 2))])
        for ax, (name, results) in zip(axes[0], found.items(), strict=True):
            labels = results.config.upstream.labels[0]
            panels.misalignment(
                ax,
                labels,
                curves[name],
                results.config.measure.measure_schedule == "logarithmic",
                title=small_print.title(name, "Alignment upstream, ", labels),
                others=every,
            )
        _share_heights([ax for ax, own in zip(axes[0], curves.values(), strict=True) if own])
        sizes = dict.fromkeys(filter(None, map(_sizes, found.values())))
        text = " ".join([small_print.of_variants(run, found), *sizes])
        text += "".join(p_value_text(own, name) for name, own in curves.items())
        style.finish(figure, axes.flat, text)
        paths = style.save(figure, run, NAME, variants.rows(curves, found))
        return paths, variants.notes(run, found)


def _share_heights(axes):
    """Gives the panels one vertical axis, as they are to be compared."""
    ends = [ax.get_ylim() for ax in axes]
    for ax in axes:
        ax.set_ylim(min(low for low, _ in ends), max(high for _, high in ends))


def _sizes(results: Results) -> str:
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
