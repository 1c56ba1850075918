"""Effects of training upstream on the filters of the first measured layer."""

from collections.abc import Callable, Sequence

import numpy as np

from rl_keras.papers.claim import Effect, effect_of
from rl_keras.papers.effects.transfer import about, from_random_labels, shares
from rl_keras.papers.printed import printed_curve
from rl_keras.results.pooled_filters import read_layer, read_steps
from rl_keras.results.runs import Results, Variants
from rl_keras.science.alignment import filter_covariance
from rl_keras.science.eigenspaces import eigenspaces
from rl_keras.science.overlap import matched
from rl_keras.science.summaries import Interval, mean_interval

_SMALLEST = 1e-10  # eigenvalues below this share of the largest are rounding


def random_basis_rise(found: Variants) -> list[Effect]:
    """Measures how far random bases are above the sampling floor at the end (Figure 2)."""
    return [
        _effect(name, results, _above_floor(results, "random_basis"))
        for name, results in _aligned(found).items()
    ]


def data_basis_share(found: Variants) -> list[Effect]:
    """Measures how far the data basis is above the floor, as a share of the rise of random ones."""
    return [
        _effect(
            name,
            results,
            *shares(_above_floor(results, "data_basis"), _above_floor(results, "random_basis")),
        )
        for name, results in _aligned(found).items()
    ]


def hump(measure: Callable[[np.ndarray, int], float]) -> Callable[[Variants], list[Effect]]:
    """Measures the transfer function on images at the end of the training (Figure 4).

    Where its hump is, is read off the other seeds: the largest of many noisy values would stand
    out in flat noise too.

    Args:
        measure: function of f `(d,)` of a seed, in units of its initial level and ordered from the
            largest eigenvalue to the smallest, and of the place of the hump.
    """

    def effects(found: Variants) -> list[Effect]:
        every = []
        for name, results in found.items():
            if results.config.data.dataset != "gaussian" and _layer(results):
                values = {seed: float(measure(f, place)) for seed, f, place in _with_hump(results)}
                every.append(_effect(name, results, values))
        return every

    return effects


