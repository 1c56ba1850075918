"""Which variants of a run differ in nothing but what was randomised."""

from rl_keras.claims.claim import Found
from rl_keras.config import all_settings, to_values
from rl_keras.figures.reading import Results

TRUE, RANDOM = "true labels", "random labels"
_OF_A_CONDITION = (
    *("upstream_labels", "upstream_num_random_classes", "upstream_corruption"),
    *("upstream_corruption_kind", "input_corruption", "input_corruption_channels"),
)
_OTHERS = tuple(
    setting.flag
    for setting in all_settings()
    if setting.section in ("data", "model", "upstream") and setting.flag not in _OF_A_CONDITION
)


def condition(results: Results) -> str:
    """Returns what was randomised, such as `random labels` or `gaussian`.

    Nothing where labels and inputs both were, or labels partly: the claims are not about these.
    """
    labels, inputs = results.config.upstream.labels[0], results.config.data.input_corruption
    if inputs != "none":
        return inputs if labels == "true" else ""
    return {"true": TRUE, "random": RANDOM}.get(labels, "")


def comparable(found: Found) -> list[dict[str, str]]:
    """Returns the names of variants that differ in their condition alone, by condition.

    Args:
        found: the variants of a run.

    Returns:
        A dictionary for each setting of all else under which there are several conditions.
    """
    groups: dict[tuple, dict[str, str]] = {}
    for name, results in found.items():
        if condition(results):
            values = to_values(results.config)
            others = tuple(values[flag] for flag in _OTHERS)
            groups.setdefault(others, {}).setdefault(condition(results), name)
    return [group for group in groups.values() if len(group) > 1]
