"""Curves over seeds with their intervals, and the CSV rows that hold them.

Every number that a figure of curves plots is in a `Curve`.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rl_keras.science.summaries import mean_interval
from rl_keras.storage.run_folder import StageKey


@dataclass(frozen=True)
class Curve:
    """One quantity over the seeds of one stage.

    A horizontal line, such as the chance level, is a curve of one point at `x = nan`.

    Attributes:
        panel: name of the panel that it is drawn in.
        labels: kind of labels of the stage.
        start: of the stage, empty upstream.
        quantity: name of the measurement.
        seeds: the seeds that are in it.
        steps: `(k,)` optimiser steps at which it was measured, NaN for none.
        x: `(k,)` horizontal positions; the same as `steps` for curves over time.
        values: `(seeds, k)`.
        mean: `(k,)`, over seeds.
        low: `(k,)`, lower bounds of the 95% intervals of the mean, NaN for a single seed.
        high: `(k,)`, upper bounds.
    """

    panel: str
    labels: str
    start: str
    quantity: str
    seeds: tuple[int, ...]
    steps: np.ndarray
    x: np.ndarray
    values: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


def mean_curve(panel, key: StageKey, quantity, seeds, steps, values, x=None) -> Curve:
    """Returns the curve of these values with the means and intervals over seeds.

    Args:
        panel: name of the panel.
        key: any stage of the curve, for its labels and start.
        quantity: name of the measurement.
        seeds: one seed for each row of `values`.
        steps: `(k,)`, or one number for all points.
        values: `(seeds, k)`, or `(seeds,)` for a level.
        x: `(k,)` horizontal positions; `steps` by default, NaN for a level.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim == 1:
        values, x = values[:, None], np.array([math.nan])
    steps = np.broadcast_to(steps, values.shape[1:])
    intervals = [mean_interval(column) for column in values.T]
    return Curve(
        panel=panel,
        labels=key.labels,
        start=key.start,
        quantity=quantity,
        seeds=tuple(seeds),
        steps=steps,
        x=steps if x is None else np.asarray(x),
        values=values,
        mean=np.array([interval.mean for interval in intervals]),
        low=np.array([interval.low for interval in intervals]),
        high=np.array([interval.high for interval in intervals]),
    )


def reached_curve(panel, key: StageKey, quantity, seeds, values, x=None) -> Curve:
    """Returns a level or a point that some seeds may never have reached.

    Args:
        panel: as in `mean_curve`, and so are `key`, `quantity` and `seeds`.
        values: `(seeds,)`, infinite for a seed that never got there; then there is no mean.
        x: horizontal position, a number; NaN, for a level, by default.
    """
    values = np.asarray(values, dtype=np.float64)
    known, x = np.isfinite(values), np.array([math.nan if x is None else x])
    column = np.where(known, values, 0)[:, None]
    curve = mean_curve(panel, key, quantity, seeds, math.nan, column, x)
    if known.all():
        return curve
    none = np.array([math.nan])
    return replace(curve, values=values[:, None], mean=none, low=none, high=none)


def to_rows(curves: Iterable[Curve], seeds: Sequence[int]) -> list[dict]:
    """Returns one row for each point: its mean, interval, and value for each seed.

    Cells that have no value are `None`: bounds of a single seed, `x` of a level,
    seeds that are not finished.
    """
    rows = []
    for curve in curves:
        for index in range(len(curve.x)):
            row = {name: getattr(curve, name) for name in ("panel", "labels", "start", "quantity")}
            step = curve.steps[index]
            row["step"] = None if math.isnan(step) else int(step)
            for name in ("x", "mean", "low", "high"):
                row[name] = _cell(getattr(curve, name)[index])
            row["num_seeds"] = len(curve.seeds)
            by_seed = dict(zip(curve.seeds, curve.values[:, index], strict=True))
            row |= {f"seed_{seed}": _cell(by_seed.get(seed, math.nan)) for seed in seeds}
            rows.append(row)
    return rows


def _cell(value):
    return None if math.isnan(value) else float(value)
