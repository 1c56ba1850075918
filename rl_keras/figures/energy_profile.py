"""Do the filters grow along the axes of the data as those of a linear network would?

A column for each variant of the run. Above: the root mean square e of the first layer's
filters along each principal axis of its inputs, after upstream training, and below, where
the filters were kept, that of their change since training began. Beside it the curve of a
linear network on random labels, fitted with its one parameter s, and three simpler curves.

Many curves with a hump correlate highly over ordered axes, so two p-values stand beside the
fit: of other humps of the same heights, and of the same filters on random axes.

Flagfiles: flags/feature_alignment_cpu.cfg, flags/fig2_misalignment_cpu.cfg, and any other
with --figures=energy_profile; with --keep_filters for the change.

Reference:
    Chowers and Weiss, ICML 2023, arXiv 2206.02454. The simpler curves and the nulls are ours.
"""

import math
from dataclasses import replace

import numpy as np

from rl_keras.figures import Drawing
from rl_keras.figures.plotting import panels, small_print, style
from rl_keras.results.curves import Curve, mean_curve
from rl_keras.results.profiles import NUM_DRAWS, Profile, read_profiles
from rl_keras.results.runs import Variants

STAGE = "upstream"
ACROSS_VARIANTS = True
_TITLES = {"filters": "Filters", "change": "Change of the filters"}
_HEIGHTS = {"filters": "$e$ (rms of weights)", "change": "$e$ (rms of change of weights)"}
_FITS = {
    "linear_network": (style.ORANGE, "linear network"),
    "proportional": (style.Look("0.45", (0, (1, 1)), "", 1), r"$\propto\sigma$"),
    "constant": (style.Look("0.45", (0, (6, 3)), "", 2), "constant"),
    "inverse": (style.Look("0.45", (0, (5, 1.5, 1, 1.5)), "", 3), r"$\propto 1/\sigma$"),
}
_SMALL_PRINT = (
    "Fits: to all seeds pooled.",
    f"p: {NUM_DRAWS} draws each, of other humps of the same heights and of random axes.",
)


def read(variants: Variants) -> dict[str, tuple[list[Profile], list[str]]]:
    """Returns the profiles of each variant, and notes on what is not in them."""
    return {name: read_profiles(results) for name, results in variants.items()}


def rows(numbers: dict[str, tuple[list[Profile], list[str]]]) -> dict[str, list[Curve]]:
    """Returns the curves by variant.

    The panels are `filters` and `change`; quantities LAYER/profile (mean over seeds),
    LAYER/pooled (all filters together) and, of the fits to the latter, LAYER/FIT, with the
    numbers FIT_correlation, FIT_cosine and FIT_scale; and `hump_p` and `rotation_p`.
    """
    return {
        name: [curve for profile in profiles for curve in _curves(profile)]
        for name, (profiles, _) in numbers.items()
    }


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


def draw(numbers: dict[str, tuple[list[Profile], list[str]]], variants: Variants) -> Drawing:
    kinds = {profile.kind for profiles, _ in numbers.values() for profile in profiles}
    shown = [kind for kind in _TITLES if kind in kinds] or list(_TITLES)[:1]
    figure, axes = style.subplots(len(variants), rows=[(2.0, 1.45)] * len(shown))
    for column, (name, results) in zip(axes.T, variants.items(), strict=True):
        labels = results.config.upstream.labels[0]
        for ax, kind in zip(column, shown, strict=True):
            ax.set_title(panels.title(_TITLES[kind], labels, name))
            _draw_panel(ax, [profile for profile in numbers[name][0] if profile.kind == kind])
    notes = [
        small_print.of_variant(name, note)
        for name, (_, left_out) in numbers.items()
        for note in left_out
    ]
    return Drawing(figure, _SMALL_PRINT, notes)


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
    if curve.x[0] > style.WIDE_RANGE * curve.x[-1]:
        ax.set_xscale("log")
    ax.set(ylim=(0, top), xlabel="eigenvalue of the data covariance", ylabel=_HEIGHTS[profile.kind])
    text = f"p: humps {profile.hump_p:.2g}, random axes {profile.rotation_p:.2g}"
    ax.text(0.98, 0.97, text, transform=ax.transAxes, ha="right", va="top", fontsize=7)
    style.legend(ax, columns=1)
