"""Networks trained on each half of the same data, and what each says of the other half."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rl_keras.figures.reading import Results
from rl_keras.storage import StageKey


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
