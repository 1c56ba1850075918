"""The training loss of finished stages, as it was logged, and when it first was small."""

import json
import math

from rl_keras.figures.reading import Results
from rl_keras.science.curves import first_step_reaching

LEVEL = 0.1  # of the loss, in nats; where a network counts as converged


def read_losses(results: Results) -> dict[int, dict[int, float]]:
    """Returns the losses upstream by seed and step, of the seeds that logged any.

    The loss at a step is the mean over the batches since the previous reading.
    """
    keys = results.upstream_keys
    found = {key.seed: _logged(results, key) for key in keys}
    return {seed: losses for seed, losses in found.items() if losses}


def first_steps(losses: dict[int, dict[int, float]], level: float = LEVEL) -> dict[int, float]:
    """Returns by seed the first step with this loss or less, infinite if there is none.

    Example:
        >>> first_steps({0: {8: 2.3, 16: 0.05}, 1: {8: 2.3, 16: 2.2}})
        {0: 16.0, 1: inf}
    """
    found = {
        seed: first_step_reaching(list(own), [-loss for loss in own.values()], -level)
        for seed, own in losses.items()
    }
    return {seed: math.inf if step is None else float(step) for seed, step in found.items()}


def _logged(results, key) -> dict[int, float]:
    path = results.run.stage_path(key) / "metrics.jsonl"
    rows = (json.loads(line) for line in path.read_text().splitlines())
    return {row["step"]: row["value"] for row in rows if row["name"] == "train/loss"}
