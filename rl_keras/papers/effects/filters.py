"""Effects of training upstream on the filters of the first measured layer."""

from collections.abc import Callable, Sequence

import numpy as np

from rl_keras.papers.claim import Effect, about, difference, shares, upstream_effect
from rl_keras.papers.printed import printed_curve
from rl_keras.results.pooled_filters import read_layer, read_steps
from rl_keras.results.runs import Results, Variants
from rl_keras.results.variants import on_random_labels
from rl_keras.science.alignment import filter_covariance
from rl_keras.science.eigenspaces import above_rounding, eigenspaces
from rl_keras.science.overlap import matched
from rl_keras.science.summaries import Interval, mean_interval


def random_basis_rise(variants: Variants) -> list[Effect]:
    """Measures how far random bases are above the sampling floor at the end (Figure 2)."""
    return [
        upstream_effect(name, results, _above_floor(results, "random_basis"))
        for name, results in _with_misalignment(variants).items()
    ]


def data_basis_share(variants: Variants) -> list[Effect]:
    """Measures how far the data basis is above the floor, as a share of the rise of random ones."""
    effects = []
    for name, results in _with_misalignment(variants).items():
        data = _above_floor(results, "data_basis")
        effects.append(
            upstream_effect(name, results, *shares(data, _above_floor(results, "random_basis")))
        )
    return effects


def _with_misalignment(variants):
    """The variants on images that have a misalignment; with few filters it is undefined."""
    return {
        name: results
        for name, results in _with_filters(variants).items()
        if results.stack(results.upstream_keys, _prefix(results), "data_basis")
    }


def _with_filters(variants, synthetic=False):
    """The variants on images, or on synthetic inputs, with a measured layer."""
    return {
        name: results
        for name, results in variants.items()
        if results.config.data.is_synthetic == synthetic and results.first_layer("alignment")
    }


def _prefix(results) -> str:
    return f"alignment/{results.first_layer('alignment')}"


def _above_floor(results: Results, name: str) -> dict[int, float]:
    measured, floor = (
        results.at_step(results.upstream_keys, _prefix(results), quantity, -1)
        for quantity in (name, "floor")
    )
    return difference(measured, floor)


def hump(measure: Callable[[np.ndarray, int], float]) -> Callable[[Variants], list[Effect]]:
    """Measures the transfer function on images at the end of the training (Figure 4).

    Where its hump is, is read off the other seeds: the largest of many noisy values would stand
    out in flat noise too.

    Args:
        measure: function of f `(d,)` of a seed, in units of its initial level and ordered from the
            largest eigenvalue to the smallest, and of the index of the hump.
    """

    def effects(variants: Variants) -> list[Effect]:
        return [
            upstream_effect(
                name, results, {s: float(measure(f, peak)) for s, f, peak in _with_hump(results)}
            )
            for name, results in _with_filters(variants).items()
        ]

    return effects


