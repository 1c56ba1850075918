"""Effects of the start on training downstream, and on which units are active at the switch.

Arms of a seed share labels, data order and fresh weights, so their difference varies less over
seeds than each of them.
"""

from collections.abc import Callable, Iterable

from rl_keras.papers.claim import MIN_SEEDS, Effect, about, difference, effect_of, shares
from rl_keras.results.quantities import deepest_arms
from rl_keras.results.runs import Results, Variants
from rl_keras.results.variants import on_random_labels, positions
from rl_keras.settings.transfer import split_arm

AREA, TEST = "area_under_train_curve", "final_test_accuracy"  # of summary.csv
_LATE_WIDTHS = ("width", "last_width", "dense_units")  # settings that widen the last layers


def first_layer(arm: str, other: str) -> Callable[[Variants], list[Effect]]:
    """Measures how much faster one start of the first layer trains than another (Figure 5)."""

    def measure(variants: Variants) -> list[Effect]:
        effects = []
        for name, results in variants.items():
            if not transfers_one_layer(results) or not has_arms(results, arm, other):
                continue
            for labels in results.config.downstream.labels:
                values = arm_difference(results, labels, arm, other)
                effects.append(effect_of(about(name, labels), values, results.num_planned_seeds))
        return effects

    return measure


def covariance_share(variants: Variants) -> list[Effect]:
    """Measures `covariance` less `pretrained`, as a share of the gain of `pretrained`."""
    effects = []
    for name, results in variants.items():
        if not transfers_one_layer(results):
            continue
        if not has_arms(results, "scratch", "pretrained", "covariance"):
            continue
        for labels in results.config.downstream.labels:
            gains = arm_difference(results, labels, "pretrained", "scratch")
            lacks = arm_difference(results, labels, "covariance", "pretrained")
            values, note = shares(lacks, gains)
            effects.append(effect_of(about(name, labels), values, results.num_planned_seeds, note))
    return effects


def deepest_against(other: int, column: str = AREA) -> Callable[[Variants], list[Effect]]:
    """Measures what transferring the most layers adds to fewer (Figure 6).

    Args:
        other: the number of layers to compare with; 0 is the start from scratch.
        column: of `summary.csv`.
    """

    def measure(variants: Variants) -> list[Effect]:
        effects = []
        for name, results in variants.items():
            transfer = results.config.transfer
            depths = sorted(transfer.transfer_depths)
            if not on_random_labels(results) or not depths or depths[-1] <= other:
                continue
            for start in transfer.starts:
                low = f"{start}-first{other}" if other else "scratch"
                if start == "scratch" or low not in transfer.arms:
                    continue
                for labels in _labels_with(column, results):
                    high = f"{start}-first{depths[-1]}"
                    values = arm_difference(results, labels, high, low, column)
                    text = about(name, labels, start)
                    effects.append(effect_of(text, values, results.num_planned_seeds))
        return effects

    return measure


def _labels_with(column, results) -> Iterable[str]:
    """Kinds of downstream labels that have this column: a test set has true labels only."""
    kinds = results.config.downstream.labels
    return [labels for labels in kinds if labels == "true"] if column == TEST else kinds


def transfers_one_layer(results: Results) -> bool:
    """Says whether only one layer is transferred, from a task with random labels."""
    transfer = results.config.transfer
    layers = transfer.transfer_layers
    is_one = not transfer.transfer_depths and len(layers) <= 1 and layers != ("all",)
    return is_one and on_random_labels(results)


def has_arms(results: Results, *arms: str) -> bool:
    """Says whether the run was asked for these arms."""
    return set(arms) <= set(results.config.transfer.arms)


def arm_difference(
    results: Results, labels: str, arm: str, other: str, column: str = AREA
) -> dict[int, float]:
    """Returns by seed how much more one arm has than another, in percentage points.

    Args:
        results: of a run.
        labels: kind of downstream labels.
        arm: that is compared.
        other: what it is compared with.
        column: of `summary.csv`.
    """
    columns = [
        results.summaries(results.keys("downstream", labels, name), column) for name in (arm, other)
    ]
    return {seed: 100 * value for seed, value in difference(*columns).items()}


