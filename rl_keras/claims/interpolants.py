"""Effects on the interpolants of least norm of a run with `--minimum_norm`."""

from rl_keras.claims.claim import Effect, Found, effect_of
from rl_keras.claims.conditions import TRUE, condition


def kernel_beyond_chance(found: Found) -> list[Effect]:
    """Measures by how much the Gaussian kernel's interpolant errs less than chance, in points.

    It is on the images, which all variants share, so the first one with true labels is taken.
    """
    for results in _with_true_labels(found).values():
        errors = _by_seed(results, "minimum_norm/gaussian/test_error")
        if errors:
            chance = 1 - 1 / results.num_classes
            values = {seed: 100 * (chance - error) for seed, error in errors.items()}
            return [effect_of("images", values, len(results.config.run.seeds))]
    return []


def larger_norm_errs_less(found: Found) -> list[Effect]:
    """Measures how much less the interpolant of the larger norm errs, of two kinds of features."""
    own = {
        name: {
            what: _by_seed(results, f"minimum_norm/linear/{what}")
            for what in ("norm", "test_error")
        }
        for name, results in _with_true_labels(found).items()
    }
    own = {name: records for name, records in own.items() if all(records.values())}
    if len(own) != 2:
        return []
    small, large = sorted(own, key=lambda name: max(own[name]["norm"].values()))
    values = {
        seed: 100 * (error - own[large]["test_error"][seed])
        for seed, error in own[small]["test_error"].items()
        if seed in own[large]["test_error"]
    }
    planned = len(found[small].config.run.seeds)
    return [effect_of(f"{small} against {large}", values, planned)]


def _with_true_labels(found):
    return {name: results for name, results in found.items() if condition(results) == TRUE}


def _by_seed(results, path) -> dict[int, float]:
    stages = {key.seed: results.arrays(key) for key in results.keys("upstream", "true")}
    return {seed: float(arrays[path]) for seed, arrays in stages.items() if path in arrays}
