"""The tables of a run decide the claims as the run itself does: the gallery rests on that."""

import csv
import json

import numpy as np
import pytest
from made_up import run_arrays

import main
from rl_keras.papers.printed import printed_curve
from rl_keras.papers.verdicts import evaluate
from rl_keras.report.committed import evaluate_tables, read_tables
from rl_keras.results.runs import read_runs
from rl_keras.settings.experiment import from_values

STARTS = ("scratch", "pretrained", "pretrained_unscaled", "covariance")
KINDS = (
    "true: upstream_labels=true; random: upstream_labels=random; "
    "half: upstream_labels=partial upstream_corruption=0.5"
)
WIDTHS = "narrow: dense_units=8; wide: dense_units=32"
HALVES = "; ".join(
    f"{name}_{half}: upstream_labels={labels} {splits}"
    for name, labels in (
        ("clean", "true"),
        ("noisy", "partial upstream_corruption=0.4 upstream_corruption_kind=redraw"),
    )
    for half, splits in (
        ("a", "upstream_split=train[:100] test_split=train[100:200]"),
        ("b", "upstream_split=train[100:200] test_split=train[:100]"),
    )
)
FIG_20 = {
    "dataset": "gaussian",
    "scaling": "none",
    "upstream_split": "train",
    "model": "mlp",
    "widths": (256, 256),
    "gaussian_variances": tuple(np.linspace(0.1, 3.0, 30) ** 2),
}


def printed_filters(key, arrays):
    """The printed curve of Figure 20 right, a little larger in each seed."""
    sigma, low, high = np.transpose(printed_curve(from_values(FIG_20)).points)
    own = np.sqrt(np.sort(FIG_20["gaussian_variances"])[::-1])
    f = np.interp(own, sigma, (low + high) / 2) * (1 + 0.01 * key.seed)
    name, steps = "alignment/conv1", arrays["alignment/conv1/step"]
    grown = np.linspace(0, 1, len(steps))[:, None]
    for part in ("filters", "filters_by_step", "eigenvectors", "group_sizes"):
        del arrays[f"{name}/{part}"]
    arrays |= {f"{name}/eigenvalues": own**2, f"{name}/transfer": 0.2 * (1 - grown) + grown * f}


def pooled_filters(key, arrays, variant):
    arrays |= run_arrays(key.seed, broken=variant == "broken")


def measured_to_the_end(key, arrays):
    for name in ("ledger/step", "feature_alignment/conv1/step"):
        arrays[name] = 2 * arrays[name]  # up to the steps in summary.csv


RUNS = {  # claims that the tables decide, and the run
    "start": (
        ("fig2_", "fig4_", "fig5_"),
        {"starts": STARTS, "downstream_labels": ("true", "random"), "figures": ("overview",)},
    ),
    "function": (
        ("fig2_", "fig4_"),
        {"starts": ("none",), "figures": ("misalignment", "transfer_function")},
    ),
    "depths": (
        ("fig1_", "fig6_", "table1_", "fig7_switch"),
        {
            "starts": ("scratch", "pretrained", "layerwise"),
            "transfer_depths": (1, 2),
            "figures": ("depths", "activations"),
        },
    ),
    "widths": (
        ("fig1_", "fig8_", "fig7_"),
        {
            "starts": ("scratch", "pretrained"),
            "transfer_layers": ("all",),
            "model": "cnn3",
            "variants": WIDTHS,
            "figures": ("widths", "activations"),
        },
    ),
    "fig20": (("fig20_",), {**FIG_20, "starts": ("none",), "figures": ("transfer_function",)}),
    "pooled": (
        ("proposition1",),
        {
            **FIG_20,
            "starts": ("none",),
            "gaussian_variances": (6, 5, 4, 3, 2, 1),
            "variants": "plain: ; broken: upstream_optimizer=adam",
            "figures": ("proposition1",),
        },
    ),
    "kinds": (
        ("zhang_", "energy_profile", "neural_feature_ansatz", "truth_first"),
        {
            "starts": ("none",),
            "variants": KINDS,
            "require_fit": 0.99,
            "figures": (
                "convergence",
                "energy_profile",
                "feature_alignment",
                "memorisation",
                "interpolation",
            ),
        },
    ),
    "halves": (
        ("two_fold_agreement",),
        {
            "starts": ("none",),
            "variants": HALVES,
            "figures": ("label_noise",),
        },
    ),
}
CHANGES = {"fig20": printed_filters, "pooled": pooled_filters, "kinds": measured_to_the_end}


@pytest.mark.parametrize("name", RUNS)
def test_tables_decide_claims_as_the_run_does(make_run, monkeypatch, name):
    monkeypatch.setattr("rl_keras.results.pooled_filters.NUM_DRAWS", 19)  # for speed
    monkeypatch.setattr("rl_keras.results.profiles.NUM_DRAWS", 19)
    decided, values = RUNS[name]
    values = {"dataset": "cifar10", **values}
    run = make_run(name, change=CHANGES.get(name), **values)
    for path in run.path.glob("noisy_*/stages/*/result.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"labels_realised_rate": 0.36}))
    assert main.main([f"--workdir={run.path}", "--mode=draw", "--require_fit=0"]) == 0
    runs, _ = read_runs(str(run.path))
    tables = read_tables(run.figures_path) | {"summary": read_tables(run.path)["summary"]}
    expected = {_name(verdict): verdict for verdict in evaluate(runs)}
    received = {_name(v): v for v in evaluate_tables({name: runs[0].config}, {name: tables})}
    assert set(received) <= set(expected)
    wanted = {key for key in expected if key[0].startswith(decided)}
    assert wanted and wanted <= set(received)
    assert {key[0].split("_")[0] for key in wanted} == {key.split("_")[0] for key in decided}
    for key, verdict in received.items():
        _assert_same(verdict, expected[key])


def _name(verdict):
    return verdict.claim.key, verdict.effect.about


def _assert_same(received, expected):
    assert (received.verdict, received.run) == (expected.verdict, expected.run)
    own, other = received.effect, expected.effect
    assert own.by_seed == pytest.approx(dict(other.by_seed), abs=1e-9)
    assert (own.planned, tuple(own.seeds)) == (other.planned, tuple(other.seeds))
    if other.interval is None:
        assert own.interval is None
        return
    ends = [[e.interval.mean, e.interval.low, e.interval.high] for e in (own, other)]
    np.testing.assert_allclose(*ends, atol=1e-9)


def test_what_is_missing_at_the_last_step_does_not_pass_for_the_end(make_run):
    def dead_at_the_end(key, arrays):
        measured_to_the_end(key, arrays)
        arrays["feature_alignment/conv1/change_observed"][-1] = np.nan

    values = {"starts": ("none",), "figures": ("feature_alignment",)}
    run = make_run("dead", change=dead_at_the_end, **values)
    assert main.main([f"--workdir={run.path}", "--mode=draw"]) == 0
    with (run.figures_path / "feature_alignment.csv").open(newline="") as file:
        assert list(csv.DictReader(file))
    tables = read_tables(run.figures_path) | {"summary": read_tables(run.path)["summary"]}
    verdicts = evaluate_tables({"dead": run.read_config()}, {"dead": tables})
    assert "neural_feature_ansatz" not in {verdict.claim.key for verdict in verdicts}
