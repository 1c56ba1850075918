"""Feature alignment over seeds, and what is not defined at the first step."""

import numpy as np
import pytest
from made_up import STEPS, feature_arrays

from rl_keras.figures import feature_alignment
from rl_keras.figures.plotting.drawing import draw_figure, rows_of
from rl_keras.storage.run_folder import StageKey

TWO = "random: upstream_labels=random; real: upstream_labels=true"


def pick(rows, panel, quantity, variant=""):
    wanted = {"panel": panel, "quantity": f"conv1/{quantity}", "variant": variant}
    return [row for row in rows if all(row[name] == value for name, value in wanted.items())]


@pytest.mark.parametrize("form", list(feature_alignment.FORMS))
def test_means_are_over_seeds_at_the_steps_where_the_value_is_defined(make_run, form):
    rows = rows_of("feature_alignment", make_run(variants=TWO, starts=("none",)))
    defined = slice(1, None) if form.startswith("change") else slice(None)
    for variant, labels in (("random", "random"), ("real", "true")):
        keys = [StageKey("upstream", labels, "", seed) for seed in range(3)]
        for name in ("observed", "centered", "identity", "own_gram"):
            values = [feature_arrays(k)[f"feature_alignment/conv1/{form}_{name}"] for k in keys]
            own = pick(rows, form, name, variant)
            assert [row["step"] for row in own] == STEPS[defined].tolist()
            means = [row["mean"] for row in own]
            np.testing.assert_allclose(means, np.mean(values, axis=0)[defined])


def test_bounds_of_random_orders_are_those_of_the_draws(make_run):
    rows = pick(rows_of("feature_alignment", make_run(seeds=(0,))), "gram", "permuted")
    bounds = [(row["mean"], row["low"], row["high"]) for row in rows]
    np.testing.assert_allclose(bounds, [(0.84, 0.80, 0.88)] * 3)


def test_runs_that_did_not_measure_it_are_noted(make_run):
    run = make_run(measured=("alignment",))
    assert rows_of("feature_alignment", run) == []
    assert draw_figure("feature_alignment", run).notes == [
        "feature_alignment: not measured; set --feature_alignment"
    ]
