"""The variants of a run: how they differ, and which of them may be compared.

An argument `variants` is what `runs.read_variants` returns, results by the name of the variant.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rl_keras.results.curves import Curve, to_rows
from rl_keras.results.runs import Results, Variants
from rl_keras.settings.experiment import all_settings, to_values
from rl_keras.settings.model import MODELS, OF_EVERY_MODEL
from rl_keras.settings.variants import variant_names
from rl_keras.storage.run_folder import RunDirectory, StageKey

TRUE, RANDOM = "true labels", "random labels"
_CONDITION_SETTINGS = (  # what is randomised, and how
    *("upstream_labels", "upstream_num_random_classes", "upstream_corruption"),
    *("upstream_corruption_kind", "input_corruption", "input_corruption_channels"),
)
_OTHER_SETTINGS = tuple(
    setting.flag
    for setting in all_settings()
    if setting.section in ("data", "model", "upstream") and setting.flag not in _CONDITION_SETTINGS
)


def rows(curves: Mapping[str, Sequence[Curve]], variants: Variants) -> list[dict]:
    """Returns the rows of `curves.to_rows`, the name of the variant in front.

    Args:
        curves: by the name of the variant.
        variants: all of them, for the seeds that the columns are to have.
    """
    seeds = sorted({seed for results in variants.values() for seed in results.config.run.seeds})
    return [
        {"variant": name, **row}
        for name, of_variant in curves.items()
        for row in to_rows(of_variant, seeds)
    ]


def notes(run: RunDirectory, variants: Variants) -> list[str]:
    """Returns what a figure lacks: variants, and stages of the variants that it shows."""
    names = [name for name in variant_names(run.read_config()) if name not in variants]
    lines = [f"variant {name}: nothing is finished to draw" for name in names]
    for name, results in variants.items():
        lines += [f"variant {name}: {note}" if name else note for note in results.notes]
    return lines


def differing(variants: Variants) -> dict[str, list]:
    """Returns the settings of the model that differ between variants, each with its values."""
    models = [dataclasses.asdict(results.config.model) for results in variants.values()]
    settings = {name: [model[name] for model in models] for name in models[0]}
    return {name: values for name, values in settings.items() if len(set(values)) > 1}


def positions(variants: Variants) -> tuple[str | None, dict[str, float]]:
    """Returns the setting by which the variants can be ordered, and the value of each, ascending.

    A list of one number is a number. Without such a setting the variants are numbered.
    """
    settings = differing(variants)
    if len(settings) == 1:
        ((name, values),) = settings.items()
        values = [value[0] if np.shape(value) == (1,) else value for value in values]
        is_number = all(isinstance(value, int | float) and value > 0 for value in values)
        if is_number and len(set(values)) == len(values):
            ordered = sorted(zip(values, variants, strict=True))
            return name, {variant: float(value) for value, variant in ordered}
    return None, {variant: float(number) for number, variant in enumerate(variants)}


def by_network(variants: Variants) -> dict[str, list[tuple[float, str, Results]]]:
    """Returns the variants of each network: corruption of their labels, name and results.

    They come in the order of the corruption, the share of labels that are redrawn: 0 for true
    labels and 1 for random ones.
    """
    differences = [name for name in differing(variants) if name != "model"]
    networks: dict[str, list] = {}
    for variant, results in variants.items():
        model = results.config.model
        names = [n for n in differences if n in (*MODELS[model.model], *OF_EVERY_MODEL)]
        text = " ".join([model.model, *(f"{name} {getattr(model, name)}" for name in names)])
        stage = results.config.upstream
        share = {"true": 0.0, "partial": stage.corruption}.get(stage.labels[0], 1.0)
        networks.setdefault(text, []).append((share, variant, results))
    return {name: sorted(group, key=lambda member: member[0]) for name, group in networks.items()}


def condition(results: Results) -> str:
    """Returns what was randomised upstream, such as `random labels` or `gaussian`.

    Empty where both labels and inputs were randomised, or only some of the labels.
    """
    labels, inputs = results.config.upstream.labels[0], results.config.data.input_corruption
    if inputs != "none":
        return inputs if labels == "true" else ""
    return {"true": TRUE, "random": RANDOM}.get(labels, "")


def on_random_labels(results: Results) -> bool:
    """Says whether all labels upstream are random."""
    return results.config.upstream.labels == ("random",)


def comparable(variants: Variants) -> list[dict[str, str]]:
    """Returns the names of variants that differ in their `condition` alone, by condition.

    Returns:
        A dictionary for each group of variants that agree in all other settings, if it has
        several conditions.
    """
    groups: dict[tuple, dict[str, str]] = {}
    for name, results in variants.items():
        if condition(results):
            values = to_values(results.config)
            others = tuple(values[flag] for flag in _OTHER_SETTINGS)
            groups.setdefault(others, {}).setdefault(condition(results), name)
    return [group for group in groups.values() if len(group) > 1]


@dataclass(frozen=True)
class Halves:
    """Two variants on the same noisy labels, each trained on the half that the other is tested on.

    Numbers by seed are means over the two.

    Attributes:
        names: of the variants.
        key: of any stage.
        corruption_kind: `redraw` or `flip`.
        rate: share of labels that are not the true ones, mean over seeds and halves.
        num_classes: of the labels.
        planned: seeds that the run was asked for.
        agreement: share of the unseen examples whose given label is predicted.
        accuracy: share of them whose true label is; NaN where it is not known.
    """

    names: tuple[str, ...]
    key: StageKey
    corruption_kind: str
    rate: float
    num_classes: int
    planned: int
    agreement: dict[int, float]
    accuracy: dict[int, float]


def are_halves(variants: Variants) -> bool:
    """Says whether under each label map two variants train on what the other is tested on."""
    return all(
        len(pair) == 2 and _splits(pair[0]) == _splits(pair[1])[::-1]
        for _, pair in _by_label_map(variants)
    )


def _splits(results):
    return results.config.upstream.split, results.config.data.test_split


def _by_label_map(variants):
    """Names and results of the variants with the same labels."""
    maps: dict[tuple, dict] = {}
    for name, results in variants.items():
        stage = results.config.upstream
        map_ = stage.labels, stage.corruption, stage.corruption_kind, stage.num_random_classes
        maps.setdefault(map_, {})[name] = results
    return [(list(group), list(group.values())) for group in maps.values()]


def read_halves(variants: Variants) -> list[Halves]:
    """Returns the halves of each label map, of the seeds that are finished in both.

    Args:
        variants: they must differ in their halves and label maps alone.
    """
    halves = []
    for names, pair in _by_label_map(variants):
        config = pair[0].config
        labels = config.upstream.labels[0]
        keys = [{k.seed: k for k in results.keys("upstream", labels)} for results in pair]
        seeds = sorted(set.intersection(*map(set, keys)))
        if not seeds:
            continue
        reports = {
            seed: [half.finished[by_seed[seed]] for half, by_seed in zip(pair, keys, strict=True)]
            for seed in seeds
        }
        rates = [
            _mean(report.get("labels_realised_rate") or 0.0 for report in both)
            for both in reports.values()
        ]
        halves.append(
            Halves(
                names=tuple(names),
                key=keys[0][seeds[0]],
                corruption_kind=config.upstream.corruption_kind,
                rate=_mean(rates),
                num_classes=reports[seeds[0]][0]["num_classes"],
                planned=pair[0].num_planned_seeds,
                agreement=_mean_by_seed(reports, "final_test_accuracy"),
                accuracy=_mean_by_seed(reports, "final_test_accuracy_true"),
            )
        )
    return halves


def _mean_by_seed(reports, column):
    return {
        seed: _mean(report["summary"][column] for report in both) for seed, both in reports.items()
    }


def _mean(values):
    values = list(values)
    return math.nan if None in values else float(np.mean(values))
