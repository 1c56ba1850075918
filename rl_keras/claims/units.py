"""Effects on the units of the last hidden layer when the task is switched (Figure 7)."""

from rl_keras.claims.claim import Effect, Found, effect_of
from rl_keras.claims.comparisons import gains, pretrained_arm, whole_transfers
from rl_keras.claims.starts import about
from rl_keras.figures.reading import Results


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


def silenced_at_switch(found: Found) -> list[Effect]:
    """Measures `silenced` in each variant that transfers more than one layer."""
    return [
        effect_of(about(name, labels), silenced(results, labels), len(results.config.run.seeds))
        for labels, names in whole_transfers(found).items()
        for name, results in ((name, found[name]) for name in names)
        if results.layers("activity")
    ]


def silenced_where_it_hurts(found: Found) -> list[Effect]:
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
