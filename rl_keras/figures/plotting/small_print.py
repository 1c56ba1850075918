"""The text under a figure: experiment, data, seeds, and what its bands are."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from rl_keras.results.curves import Curve
from rl_keras.results.runs import MAX_NAMED, Results
from rl_keras.settings.variants import variant_names
from rl_keras.storage.run_folder import RunDirectory

STAGES = ("upstream", "downstream")
_MOST_NAMED = 6  # p-values in the small print
_LONG = 6  # items of a list that are too many for the small print
_LONG_TEXT = 600  # characters that are


def of_results(*variants: Results, experiment: str = "", bands: bool = True) -> str:
    """Returns the small print of a figure: experiment, data, seeds, and what its bands are.

    Args:
        variants: of what is in the figure; where they differ, all of it is told.
        experiment: its name; that of the first by default.
        bands: whether the figure has any.
    """
    configs = [results.config for results in variants]
    seeds = sorted({key.seed for results in variants for key in results.finished})
    about = [
        _either(config.data.dataset for config in configs),
        _either(config.model.model for config in configs),
        *(_either(_slices(results, stage) for results in variants) for stage in STAGES),
    ]
    probes = _either(str(config.measure.probe_examples) for config in configs)
    return (
        f"{experiment or configs[0].run.experiment}: {', '.join(filter(None, about))}; "
        f"probe sets of {probes}; {_seed_text(seeds, bands)}"
    )


def _either(texts):
    return " or ".join(filter(None, dict.fromkeys(texts)))


def _slices(results, stage):
    """What the stage was trained on; nothing if there is no such stage."""
    if stage == "downstream" and not results.config.transfer.arms:
        return ""
    text = f"{stage} {getattr(results.config, stage).split}"
    sizes = {r["num_examples"] for k, r in results.finished.items() if k.stage == stage}
    return _either(f"{text} ({size} examples)" for size in sizes) or text


def _seed_text(seeds, bands):
    if len(seeds) > MAX_NAMED:
        text = f"{len(seeds)} seeds"
    elif len(seeds) > 1:
        text = f"seeds {', '.join(map(str, seeds))}"
    else:
        return f"seed {seeds[0]}."
    if not bands:
        return f"{text}."
    return f"{text}. Bands: 95% interval of the mean over seeds; thin lines: single seeds."


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
    return f" p of the data basis at the end{name}: {'; '.join(texts)}."


def not_measured(found: Mapping[str, Sequence], figure: str, flag: str) -> list[str]:
    """Returns notes on variants without any curve, and which flag would have had it measured.

    Example:
        >>> not_measured({"a": [], "b": [1]}, "memorisation", "ledger")
        ['variant a: memorisation: not measured; set --ledger']
    """
    note = f"{figure}: not measured; set --{flag}"
    return [f"variant {name}: {note}" if name else note for name, own in found.items() if not own]


def title(name: str, without: str, labels: str = "") -> str:
    """Returns what stands before the kind of labels in the title of a panel.

    Args:
        name: of the variant.
        without: for a run without variants, and for variants that are named like their labels.
        labels: kind of labels.
    """
    return without if name in ("", labels) else f"{name}: "


def of_variants(run: RunDirectory, found: Mapping[str, Results], bands: bool = True) -> str:
    """Returns the small print of a figure, with the settings of the variants if there are any."""
    config = run.read_config()
    text = of_results(*found.values(), experiment=config.run.experiment, bands=bands)
    words = " ".join(_shortened(word) for word in config.run.variants.split())
    if len(words) > _LONG_TEXT:
        words = f"the {len(variant_names(config))} of the flagfile"
    return f"{text} Variants: {words}." if words else text


def _shortened(setting):
    """A setting without the middle of a long list."""
    items = setting.split(",")
    return setting if len(items) < _LONG else ",".join([*items[:2], "...", items[-1]])
