"""Effects on the interpolants of least norm of a run with `--minimum_norm`."""

from collections.abc import Callable

from rl_keras.claims.claim import Effect, Found, effect_of
from rl_keras.claims.randomisation import TRUE, condition


def beyond_chance(kind: str) -> Callable[[Found], list[Effect]]:
    """Measures by how much the test error of an interpolant is less than by chance, in points.

    Args:
        kind: `"linear"` or `"gaussian"`. Of several variants with the same images and true
            labels the first is taken for the Gaussian kernel, which is on the images alone.
    """

    def measure(found: Found) -> list[Effect]:
        effects = []
        for name, results in _with_true_labels(found).items():
            errors = _by_seed(results, f"minimum_norm/{kind}/test_error")
            if errors and not (effects and kind == "gaussian"):
                classes = next(iter(results.finished.values()))["num_classes"]
                values = {seed: 100 * (1 - 1 / classes - error) for seed, error in errors.items()}
                about = name if kind == "linear" else "images"
                effects.append(effect_of(about, values, len(results.config.run.seeds)))
        return effects

    return measure


def larger_norm_errs_less(found: Found) -> list[Effect]:
    """Measures how much less the interpolant of the larger norm errs, of two kinds of features."""
    own = {
        name: {what: _by_seed(results, f"minimum_norm/linear/{what}") for what in _RECORDS}
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


_RECORDS = ("norm", "test_error")


def _with_true_labels(found):
    return {name: results for name, results in found.items() if condition(results) == TRUE}


def _by_seed(results, path) -> dict[int, float]:
    stages = {key.seed: results.arrays(key) for key in results.keys("upstream", "true")}
    return {seed: float(arrays[path]) for seed, arrays in stages.items() if path in arrays}
