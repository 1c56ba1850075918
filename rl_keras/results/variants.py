"""The variants of a run: in what they differ, and which of them may be compared."""

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
_OF_A_CONDITION = (
    *("upstream_labels", "upstream_num_random_classes", "upstream_corruption"),
    *("upstream_corruption_kind", "input_corruption", "input_corruption_channels"),
)
_OTHERS = tuple(
    setting.flag
    for setting in all_settings()
    if setting.section in ("data", "model", "upstream") and setting.flag not in _OF_A_CONDITION
)


def rows(curves: Mapping[str, Sequence[Curve]], found: Mapping[str, Results]) -> list[dict]:
    """Returns the rows of `curves.to_rows`, the name of the variant in front.

    Args:
        curves: by variant, as `found`.
        found: as `runs.read_variants` returns them.
    """
    seeds = sorted({seed for results in found.values() for seed in results.config.run.seeds})
    return [{"variant": name, **row} for name, own in curves.items() for row in to_rows(own, seeds)]


def notes(run: RunDirectory, found: Mapping[str, Results]) -> list[str]:
    """Returns what is not in the figure: variants, and stages of those that are."""
    names = variant_names(run.read_config())
    lines = [f"variant {name}: nothing is finished to draw" for name in names if name not in found]
    for name, results in found.items():
        lines += [f"variant {name}: {note}" if name else note for note in results.notes]
    return lines


def differing(found: Mapping[str, Results]) -> dict[str, list]:
    """Returns the settings of the model that differ between variants, each with its values."""
    models = [dataclasses.asdict(results.config.model) for results in found.values()]
    every = {name: [model[name] for model in models] for name in models[0]}
    return {name: values for name, values in every.items() if len(set(values)) > 1}


def positions(found: Mapping[str, Results]) -> tuple[str | None, dict[str, float]]:
    """Returns the setting by which the variants can be ordered, and the place of each on its axis.

    A list of one number is a number. Without such a setting the places are those in the list.
    """
    settings = differing(found)
    if len(settings) == 1:
        ((name, values),) = settings.items()
        values = [value[0] if np.shape(value) == (1,) else value for value in values]
        is_number = all(isinstance(value, int | float) and value > 0 for value in values)
        if is_number and len(set(values)) == len(values):
            places = sorted(zip(values, found, strict=True))
            return name, {variant: float(value) for value, variant in places}
    return None, {variant: float(place) for place, variant in enumerate(found)}


def by_network(found: Mapping[str, Results]) -> dict[str, list[tuple[float, str, Results]]]:
    """Returns the variants of each network: corruption of their labels, name and results.

    The corruption is the share of labels that are redrawn, 0 of true and 1 of random ones, in
    whose order the variants are.
    """
    names = [name for name in differing(found) if name != "model"]
    networks: dict[str, list] = {}
    for variant, results in found.items():
        model = results.config.model
        own = [name for name in names if name in (*MODELS[model.model], *OF_EVERY_MODEL)]
        text = " ".join([model.model, *(f"{name} {getattr(model, name)}" for name in own)])
        stage = results.config.upstream
        share = {"true": 0.0, "partial": stage.corruption}.get(stage.labels[0], 1.0)
        networks.setdefault(text, []).append((share, variant, results))
    return {name: sorted(own, key=lambda one: one[0]) for name, own in networks.items()}


def condition(results: Results) -> str:
    """Returns what was randomised, such as `random labels` or `gaussian`.

    Nothing where labels and inputs both were, or labels partly: the claims are not about these.
    """
    labels, inputs = results.config.upstream.labels[0], results.config.data.input_corruption
    if inputs != "none":
        return inputs if labels == "true" else ""
    return {"true": TRUE, "random": RANDOM}.get(labels, "")


def comparable(found: Variants) -> list[dict[str, str]]:
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


@dataclass(frozen=True)
class Halves:
    """Both halves under one label map; numbers by seed are means over the halves.

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


def read_halves(found: Mapping[str, Results]) -> list[Halves]:
    """Returns the halves of each label map, of the seeds that are finished in both.

    Args:
        found: variants that differ in their halves and label maps alone.
    """
    halves = []
    for names, variants in _label_maps(found):
        config = variants[0].config
        labels = config.upstream.labels[0]
        keys = [{k.seed: k for k in results.keys("upstream", labels)} for results in variants]
        seeds = sorted(set.intersection(*map(set, keys)))
        if not seeds:
            continue
        reports = {
            seed: [results.finished[own[seed]] for results, own in zip(variants, keys, strict=True)]
            for seed in seeds
        }
        rates = [_mean(r.get("labels_realised_rate") or 0.0 for r in o) for o in reports.values()]
        halves.append(
            Halves(
                names=tuple(names),
                key=keys[0][seeds[0]],
                corruption_kind=config.upstream.corruption_kind,
                rate=_mean(rates),
                num_classes=reports[seeds[0]][0]["num_classes"],
                planned=len(config.run.seeds),
                agreement=_by_seed(reports, "final_test_accuracy"),
                accuracy=_by_seed(reports, "final_test_accuracy_true"),
            )
        )
    return halves


def are_halves(found: Mapping[str, Results]) -> bool:
    """Says whether under each label map two variants train on what the other is tested on."""
    return all(
        len(variants) == 2 and _splits(variants[0]) == _splits(variants[1])[::-1]
        for _, variants in _label_maps(found)
    )


def _splits(results):
    return results.config.upstream.split, results.config.data.test_split


def _label_maps(found):
    """Names and results of the variants of each label map."""
    maps: dict[tuple, dict] = {}
    for name, results in found.items():
        stage = results.config.upstream
        map_ = stage.labels, stage.corruption, stage.corruption_kind, stage.num_random_classes
        maps.setdefault(map_, {})[name] = results
    return [(list(own), list(own.values())) for own in maps.values()]


def _by_seed(reports, column):
    return {seed: _mean(r["summary"][column] for r in own) for seed, own in reports.items()}


def _mean(values):
    values = list(values)
    return math.nan if None in values else float(np.mean(values))
