"""Effects of the start on training downstream, of the settings on that, and on units at the switch.

Arms of a seed share labels, data order and fresh weights, so their difference varies less over
seeds than each of them.
"""

from collections.abc import Callable, Iterable, Mapping

from rl_keras.papers.claim import MIN_SEEDS, Effect, effect_of
from rl_keras.results import quantities, variants
from rl_keras.results.runs import Results, Variants
from rl_keras.settings.experiment import ExperimentConfig
from rl_keras.settings.transfer import split_arm

AREA, TEST = "area_under_train_curve", "final_test_accuracy"  # of summary.csv
_LATE_WIDTHS = ("width", "last_width", "dense_units")  # settings that widen the last layers


def differences(results: Results, labels: str, arm: str, other: str, column=AREA) -> dict:
    """Returns by seed what an arm has more of than the other, in percentage points."""
    mine, its = (_values(results, labels, name, column) for name in (arm, other))
    return {seed: 100 * (mine[seed] - its[seed]) for seed in mine if seed in its}


def first_layer(arm: str, other: str) -> Callable[[Variants], list[Effect]]:
    """Measures how much faster one start of the first layer trains than another (Figure 5)."""

    def measure(found: Variants) -> list[Effect]:
        effects = []
        for name, results in found.items():
            if not transfers_one_layer(results.config) or not has_arms(results, arm, other):
                continue
            for labels in results.config.downstream.labels:
                values = differences(results, labels, arm, other)
                effects.append(_effect(results, about(name, labels), values))
        return effects

    return measure


def covariance_share(found: Variants) -> list[Effect]:
    """Measures what the start from the covariance lacks, as a share of what `pretrained` gains."""
    effects = []
    for name, results in found.items():
        if not transfers_one_layer(results.config):
            continue
        if not has_arms(results, "scratch", "pretrained", "covariance"):
            continue
        for labels in results.config.downstream.labels:
            gains = differences(results, labels, "pretrained", "scratch")
            lacks = differences(results, labels, "covariance", "pretrained")
            effects.append(_effect(results, about(name, labels), *shares(lacks, gains)))
    return effects


def shares(values: Mapping[int, float], whole: Mapping[int, float]) -> tuple[dict, str]:
    """Returns values as shares of the mean of others, and a note if there is no such share.

    Args:
        values: by seed.
        whole: by seed; what they are compared with, which must be positive on the mean.

    Example:
        >>> shares({0: 1.0, 1: 2.0}, {0: 3.0, 1: 5.0})
        ({0: 0.25, 1: 0.5}, '')
    """
    seeds = [seed for seed in values if seed in whole]
    mean = sum(whole[seed] for seed in seeds) / max(1, len(seeds))
    if seeds and not mean > 0:
        return {}, f"what it is compared with is not positive: {mean:.3g} on the mean"
    return {seed: values[seed] / mean for seed in seeds}, ""


def deepest_against(other: int, column: str = AREA) -> Callable[[Variants], list[Effect]]:
    """Measures what transferring the most layers adds to fewer (Figure 6).

    Args:
        other: the number of layers to compare with; 0 is the start from scratch.
        column: of `summary.csv`.
    """

    def measure(found: Variants) -> list[Effect]:
        effects = []
        for name, results in found.items():
            transfer = results.config.transfer
            depths = sorted(transfer.transfer_depths)
            if not from_random_labels(results.config) or not depths or depths[-1] <= other:
                continue
            for start in transfer.starts:
                low = f"{start}-first{other}" if other else "scratch"
                if start == "scratch" or low not in transfer.arms:
                    continue
                for labels in _kinds(results, column):
                    high = f"{start}-first{depths[-1]}"
                    values = differences(results, labels, high, low, column)
                    effects.append(_effect(results, about(name, labels, start), values))
        return effects

    return measure


def about(variant: str, labels: str, start: str = "") -> str:
    """Returns which part of a run it is.

    Example:
        >>> about("wide", "true", "layerwise"), about("random", "random")
        ('wide: true labels, layerwise', 'random labels')
    """
    text = f"{labels} labels" if variant in ("", labels) else f"{variant}: {labels} labels"
    return f"{text}, {start}" if start else text


def transfers_one_layer(config: ExperimentConfig) -> bool:
    """Says whether nothing but one layer goes downstream, from a task with random labels."""
    transfer = config.transfer
    layers = transfer.transfer_layers
    is_one = not transfer.transfer_depths and len(layers) <= 1 and layers != ("all",)
    return is_one and from_random_labels(config)


def from_random_labels(config: ExperimentConfig) -> bool:
    """Says whether the labels upstream are random."""
    return config.upstream.labels == ("random",)


def has_arms(results: Results, *arms: str) -> bool:
    """Says whether the run was asked for these arms."""
    return set(arms) <= set(results.config.transfer.arms)


def _kinds(results, column) -> Iterable[str]:
    """Kinds of downstream labels; of these only true ones can be known to a test set."""
    kinds = results.config.downstream.labels
    return [labels for labels in kinds if labels == "true"] if column == TEST else kinds


def _values(results, labels, arm, column):
    found = {
        key.seed: results.finished[key]["summary"].get(column)
        for key in results.keys("downstream", labels, arm)
    }
    return {seed: float(value) for seed, value in found.items() if value is not None}


def _effect(results, text, values, note=""):
    return effect_of(text, values, len(results.config.run.seeds), note)