def smallest_share(variants: Variants) -> list[Effect]:
    """Measures the growth along the smallest third of the eigenvalues, as a share of the hump's."""
    effects = []
    for name, results in _with_filters(variants).items():
        small, large = {}, {}
        for seed, f, peak in _with_hump(results):
            small[seed] = float(f[-(len(f) // 3) :].mean() - 1)
            large[seed] = float(f[peak] - 1)
        effects.append(upstream_effect(name, results, *shares(small, large)))
    return effects


def _with_hump(results):
    """Yields seed, f, and the index of the hump of the mean f of the other seeds."""
    final = _final_transfer(results)
    length = min((len(f) for _, f, _ in final), default=0)
    if length < 2:
        return
    curves = np.array([f[:length] for _, f, _ in final])
    for number, (seed, _, _) in enumerate(final):
        others = np.delete(curves, number, axis=0) if len(curves) > 1 else curves
        yield seed, curves[number], 1 + int(others.mean(axis=0)[1:].argmax())


def _final_transfer(results, relative=True):
    """Seed, f at the end and the root of the eigenvalues, from large to small, for each seed.

    f is in units of its level before training, unless it is not to be `relative`.
    """
    prefix, final = _prefix(results), []
    for key in results.upstream_keys:
        arrays = results.arrays(key)
        if f"{prefix}/transfer" not in arrays:
            continue
        eigenvalues, f = arrays[f"{prefix}/eigenvalues"], arrays[f"{prefix}/transfer"]
        kept = above_rounding(eigenvalues)
        level = f[0][kept].mean() if relative else 1.0
        if np.isfinite(f[-1]).all():
            final.append((key.seed, f[-1][kept] / level, np.sqrt(eigenvalues[kept])))
    return final


def matched_overlap(variants: Variants) -> list[Effect]:
    """Measures how much better eigenvectors of filters and data match than by chance (Figure 3).

    The mean squared overlap of matched eigenvectors, less that of random bases matched the
    same way. The interval leaves out one seed at a time (jackknife, Student's t).
    """
    effects = []
    for name, results in variants.items():
        if results.config.data.is_synthetic or not on_random_labels(results):
            continue
        layer, _ = read_layer(results)
        if layer is not None:
            effects.append(_overlap_effect(about(name, "random"), results, layer))
    return effects


def _overlap_effect(text, results, layer):
    planned = results.num_planned_seeds
    runs = np.split(layer.rows, len(layer.seeds))
    dim, null = len(layer.match.order), layer.null.mean()
    if len(runs) < 2 or len(layer.rows) - len(runs[0]) < dim:
        note = f"{len(layer.rows)} filters in {dim} dimensions leave eigenvectors undetermined"
        if len(layer.rows) > dim:
            note = "without any one seed there would be no more filters than dimensions"
        return Effect(text, seeds=layer.seeds, planned=planned, note=note)
    overlap = layer.match.overlaps.mean()
    without_one = [
        _mean_overlap(np.concatenate(runs[:number] + runs[number + 1 :]), layer.data[1])
        for number in range(len(runs))
    ]
    note = f"overlap {overlap:.3f}, of random bases {null:.3f}"
    interval = _jackknife(overlap - null, np.array(without_one) - null)
    return Effect(text, {}, interval, layer.seeds, planned, note)


def _mean_overlap(rows, vectors):
    spaces = eigenspaces(filter_covariance(rows, require_full_rank=False))
    return matched(spaces.vectors, vectors).overlaps.mean()


def _jackknife(estimate, without_one):
    """The estimate with the interval of its pseudo-values, from those with one run left out."""
    num = len(without_one)
    spread = mean_interval(num * estimate - (num - 1) * without_one)
    half = spread.high - spread.mean
    return Interval(float(estimate), float(estimate - half), float(estimate + half), num)


def same_ups_and_downs(variants: Variants) -> list[Effect]:
    """Measures the smallest of the rises and falls of f that the paper shows (Figure 20).

    Between the turning points of the printed curve f must rise where it rises and fall where it
    falls; what goes the same way is positive. In units of the initial level.
    """
    effects = []
    for name, results in _with_printed_panel(variants).items():
        sigma, printed = _printed_values(results.config)
        turns = _turning_points(printed)
        signs = np.sign(np.diff(printed[turns]))
        values = {
            seed: float(np.min(signs * np.diff(f[_nearest(measured, sigma[turns])])))
            for seed, f, measured in _final_transfer(results)
        }
        effects.append(upstream_effect(name, results, values))
    return effects


def distance_from_print(variants: Variants) -> list[Effect]:
    """Measures how far f is from the printed values, root mean square, in per cent (Figure 20)."""
    effects = []
    for name, results in _with_printed_panel(variants).items():
        sigma, printed = _printed_values(results.config)
        values = {}
        for seed, f, measured in _final_transfer(results, relative=False):
            ratio = f[_nearest(measured, sigma)] / printed - 1
            values[seed] = 100 * float(np.sqrt(np.mean(ratio**2)))
        effects.append(upstream_effect(name, results, values))
    return effects


def _with_printed_panel(variants):
    """The variants with the inputs and the network of a panel of Figure 20."""
    return {
        name: results
        for name, results in _with_filters(variants, synthetic=True).items()
        if printed_curve(results.config)
    }


def _printed_values(config):
    sigma, low, high = np.transpose(printed_curve(config).points)
    return sigma, (low + high) / 2


def _turning_points(values) -> list[int]:
    """Indices of the first and the last value and of those between a rise and a fall."""
    signs = np.sign(np.diff(values))
    inner = [index + 1 for index in range(len(signs) - 1) if signs[index] != signs[index + 1]]
    return [0, *inner, len(values) - 1]


def _nearest(measured, wanted):
    return np.abs(measured[:, None] - wanted).argmin(axis=0)


def proposition_applies(results: Results) -> bool:
    """Says whether inputs are Gaussian with several variances, and all labels upstream random.

    With a single variance the filters would be aligned whatever they are.
    """
    data = results.config.data
    has_axes = data.is_synthetic and len(set(data.gaussian_variances)) > 1
    return has_axes and on_random_labels(results)


def pooled_share(variants: Variants) -> list[Effect]:
    """Measures how far the data basis is above the null of flipped runs (Proposition 1).

    As a share of how far random bases are above it, after the last step. The interval is
    that of the draws of the null, in which whole runs are flipped.
    """
    effects = []
    for name, results in variants.items():
        if not proposition_applies(results):
            continue
        steps, _ = read_steps(results)
        if steps is not None:
            effects.append(_pooled_effect(about(name, "random"), results, steps))
    return effects


def _pooled_effect(text, results, steps):
    planned = results.num_planned_seeds
    if steps.test is None:
        note = "1 seed; the null needs several runs"
        return Effect(text, seeds=steps.seeds, planned=planned, note=note)
    draws = steps.test.draws[:, -1]
    low, high = np.quantile(draws, (0.025, 0.975))
    null = Interval(draws.mean(), low, high, len(draws))
    random = steps.random[:, -1].mean()
    note = f"p of all steps together {steps.test.overall_p_value:.2g}"
    return share_above_null(text, planned, steps.seeds, steps.data[-1], random, null, note)


def share_above_null(
    text: str,
    planned: int,
    seeds: Sequence[int],
    data: float,
    random: float,
    null: Interval,
    note: str,
) -> Effect:
    """Returns how far the data basis is above the null, as a share of how far random bases are.

    Args:
        text: as `about` in `Effect`, and so are `planned`, `seeds` and `note`.
        data: misalignment of the filters of all seeds with the data basis.
        random: the mean of that with random bases.
        null: of the data basis when runs are flipped: the mean, and bounds of 95% of the draws.
    """
    rise = random - null.mean
    if not rise > null.high - null.mean:
        note = "random bases do not leave the null either, so nothing tells the data basis apart"
        return Effect(text, seeds=seeds, planned=planned, note=note)
    mean, low, high = ((data - level) / rise for level in (null.mean, null.high, null.low))
    interval = Interval(float(mean), float(low), float(high), len(seeds))
    return Effect(text, {}, interval, seeds, planned, note)
