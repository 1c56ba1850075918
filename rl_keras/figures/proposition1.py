"""Do the filters of runs on random labels stay aligned with Gaussian inputs, at every step?

Proposition 1: if the inputs are Gaussian, the labels random and the first filters isotropic,
a flip of the inputs along one of their principal axes changes the law of nothing, so a run
and its flipped copy are equally likely. A panel for each variant: misalignment of the filters
of all seeds taken together with the eigenvectors of the data, with random orthonormal bases,
and the band in which it lies when whole runs are flipped at random. Under it the p-values.

The filters of a run share labels, data order and later layers, so they depend on each other:
flipping each by itself would give a band that is too narrow and reject what the proposition
allows. Therefore all filters of a run are flipped alike, see `science.nulls.run_flip_test`.

Every eigenvector of the sample is a direction by itself, also for isotropic inputs, whose
population has one eigenspace only and for whose covariance any filters would be as aligned as
can be told. There the proposition says that no direction is special, so neither the
eigenvectors of the sample nor random bases may leave the band.

Adam commutes with flips of single inputs and with nothing else. Where the principal axes
are the inputs themselves, as in the data set `gaussian` without --gaussian_rotation, the
argument thus holds for it too.

Flagfile: flags/proposition1_cpu.cfg, and any other with --keep_filters and
--figures=proposition1.

Reference:
    Maennel et al., NeurIPS 2020, arXiv 2006.10455, Proposition 1.
"""

from pathlib import Path

import numpy as np
from matplotlib.ticker import LogLocator, NullFormatter

from rl_keras.figures.plotting import small_print, style
from rl_keras.results import variants
from rl_keras.results.pooled_filters import NUM_DRAWS, PooledSteps, read_steps
from rl_keras.results.runs import read_variants
from rl_keras.storage.run_folder import RunDirectory

NAME = "proposition1"
LEVEL = 0.05  # of the p-values


def rows(run: RunDirectory) -> list[dict]:
    """Returns the plotted numbers, a row for each variant, quantity and step.

    The quantities are `data_basis`; `null`, the mean of the draws and the bounds of
    95% of them; `random_bases`, mean and bounds likewise; `p_value` of the data basis;
    and of all steps `smallest_p_value`, `overall_p_value` (corrected for the number of
    steps), `random_bases_rejected` (share of them with p up to 0.05 after the last
    step), `num_filters` and `train_accuracy` (mean over seeds).
    """
    return _rows({name: own for name, (own, _) in _read(run)[1].items() if own})


def draw(run: RunDirectory) -> tuple[list[Path], list[str]]:
    """Draws what is finished, see `rl_keras.figures`."""
    found, pooled = _read(run)
    drawn = {name: own for name, (own, _) in pooled.items() if own}
    with style.context():
        figure, axes = style.subplots(len(found), rows=[(2.2, 0.5), (0.9, 1.05)])
        for (above, below), (name, results) in zip(axes.T, found.items(), strict=True):
            labels = results.config.upstream.labels[0]
            above.set_title(
                small_print.title(name, "Filters of all seeds, ", labels) + style.LABELS[labels]
            )
            if name in drawn:
                _draw_scores(above, drawn[name])
                _draw_p_values(below, drawn[name])
                style.legend(below, columns=2, others=[above])
            else:
                style.empty(above, "no filters were kept")
                style.empty(below, "no filters were kept")
            if name in drawn and results.config.measure.measure_schedule == "logarithmic":
                for ax in (above, below):
                    ax.set_xscale("symlog", linthresh=1)
                    ax.set_xlim(-0.2, 1.4 * drawn[name].steps[-1])
        _share_heights([axes[0, place] for place, name in enumerate(found) if name in drawn])
        style.finish(
            figure, axes.flat, f"{small_print.of_variants(run, found, False)} {_about(drawn)}"
        )
        paths = style.save(figure, run, NAME, _rows(drawn))
    notes = variants.notes(run, found)
    for name, (_, own) in pooled.items():
        notes += [f"variant {name}: {note}" if name else note for note in own]
    return paths, notes