def extreme_gain(sign: int) -> Callable[[Variants], list[Effect]]:
    """Measures the gain of a network that was transferred whole, where it is most extreme.

    The claim is that there are such settings. So a run has one effect for each kind of labels: of
    its variants the one that speaks most clearly for the claim or, if none does, least against
    it. As it is chosen from k, its interval has the confidence 1 - 0.05 / k.

    Args:
        sign: +1 for the largest gain, -1 for the largest loss.
    """

    def measure(found: Variants) -> list[Effect]:
        return [
            _most_extreme(labels, found, names, sign)
            for labels, names in whole_transfers(found).items()
        ]

    return measure


def widest_against_narrowest(found: Variants) -> list[Effect]:
    """Measures how much more the widest variant gains from its pre-training (Figure 8)."""
    setting, places = variants.positions(found)
    if setting not in _LATE_WIDTHS:
        return []
    effects = []
    for labels, names in whole_transfers(found).items():
        ordered = [name for name in places if name in names]
        if len(ordered) < 2:
            continue
        narrow, wide = (gains(found[name], labels) for name in (ordered[0], ordered[-1]))
        values = {seed: wide[seed] - narrow[seed] for seed in wide if seed in narrow}
        text = f"{labels} labels: {setting} {places[ordered[-1]]:g} against {places[ordered[0]]:g}"
        planned = len(found[ordered[0]].config.run.seeds)
        effects.append(effect_of(text, values, planned))
    return effects


def gains(results: Results, labels: str) -> dict[int, float]:
    """Returns by seed what the pre-trained network gains on scratch in area, in points."""
    return differences(results, labels, pretrained_arm(results), "scratch")


def pretrained_arm(results: Results) -> str:
    """Returns the arm that is pre-trained with the most layers; empty if there is none."""
    arms = quantities.deepest_arms(results.config)
    return next((arm for arm in arms if split_arm(arm)[0] == "pretrained"), "")


def whole_transfers(found: Variants) -> dict[str, list[str]]:
    """Returns the variants that transfer more than one layer, by kind of downstream labels."""
    names: dict[str, list[str]] = {}
    for name, results in found.items():
        config = results.config
        if not from_random_labels(config) or transfers_one_layer(config):
            continue
        if pretrained_arm(results) and has_arms(results, "scratch"):
            for labels in config.downstream.labels:
                names.setdefault(labels, []).append(name)
    return names


def _most_extreme(labels, found, names, sign):
    num, effects = len(names), []
    note = f"chosen from {num} variants, confidence 1 - 0.05/{num}" if num > 1 else ""
    for name in names:
        results = found[name]
        values, planned = gains(results, labels), len(results.config.run.seeds)
        effects.append(effect_of(about(name, labels), values, planned, note, 1 - 0.05 / num))
    known = [effect for effect in effects if effect.interval]
    few = [effect for effect in known if effect.interval.num < MIN_SEEDS]
    many = [effect for effect in known if effect.interval.num >= MIN_SEEDS]
    sure = [effect for effect in many if _ends(effect, sign)[0] > 0]
    if sure:
        return max(sure, key=lambda effect: _ends(effect, sign)[0])
    if few:  # any of them may yet show it
        return max(few, key=lambda effect: sign * effect.interval.mean)
    return max(many, key=lambda effect: _ends(effect, sign)[1]) if many else effects[0]


def _ends(effect, sign):
    return sorted((sign * effect.interval.low, sign * effect.interval.high))


def silenced(results: Results, labels: str) -> dict[int, float]:
    """Returns by seed how many more units are rarely active right after the switch than before.

    In percentage points of the last hidden layer's units. The inputs are those of the
    downstream task at both moments.
    """
    layer = next(reversed(results.layers("activity")), "")
    arm = pretrained_arm(results)
    before = _rarely_active(results.keys("upstream", "random"), results, layer, -1)
    after = _rarely_active(results.keys("downstream", labels, arm), results, layer, 0)
    return {seed: 100 * (after[seed] - before[seed]) for seed in after if seed in before}


def silenced_at_switch(found: Variants) -> list[Effect]:
    """Measures `silenced` in each variant that transfers more than one layer."""
    return [
        effect_of(about(name, labels), silenced(results, labels), len(results.config.run.seeds))
        for labels, names in whole_transfers(found).items()
        for name, results in ((name, found[name]) for name in names)
        if results.layers("activity")
    ]


def silenced_where_it_hurts(found: Variants) -> list[Effect]:
    """Measures how many more are silenced where transfer hurts most than where it helps most."""
    effects = []
    for labels, names in whole_transfers(found).items():
        means = {name: _mean(gains(found[name], labels)) for name in names}
        means = {name: mean for name, mean in means.items() if mean is not None}
        if len(names) < 2 or len(means) < 2 or not all(found[n].layers("activity") for n in means):
            continue
        worst, best = (choose(means, key=means.get) for choose in (min, max))
        planned = len(found[worst].config.run.seeds)
        if not means[worst] < 0 < means[best]:
            note = "transfer helps in all of the settings, or hurts in all of them"
            effects.append(effect_of(f"{labels} labels", {}, planned, note))
            continue
        many, few = (silenced(found[name], labels) for name in (worst, best))
        values = {seed: many[seed] - few[seed] for seed in many if seed in few}
        text = f"{labels} labels: {worst} against {best}"
        effects.append(effect_of(text, values, planned))
    return effects


def _rarely_active(keys, results, layer, place):
    stack = results.stack(keys, f"activity/{layer}", "rarely_active")
    if not stack:
        return {}
    seeds, _, shares = stack
    return dict(zip(seeds, shares[:, place].tolist(), strict=True))


def _mean(values):
    return sum(values.values()) / len(values) if values else None