def extreme_gain(sign: int) -> Callable[[Variants], list[Effect]]:
    """Measures the gain of a network that was transferred whole, where it is most extreme.

    The claim is that there are such settings. So a run has one effect for each kind of labels: of
    its variants the one that speaks most clearly for the claim or, if none does, least against
    it. As it is chosen from k, its interval has the confidence 1 - 0.05 / k.

    Args:
        sign: +1 for the largest gain, -1 for the largest loss.
    """

    def measure(variants: Variants) -> list[Effect]:
        return [
            _most_extreme(labels, variants, names, sign)
            for labels, names in whole_transfers(variants).items()
        ]

    return measure


def _most_extreme(labels, variants, names, sign):
    num, effects = len(names), []
    note = f"chosen from {num} variants, confidence 1 - 0.05/{num}" if num > 1 else ""
    for name in names:
        results = variants[name]
        values, planned = gains(results, labels), results.num_planned_seeds
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


def whole_transfers(variants: Variants) -> dict[str, list[str]]:
    """Returns the variants that transfer more than one layer, by kind of downstream labels."""
    names: dict[str, list[str]] = {}
    for name, results in variants.items():
        if not on_random_labels(results) or transfers_one_layer(results):
            continue
        if pretrained_arm(results) and has_arms(results, "scratch"):
            for labels in results.config.downstream.labels:
                names.setdefault(labels, []).append(name)
    return names


def gains(results: Results, labels: str) -> dict[int, float]:
    """Returns by seed what the pre-trained network gains on scratch in area, in points."""
    return arm_difference(results, labels, pretrained_arm(results), "scratch")


def pretrained_arm(results: Results) -> str:
    """Returns the arm that is pre-trained with the most layers; empty if there is none."""
    arms = deepest_arms(results.config)
    return next((arm for arm in arms if split_arm(arm)[0] == "pretrained"), "")


def widest_against_narrowest(variants: Variants) -> list[Effect]:
    """Measures how much more the widest variant gains from its pre-training (Figure 8)."""
    setting, widths = positions(variants)
    if setting not in _LATE_WIDTHS:
        return []
    effects = []
    for labels, names in whole_transfers(variants).items():
        ordered = [name for name in widths if name in names]
        if len(ordered) < 2:
            continue
        narrow, wide = ordered[0], ordered[-1]
        values = difference(gains(variants[wide], labels), gains(variants[narrow], labels))
        text = f"{labels} labels: {setting} {widths[wide]:g} against {widths[narrow]:g}"
        effects.append(effect_of(text, values, variants[narrow].num_planned_seeds))
    return effects


def silenced_at_switch(variants: Variants) -> list[Effect]:
    """Measures `silenced` in each variant that transfers more than one layer (Figure 7)."""
    return [
        effect_of(about(name, labels), silenced(results, labels), results.num_planned_seeds)
        for labels, names in whole_transfers(variants).items()
        for name, results in ((name, variants[name]) for name in names)
        if results.layers("activity")
    ]


def silenced_where_it_hurts(variants: Variants) -> list[Effect]:
    """Measures how many more are silenced where transfer hurts most than where it helps most."""
    effects = []
    for labels, names in whole_transfers(variants).items():
        means = {name: _mean(gains(variants[name], labels)) for name in names}
        means = {name: mean for name, mean in means.items() if mean is not None}
        if len(means) < 2 or not all(variants[name].layers("activity") for name in means):
            continue
        worst, best = (choose(means, key=means.get) for choose in (min, max))
        planned = variants[worst].num_planned_seeds
        if not means[worst] < 0 < means[best]:
            note = "transfer helps in all of the settings, or hurts in all of them"
            effects.append(effect_of(f"{labels} labels", {}, planned, note))
            continue
        values = difference(silenced(variants[worst], labels), silenced(variants[best], labels))
        effects.append(effect_of(f"{labels} labels: {worst} against {best}", values, planned))
    return effects


def _mean(by_seed):
    return sum(by_seed.values()) / len(by_seed) if by_seed else None


def silenced(results: Results, labels: str) -> dict[int, float]:
    """Returns by seed how many more units are rarely active right after the switch than before.

    In percentage points of the last hidden layer's units. The inputs are those of the
    downstream task at both moments.
    """
    prefix = f"activity/{next(reversed(results.layers('activity')), '')}"
    upstream = results.keys("upstream", "random")
    downstream = results.keys("downstream", labels, pretrained_arm(results))
    before = results.at_step(upstream, prefix, "rarely_active", -1)
    after = results.at_step(downstream, prefix, "rarely_active", 0)
    return {seed: 100 * value for seed, value in difference(after, before).items()}
