"""The text under a figure: experiment, data, seeds, and what its bands are."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from rl_keras.results.curves import Curve
from rl_keras.results.runs import MAX_NAMED, Variants
from rl_keras.settings.experiment import ExperimentConfig
from rl_keras.settings.variants import variant_names

STAGES = ("upstream", "downstream")
_MOST_NAMED = 6  # p-values; more are summarised
_LONG = 6  # a list with so many items is shortened
_LONG_TEXT = 600  # a text with more characters is shortened


def about(config: ExperimentConfig, variants: Variants, has_bands: bool = True) -> str:
    """Returns what stands under every figure: experiment, data, seeds, bands, variants.

    Args:
        config: of the whole run.
        variants: what is in the figure, by name, or the run itself, named ""; where they differ,
            all of it is told.
        has_bands: whether to say what the bands and thin lines are.
    """
    configs = [results.config for results in variants.values()]
    seeds = sorted({key.seed for results in variants.values() for key in results.finished})
    parts = [
        _either(variant.data.dataset for variant in configs),
        _either(variant.model.model for variant in configs),
        *(_either(_slices(results, stage) for results in variants.values()) for stage in STAGES),
    ]
    probes = _either(str(variant.measure.probe_examples) for variant in configs)
    text = (
        f"{config.run.experiment}: {', '.join(filter(None, parts))}; "
        f"probe sets of {probes}; {_seed_text(seeds, has_bands)}"
    )
    settings = " ".join(_shortened(word) for word in config.run.variants.split())
    if len(settings) > _LONG_TEXT:
        settings = f"the {len(variant_names(config))} of the flagfile"
    return f"{text} Variants: {settings}." if settings else text


def _either(texts):
    return " or ".join(filter(None, dict.fromkeys(texts)))


def _slices(results, stage):
    """What the stage was trained on; nothing if there is no such stage."""
    if stage == "downstream" and not results.config.transfer.arms:
        return ""
    text = f"{stage} {getattr(results.config, stage).split}"
    sizes = {r["num_examples"] for k, r in results.finished.items() if k.stage == stage}
    return _either(f"{text} ({size} examples)" for size in sizes) or text


def _seed_text(seeds, has_bands):
    if len(seeds) > MAX_NAMED:
        text = f"{len(seeds)} seeds"
    elif len(seeds) > 1:
        text = f"seeds {', '.join(map(str, seeds))}"
    else:
        return f"seed {seeds[0]}."
    if not has_bands:
        return f"{text}."
    return f"{text}. Bands: 95% interval of the mean over seeds; thin lines: single seeds."


def _shortened(setting):
    """A setting without the middle of a long list."""
    items = setting.split(",")
    return setting if len(items) < _LONG else ",".join([*items[:2], "...", items[-1]])


def p_value_text(curves: Iterable[Curve], variant: str = "") -> str:
    """Returns the p-values at the end, for the small print; empty if there are none."""
    texts = []
    for curve in curves:
        if curve.quantity.endswith("/p_value"):
            values = np.sort(curve.values[:, 0])
            if len(values) > _MOST_NAMED:
                shown = f"{values[0]:.2g} to {values[-1]:.2g}, median {np.median(values):.2g}"
            else:
                shown = ", ".join(f"{value:.2g}" for value in curve.values[:, 0])
            texts.append(f"{shown} (single filters flipped)")
        elif curve.quantity.endswith("/pooled_p_value"):
            texts.append(f"{curve.mean[0]:.2g} (all seeds, whole runs flipped)")
    if not texts:
        return ""
    name = f", {variant}" if variant else ""
    return f"p of the data basis at the end{name}: {'; '.join(texts)}."


def not_measured(curves: Mapping[str, Sequence], figure: str, flag: str) -> list[str]:
    """Returns a note for each variant without any curve, with the flag that has it measured.

    Example:
        >>> not_measured({"a": [], "b": [1]}, "memorisation", "ledger")
        ['variant a: memorisation: not measured; set --ledger']
    """
    note = f"{figure}: not measured; set --{flag}"
    return [of_variant(name, note) for name, measured in curves.items() if not measured]


def of_variant(name: str, note: str) -> str:
    """Returns a note with the variant that it is about, if it is about one."""
    return f"variant {name}: {note}" if name else note
