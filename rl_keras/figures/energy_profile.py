"""Do the filters grow along the axes of the data as those of a linear network would?

A column for each variant of the run. Above: the root mean square e of the first layer's
filters along each principal axis of its inputs, after upstream training, and below, where
the filters were kept, that of their change since training began. Beside it the curve of a
linear network on random labels, fitted with its one parameter s, and three dull rivals.

Many curves with a hump correlate highly over ordered axes, so two p-values stand beside the
fit: of other humps of the same heights, and of the same filters on random axes.

Flagfiles: flags/feature_alignment_cpu.cfg, flags/fig2_misalignment_cpu.cfg, and any other
with --figures=energy_profile; with --keep_filters for the change.

Reference:
    Chowers and Weiss, ICML 2023, arXiv 2206.02454. The rivals and the nulls are ours.
"""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np

from rl_keras.figures.plotting import small_print, style
from rl_keras.results import variants
from rl_keras.results.curves import Curve, mean_curve
from rl_keras.results.profiles import NUM_DRAWS, Profile, read_profiles
from rl_keras.results.runs import read_variants
from rl_keras.storage.run_folder import RunDirectory

NAME = "energy_profile"
_TITLES = {"filters": "Filters, ", "change": "Change of the filters, "}
_HEIGHTS = {"filters": "$e$ (rms of weights)", "change": "$e$ (rms of change of weights)"}
_WIDE_RANGE = 50  # ratio of largest to smallest eigenvalue that asks for a logarithmic axis
_FITS = {
    "linear_network": (style.STARTS["covariance"], "linear network"),
    "proportional": (style.Look("0.45", (0, (1, 1)), "", 1), r"$\propto\sigma$"),
    "constant": (style.Look("0.45", (0, (6, 3)), "", 2), "constant"),
    "inverse": (style.Look("0.45", (0, (5, 1.5, 1, 1.5)), "", 3), r"$\propto 1/\sigma$"),
}


def rows(run: RunDirectory) -> list[dict]:
    """Returns the plotted numbers, as `variants.rows` lays them out.

    The panels are `filters` and `change`; quantities LAYER/profile (mean over seeds),
    LAYER/pooled (all filters together) and, of the fits to the latter, LAYER/FIT, with the
    numbers FIT_correlation, FIT_cosine and FIT_scale; and `hump_p` and `rotation_p`.
    """
    found = read_variants(run, stage="upstream")
    return _rows({name: read_profiles(results)[0] for name, results in found.items()}, found)


def draw(run: RunDirectory) -> tuple[list[Path], list[str]]:
    """Draws what is finished, see `rl_keras.figures`."""
    found = read_variants(run, stage="upstream")
    read = {name: read_profiles(results) for name, results in found.items()}
    profiles = {name: own for name, (own, _) in read.items()}
    kinds = [
        kind for kind in _TITLES if any(p.kind == kind for own in profiles.values() for p in own)
    ]
    with style.context():
        figure, axes = style.subplots(len(found), rows=[(2.0, 1.45)] * max(1, len(kinds)))
        for column, (name, results) in zip(axes.T, found.items(), strict=True):
            labels = results.config.upstream.labels[0]
            for ax, kind in zip(column, kinds or list(_TITLES)[:1], strict=True):
                title = small_print.title(name, _TITLES[kind], labels)
                ax.set_title(f"{title}{style.LABELS[labels]}")
                _draw_panel(ax, [profile for profile in profiles[name] if profile.kind == kind])
        text = f"{small_print.of_variants(run, found)} Fits: to all seeds pooled. {_about()}"
        style.finish(figure, axes.flat, text)
        paths = style.save(figure, run, NAME, _rows(profiles, found))
    notes = variants.notes(run, found)
    for name, (_, own) in read.items():
        notes += [f"variant {name}: {note}" if name else note for note in own]
    return paths, notes


def _rows(profiles, found):
    curves = {name: [c for p in own for c in _curves(p)] for name, own in profiles.items()}
    return variants.rows(curves, found)


def _curves(profile: Profile) -> list[Curve]:
    layer = profile.layer
    mean = mean_curve(
        profile.kind,
        profile.key,
        f"{layer}/profile",
        profile.seeds,
        profile.step,
        profile.by_seed,
        x=profile.eigenvalues,
    )
    curves = [mean, _without_seeds(mean, f"{layer}/pooled", profile.pooled)]
    numbers = {"hump_p": profile.hump_p, "rotation_p": profile.rotation_p}
    for name, fit in profile.fits.items():
        curves.append(_without_seeds(mean, f"{layer}/{name}", fit.values))
        for what in ("correlation", "cosine", "scale"):
            numbers[f"{name}_{what}"] = getattr(fit, what)
    for name, value in numbers.items():
        curves.append(_without_seeds(mean, f"{layer}/{name}", np.array([value]), level=True))
    return curves


def _without_seeds(curve, quantity, values, level=False):
    """A curve that is of all seeds together and has no interval."""
    none = np.full(len(values), math.nan)
    return replace(
        curve,
        quantity=quantity,
        seeds=(),
        steps=np.full(len(values), curve.steps[0]),
        x=none if level else curve.x,
        values=np.empty((0, len(values))),
        mean=values,
        low=none,
        high=none,
    )


def _draw_panel(ax, profiles):
    if not profiles:
        return style.empty(ax, "no filters were kept")
    (profile,) = profiles
    curve = _curves(profile)[0]
    for name, (look, text) in _FITS.items():
        fit = profile.fits[name]
        line = {"color": look.color, "linestyle": look.line}
        width = 1.6 if name == "linear_network" else 0.8
        correlation = "" if math.isnan(fit.correlation) else f", r = {fit.correlation:.2f}"
        text = f"{text}: cosine {fit.cosine:.3f}{correlation}"
        ax.plot(curve.x, fit.values, label=text, linewidth=width, **line)
    style.band(
        ax, curve, style.LAST, f"$e$ of {profile.layer}, step {profile.step}", every_point=True
    )
    top = 1.3 * np.nanmax([curve.mean.max(), profile.fits["linear_network"].values.max()])
    if curve.x[0] > _WIDE_RANGE * curve.x[-1]:
        ax.set_xscale("log")
    ax.set(ylim=(0, top), xlabel="eigenvalue of the data covariance", ylabel=_HEIGHTS[profile.kind])
    text = f"p: humps {profile.hump_p:.2g}, random axes {profile.rotation_p:.2g}"
    ax.text(0.98, 0.97, text, transform=ax.transAxes, ha="right", va="top", fontsize=7)
    style.legend(ax, columns=1)


def _about():
    return f"p: {NUM_DRAWS} draws each, of other humps of the same heights and of random axes."
