"""Do the filters of runs on random labels stay aligned with Gaussian inputs, at every step?

Proposition 1: if the inputs are Gaussian, the labels random and the first filters isotropic,
a flip of the inputs along one of their principal axes changes no distribution, so that a run
and its flipped copy are equally likely. A panel for each variant: misalignment of the filters
of all seeds taken together with the eigenvectors of the data, with random orthonormal bases,
and the band in which it lies when whole runs are flipped at random. Under it the p-values.

The filters of a run share labels, data order and later layers, so they depend on each other:
flipping each by itself would give a band that is too narrow and reject what the proposition
allows. Therefore all filters of a run are flipped alike, see `science.nulls.run_flip_test`.

Each eigenvector of the sample counts as a direction, also for isotropic inputs. Their
population has a single eigenspace, with which any filters are aligned, so the proposition says
that no direction is special: neither the eigenvectors of the sample nor random bases may leave
the band.

Adam commutes with flips of single inputs and with nothing else. Where the principal axes
are the inputs themselves, as in the data set `gaussian` without --gaussian_rotation, the
argument thus holds for it too.

Flagfile: flags/proposition1_cpu.cfg, and any other with --keep_filters and
--figures=proposition1.

Reference:
    Maennel et al., NeurIPS 2020, arXiv 2006.10455, Proposition 1.
"""

import numpy as np
from matplotlib.ticker import LogLocator, NullFormatter

from rl_keras.figures import Drawing
from rl_keras.figures.plotting import panels, small_print, style
from rl_keras.results.pooled_filters import NUM_DRAWS, PooledSteps, read_steps
from rl_keras.results.runs import Variants

STAGE = "upstream"
ACROSS_VARIANTS = True
LEVEL = 0.05  # a p-value up to it counts as rejected


def read(variants: Variants) -> dict[str, tuple[PooledSteps | None, list[str]]]:
    """Returns the pooled filters of each variant, and notes on what is not in them."""
    return {name: read_steps(results) for name, results in variants.items()}


def rows(numbers: dict[str, tuple[PooledSteps | None, list[str]]]) -> list[dict]:
    """Returns a row for each variant, quantity and step.

    The quantities are `data_basis`; `null`, the mean of the draws and the bounds of
    95% of them; `random_bases`, mean and bounds likewise; `p_value` of the data basis;
    and of all steps `smallest_p_value`, `overall_p_value` (corrected for the number of
    steps), `random_bases_rejected` (share of them with p up to 0.05 after the last
    step), `num_filters` and `train_accuracy` (mean over seeds).
    """
    return [
        row for name, (pooled, _) in numbers.items() if pooled for row in _rows_of(name, pooled)
    ]


def _rows_of(name, pooled: PooledSteps):
    table = []

    def add(quantity, value, step=None, bounds=(None, None)):
        low, high = (None if bound is None else float(bound) for bound in bounds)
        table.append(
            {
                "variant": name,
                "labels": pooled.labels,
                "layer": pooled.layer,
                "quantity": quantity,
                "step": None if step is None else int(step),
                "value": float(value),
                "low": low,
                "high": high,
                "num_seeds": len(pooled.seeds),
            }
        )

    for index, step in enumerate(pooled.steps):
        add("data_basis", pooled.data[index], step)
        column = pooled.random[:, index]
        add("random_bases", column.mean(), step, np.quantile(column, (0.025, 0.975)))
        if pooled.test:
            draws = pooled.test.draws[:, index]
            add("null", draws.mean(), step, np.quantile(draws, (0.025, 0.975)))
            add("p_value", pooled.test.p_values[index], step)
    add("num_filters", pooled.num_filters)
    add("train_accuracy", pooled.train_accuracy)
    if pooled.test:
        add("smallest_p_value", pooled.test.p_values.min())
        add("overall_p_value", pooled.test.overall_p_value)
        add("random_bases_rejected", np.mean(pooled.random_p_values <= LEVEL))
    return table


def draw(numbers: dict[str, tuple[PooledSteps | None, list[str]]], variants: Variants) -> Drawing:
    drawn = {name: pooled for name, (pooled, _) in numbers.items() if pooled}
    figure, axes = style.subplots(len(variants), rows=[(2.2, 0.5), (0.9, 1.05)])
    for (above, below), (name, results) in zip(axes.T, variants.items(), strict=True):
        labels = results.config.upstream.labels[0]
        above.set_title(panels.title("Filters of all seeds", labels, name))
        if name not in drawn:
            for ax in (above, below):
                style.empty(ax, "no filters were kept")
            continue
        _draw_scores(above, drawn[name])
        _draw_p_values(below, drawn[name])
        style.legend(below, columns=2, others=[above])
        if results.config.measure.measure_schedule == "logarithmic":
            for ax in (above, below):
                ax.set_xscale("symlog", linthresh=1)
                ax.set_xlim(-0.2, 1.4 * drawn[name].steps[-1])
    style.share_heights([ax for ax, name in zip(axes[0], variants, strict=True) if name in drawn])
    notes = [
        small_print.of_variant(name, note)
        for name, (_, left_out) in numbers.items()
        for note in left_out
    ]
    return Drawing(figure, [_about(drawn)], notes, has_bands=False)


def _draw_scores(ax, pooled: PooledSteps):
    if pooled.test:
        low, high = pooled.test.quantiles()
        ax.fill_between(pooled.steps, low, high, color="0.85", linewidth=0, label="null (95%)")
        _line(ax, pooled.steps, pooled.test.draws.mean(axis=0), style.REFERENCE, "null (mean)")
    low, high = np.quantile(pooled.random, (0.025, 0.975), axis=0)
    ax.fill_between(pooled.steps, low, high, color=style.MIDDLE.color, alpha=0.18, linewidth=0)
    _line(ax, pooled.steps, pooled.random.mean(axis=0), style.MIDDLE, "random bases (95% of them)")
    _line(ax, pooled.steps, pooled.data, style.LAST, "basis of the data")
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.set_ylabel(f"misalignment $m$ of {pooled.layer} (nats)")


def _draw_p_values(ax, pooled: PooledSteps):
    if not pooled.test:
        return style.empty(ax, "a null needs two seeds")
    values = pooled.test.p_values
    ax.plot(pooled.steps, values, color=style.LAST.color, marker=style.LAST.marker, markersize=3)
    style.level(ax, LEVEL, f"{LEVEL:g}")
    ax.set_yscale("log")
    ax.set(ylim=(0.7 / (1 + len(pooled.test.draws)), 1.4), xlabel="optimiser steps", ylabel="p")
    overall = f"overall {pooled.test.overall_p_value:.2g}"
    ax.set_title(f"p: last {values[-1]:.2g}, smallest {values.min():.2g}, {overall}")


def _line(ax, steps, values, look, label):
    markers = (0.03 + 0.04 * look.marker_shift, 0.16)
    ax.plot(steps, values, label=label, markevery=markers, **look.line_settings)


def _about(drawn):
    """What is pooled, what the null is, and how each variant ended."""
    texts = []
    for name, pooled in drawn.items():
        text = f"{pooled.num_filters} filters of {len(pooled.seeds)} seeds pooled"
        if pooled.test:
            rejected = np.sum(pooled.random_p_values <= LEVEL)
            text += (
                f", {rejected} of {len(pooled.random)} random bases with p ≤ {LEVEL:g} at the end"
            )
        texts.append(f"{name}: {text}" if name else text)
    return (
        f"{'; '.join(texts)}. Null: {NUM_DRAWS} draws, each flips all filters of a run alike along "
        "the axes; p of the basis of the data, overall: corrected for the number of steps."
    )