def smallest_share(found: Variants) -> list[Effect]:
    """Measures the growth along the smallest third of the eigenvalues, as a share of the hump's."""
    effects = []
    for name, results in found.items():
        if results.config.data.dataset == "gaussian" or not _layer(results):
            continue
        small, large = {}, {}
        for seed, f, place in _with_hump(results):
            small[seed] = float(f[-(len(f) // 3) :].mean() - 1)
            large[seed] = float(f[place] - 1)
        effects.append(_effect(name, results, *shares(small, large)))
    return effects


def same_ups_and_downs(found: Variants) -> list[Effect]:
    """Measures the least of the rises and falls that the paper shows (Figure 20).

    Between the turning points of the printed curve f must rise where it rises and fall where it
    falls; what goes the same way is positive. In units of the initial level.
    """
    effects = []
    for name, results in _synthetic(found).items():
        sigma, printed = _printed(results.config)
        turns = _turning_points(printed)
        signs = np.sign(np.diff(printed[turns]))
        values = {
            seed: float(np.min(signs * np.diff(f[_nearest(own, sigma[turns])])))
            for seed, f, own in _final(results)
        }
        effects.append(_effect(name, results, values))
    return effects


def distance_from_print(found: Variants) -> list[Effect]:
    """Measures how far f is from the printed values, root mean square, in per cent (Figure 20)."""
    effects = []
    for name, results in _synthetic(found).items():
        sigma, printed = _printed(results.config)
        values = {}
        for seed, f, own in _final(results, relative=False):
            ratio = f[_nearest(own, sigma)] / printed - 1
            values[seed] = 100 * float(np.sqrt(np.mean(ratio**2)))
        effects.append(_effect(name, results, values))
    return effects


def _effect(name, results, values, note=""):
    text = about(name, results.config.upstream.labels[0])
    return effect_of(text, values, len(results.config.run.seeds), note)


def _layer(results) -> str:
    return next(iter(results.layers("alignment")), "")


def _aligned(found):
    """The variants on images that have a misalignment; with few filters it is undefined."""
    return {
        name: results
        for name, results in found.items()
        if results.config.data.dataset != "gaussian"
        and results.stack(results.upstream_keys, f"alignment/{_layer(results)}", "data_basis")
    }


def _above_floor(results: Results, name: str) -> dict[int, float]:
    prefix = f"alignment/{_layer(results)}"
    ends = {}
    for quantity in (name, "floor"):
        stack = results.stack(results.upstream_keys, prefix, quantity)
        ends[quantity] = dict(zip(stack[0], stack[2][:, -1].tolist(), strict=True)) if stack else {}
    mine, floor = ends[name], ends["floor"]
    return {seed: mine[seed] - floor[seed] for seed in mine if seed in floor}


def _final(results, relative=True):
    """Seed, f at the end and the root of the eigenvalues, from large to small, for each seed.

    f is in units of its level before training, unless it is not to be `relative`.
    """
    prefix, final = f"alignment/{_layer(results)}", []
    for key in results.upstream_keys:
        arrays = results.arrays(key)
        if f"{prefix}/transfer" not in arrays:
            continue
        eigenvalues, f = arrays[f"{prefix}/eigenvalues"], arrays[f"{prefix}/transfer"]
        kept = eigenvalues > _SMALLEST * eigenvalues[0]
        level = f[0][kept].mean() if relative else 1.0
        if np.isfinite(f[-1]).all():
            final.append((key.seed, f[-1][kept] / level, np.sqrt(eigenvalues[kept])))
    return final


def _with_hump(results):
    """Seed, f, and where f has its hump in the mean over the other seeds, for each seed."""
    final = _final(results)
    length = min((len(f) for _, f, _ in final), default=0)
    if length < 2:
        return
    curves = np.array([f[:length] for _, f, _ in final])
    for number, (seed, _, _) in enumerate(final):
        others = np.delete(curves, number, axis=0) if len(curves) > 1 else curves
        yield seed, curves[number], 1 + int(others.mean(axis=0)[1:].argmax())


def _synthetic(found):
    """The variants with the inputs and the network of a panel of Figure 20."""
    panels = {name: printed_curve(results.config) for name, results in found.items()}
    return {
        name: found[name]
        for name, panel in panels.items()
        if panel and found[name].config.data.dataset == "gaussian" and _layer(found[name])
    }


def _printed(config):
    sigma, low, high = np.transpose(printed_curve(config).points)
    return sigma, (low + high) / 2


def _turning_points(values) -> list[int]:
    """Places of the first and the last value and of those between a rise and a fall."""
    signs = np.sign(np.diff(values))
    inner = [place + 1 for place in range(len(signs) - 1) if signs[place] != signs[place + 1]]
    return [0, *inner, len(values) - 1]


def _nearest(own, wanted):
    return np.abs(own[:, None] - wanted).argmin(axis=0)


def matched_overlap(found: Variants) -> list[Effect]:
    """Measures how much better eigenvectors of filters and data match than by chance (Figure 3).

    The mean squared overlap of matched eigenvectors, less that of random bases matched the
    same way. The interval leaves out one seed at a time (jackknife, Student's t).
    """
    effects = []
    for name, results in found.items():
        is_of_images = results.config.data.dataset != "gaussian"
        if not is_of_images or not from_random_labels(results.config):
            continue
        layer, _ = read_layer(results)
        if layer is None:
            continue
        text, planned = about(name, "random"), len(results.config.run.seeds)
        runs = np.split(layer.rows, len(layer.seeds))
        dim, null = len(layer.match.order), layer.null.mean()
        if len(runs) < 2 or len(layer.rows) - len(runs[0]) < dim:
            note = f"{len(layer.rows)} filters in {dim} dimensions leave eigenvectors undetermined"
            if len(layer.rows) > dim:
                note = "without any one seed there would be no more filters than dimensions"
            effects.append(Effect(text, seeds=layer.seeds, planned=planned, note=note))
            continue
        whole = layer.match.overlaps.mean()
        parts = [
            _overlap(np.concatenate(runs[:place] + runs[place + 1 :]), layer.data[1])
            for place in range(len(runs))
        ]
        note = f"overlap {whole:.3f}, of random bases {null:.3f}"
        interval = _jackknife(whole - null, np.array(parts) - null)
        effects.append(Effect(text, {}, interval, layer.seeds, planned, note))
    return effects


def pooled_share(found: Variants) -> list[Effect]:
    """Measures how far the data basis is above the null of flipped runs (Proposition 1).

    As a share of how far random bases are above it, after the last step. The interval is
    that of the draws of the null, in which whole runs are flipped. Only inputs are taken to
    which the proposition applies, and among whose directions some are special.
    """
    effects = []
    for name, results in found.items():
        data = results.config.data
        is_gaussian = data.dataset == "gaussian" and len(set(data.gaussian_variances)) > 1
        if not is_gaussian or not from_random_labels(results.config):
            continue
        steps, _ = read_steps(results)
        if steps is not None:
            effects.append(_share(about(name, "random"), len(results.config.run.seeds), steps))
    return effects


def _share(text, planned, steps):
    if steps.test is None:
        note = "1 seed; the null needs several runs"
        return Effect(text, seeds=steps.seeds, planned=planned, note=note)
    draws = steps.test.draws[:, -1]
    low, high = np.quantile(draws, (0.025, 0.975))
    null = Interval(draws.mean(), low, high, len(draws))
    rise = steps.random[:, -1].mean()
    note = f"p of all steps together {steps.test.overall_p_value:.2g}"
    return share_above_null(text, planned, steps.seeds, steps.data[-1], rise, null, note)


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


def _overlap(rows, vectors):
    spaces = eigenspaces(filter_covariance(rows, require_full_rank=False))
    return matched(spaces.vectors, vectors).overlaps.mean()


def _jackknife(whole, parts):
    """The estimate, with the interval of its pseudo-values around it."""
    num = len(parts)
    spread = mean_interval(num * whole - (num - 1) * parts)
    half = spread.high - spread.mean
    return Interval(float(whole), float(whole - half), float(whole + half), num)