def _read(run):
    found = read_variants(run, stage="upstream")
    return found, {name: read_steps(results) for name, results in found.items()}


def _rows(pooled):
    return [row for name, own in pooled.items() for row in _rows_of(name, own)]


def _rows_of(name, own: PooledSteps):
    table = []

    def add(quantity, value, step=None, bounds=(None, None)):
        low, high = (None if bound is None else float(bound) for bound in bounds)
        table.append(
            {
                "variant": name,
                "labels": own.labels,
                "layer": own.layer,
                "quantity": quantity,
                "step": None if step is None else int(step),
                "value": float(value),
                "low": low,
                "high": high,
                "num_seeds": len(own.seeds),
            }
        )

    for place, step in enumerate(own.steps):
        add("data_basis", own.data[place], step)
        column = own.random[:, place]
        add("random_bases", column.mean(), step, np.quantile(column, (0.025, 0.975)))
        if own.test:
            draws = own.test.draws[:, place]
            add("null", draws.mean(), step, np.quantile(draws, (0.025, 0.975)))
            add("p_value", own.test.p_values[place], step)
    add("num_filters", own.num_filters)
    add("train_accuracy", own.train_accuracy)
    if own.test:
        add("smallest_p_value", own.test.p_values.min())
        add("overall_p_value", own.test.overall_p_value)
        add("random_bases_rejected", np.mean(own.random_p_values <= LEVEL))
    return table


def _draw_scores(ax, own: PooledSteps):
    if own.test:
        low, high = own.test.quantiles()
        ax.fill_between(own.steps, low, high, color="0.85", linewidth=0, label="null (95%)")
        _line(ax, own.steps, own.test.draws.mean(axis=0), style.REFERENCE, "null (mean)")
    low, high = np.quantile(own.random, (0.025, 0.975), axis=0)
    ax.fill_between(own.steps, low, high, color=style.MIDDLE.color, alpha=0.18, linewidth=0)
    _line(ax, own.steps, own.random.mean(axis=0), style.MIDDLE, "random bases (95% of them)")
    _line(ax, own.steps, own.data, style.LAST, "basis of the data")
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.set_ylabel(f"misalignment $m$ of {own.layer} (nats)")


def _draw_p_values(ax, own: PooledSteps):
    if not own.test:
        return style.empty(ax, "a null needs two seeds")
    values = own.test.p_values
    ax.plot(own.steps, values, color=style.LAST.color, marker=style.LAST.marker, markersize=3)
    style.level(ax, LEVEL, f"{LEVEL:g}")
    ax.set_yscale("log")
    ax.set(ylim=(0.7 / (1 + len(own.test.draws)), 1.4), xlabel="optimiser steps", ylabel="p")
    overall = f"overall {own.test.overall_p_value:.2g}"
    ax.set_title(f"p: last {values[-1]:.2g}, smallest {values.min():.2g}, {overall}")


def _line(ax, steps, values, look, label):
    line = {"color": look.color, "linestyle": look.line, "marker": look.marker}
    ax.plot(steps, values, label=label, markevery=(0.03 + 0.04 * look.place, 0.16), **line)


def _share_heights(axes):
    ends = [ax.get_ylim() for ax in axes]
    for ax in axes:
        ax.set_ylim(min(low for low, _ in ends), max(high for _, high in ends))


def _about(drawn):
    """What is pooled, what the null is, and how each variant ended."""
    texts = []
    for name, own in drawn.items():
        text = f"{own.num_filters} filters of {len(own.seeds)} seeds pooled"
        if own.test:
            rejected = np.sum(own.random_p_values <= LEVEL)
            text += f", {rejected} of {len(own.random)} random bases with p ≤ {LEVEL:g} at the end"
        texts.append(f"{name}: {text}" if name else text)
    return (
        f"{'; '.join(texts)}. Null: {NUM_DRAWS} draws, each flips all filters of a run alike along "
        "the axes; p of the basis of the data, overall: corrected for the number of steps."
    )
