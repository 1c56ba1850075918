"""Run folders as a finished run leaves them, with made-up but plausible numbers."""

import inspect

import numpy as np
import pytest
from made_up import feature_arrays, ledger_arrays, representation_arrays

from rl_keras.settings.experiment import from_values
from rl_keras.settings.transfer import split_arm
from rl_keras.settings.variants import expand, variant_names
from rl_keras.storage.run_folder import RunDirectory, stage_keys

DIM, UNITS, FILTERS = 27, 48, 96
RATES = {"scratch": 1.0, "pretrained": 1.7, "pretrained_unscaled": 2.3, "covariance": 1.5}
STEPS = np.arange(0, 401, 20)
MEASURED = ("alignment", "activity", "ledger", "features", "representations", "minimum_norm")


@pytest.fixture
def make_run(tmp_path):
    """Returns a function that writes a run; `change(key, arrays)` may edit a stage first.

    With `variants` it writes each of them; then `missing` may hold VARIANT/STAGE, and
    `change(key, arrays, variant)` is told which it is.
    """

    def make(name="run", missing=(), measured=MEASURED, change=None, **values):
        values = {"experiment": name, "seeds": (0, 1, 2), "downstream_labels": ("true",), **values}
        config = from_values({"workdir": str(tmp_path / name), **values})
        runs = {}
        for variant, own in expand(config).items():
            runs[variant] = RunDirectory(own.run.workdir)
            runs[variant].claim(own, "")
            for key in stage_keys(own):
                if not {key.name, f"{variant}/{key.name}"} & set(missing):
                    write_stage(runs[variant], key, measured, change)
            runs[variant].collect()
        run = RunDirectory(tmp_path / name)
        if variant_names(config):
            run.claim(config, "")
            run.collect_variants(runs)
        return run

    return make


def write_stage(run, key, measured, change):
    arrays = stage_arrays(key, measured)
    if change is not None:
        takes = len(inspect.signature(change).parameters)
        change(*(key, arrays, run.path.name)[:takes])
    run.finish_stage(key, stage_result(key, arrays), losses(arrays), arrays)


def losses(arrays):
    """The log of a stage: a loss that goes with the train accuracy."""
    accuracy = arrays["probe/train/accuracy"][1:]
    values = -np.log(np.clip(accuracy, 0.01, 0.995))
    return [
        {"step": int(step), "name": "train/loss", "value": float(value)}
        for step, value in zip(arrays["probe/train/step"][1:], values, strict=True)
    ]


def stage_arrays(key, measured):
    parts = [key.stage == "upstream", len(key.labels), *map(ord, key.start), key.seed]
    rng = np.random.default_rng([int(part) for part in parts])
    arrays = {}
    if "alignment" in measured:
        arrays |= alignment_arrays(rng)
    if "activity" in measured:
        arrays |= activity_arrays(key, rng)
    more = {
        "ledger": ledger_arrays,
        "features": feature_arrays,
        "representations": representation_arrays,
        "minimum_norm": minimum_norm_arrays,
    }
    for name in (name for name in more if name in measured):
        arrays |= more[name](key)
    start, depth = split_arm(key.start)
    rate = RATES.get(start, 1.0) * (0.012 if key.labels == "true" else 0.005)
    rate *= 1 + 0.2 * (depth or 0)
    rate *= 1 + 0.05 * rng.standard_normal()
    train = 1 - 0.9 * np.exp(-rate * STEPS) + 0.01 * rng.standard_normal(len(STEPS))
    test = 0.1 + (0.45 * (1 - np.exp(-1.5 * rate * STEPS)) if key.labels == "true" else 0)
    test = test + 0.012 * rng.standard_normal(len(STEPS))
    for probe, accuracy in (("train", train), ("test", test)):
        arrays |= {
            f"probe/{probe}/step": STEPS,
            f"probe/{probe}/accuracy": np.round(np.clip(accuracy, 0, 1) * 512) / 512,
        }
    return arrays


def minimum_norm_arrays(key):
    norms = {"linear": 2.0 + key.seed, "gaussian": 5.0}
    arrays = {f"minimum_norm/{kind}/norm": np.array(norm) for kind, norm in norms.items()}
    arrays |= {f"minimum_norm/{kind}/test_error": np.array(0.5) for kind in norms}
    left = np.exp(-STEPS / 200)
    records = {
        "step": STEPS,
        "distance": left,
        "residual": 0.3 * left,
        "norm": 0.1 + 2 * (1 - left),
    }
    records |= {"train_error": 0.9 * left, "test_error": 0.4 + 0.5 * left}
    return arrays | {f"minimum_norm/{name}": values for name, values in records.items()}


def alignment_arrays(rng):
    grown = np.linspace(0, 1, len(STEPS)) ** 1.5
    noise = 0.05 * rng.standard_normal((3, len(STEPS)))
    eigenvalues = 21 * np.exp(-0.45 * np.arange(DIM))
    bump = np.exp(-((np.log(eigenvalues) - np.log(0.3)) ** 2) / 2)
    filters = rng.spawn(1)[0]
    transfer = 0.27 * (1 + grown[:, None] * bump) * np.exp(0.05 * rng.standard_normal(DIM))
    values = {
        "step": STEPS,
        "data_basis": 4.7 + 0.3 * grown + noise[0],
        "random_basis": 4.7 + 6 * grown + noise[1],
        "random_basis_sd": 0.3 + 0.5 * grown,
        "floor": np.full(len(STEPS), 4.7126),
        "null_low": 4.0 + 0.3 * grown + noise[2],
        "null_mean": 4.8 + 0.3 * grown + noise[2],
        "null_high": 5.7 + 0.3 * grown + noise[2],
        "p_value": np.round(0.5 + noise[2], 2),
        "weight_norm": 5 + grown,
        "transfer": transfer,
        "eigenvalues": eigenvalues,
        "eigenvectors": np.eye(DIM),
        "group_sizes": np.ones(DIM, dtype=int),
        "filters": transfer[-1] * filters.standard_normal((FILTERS, DIM)),
    }
    noise = filters.standard_normal((len(STEPS), FILTERS, DIM))
    values["filters_by_step"] = (transfer[:, None] * noise).astype(np.float32)
    return {f"alignment/conv1/{name}": value for name, value in values.items()}


def activity_arrays(key, rng):
    arrays = {}
    for layer, loss in (("conv1", 0.5), ("dense1", 4.0)):
        begin, end = {"": (0, 1), "scratch": (0, 0.5)}.get(key.start, (1.3, 0.8))
        lost = loss * np.linspace(begin, end, len(STEPS))[:, None] * rng.random(UNITS) ** 2
        fractions = np.clip(rng.uniform(0.2, 0.8, UNITS) * np.exp(-lost) - 0.01, 0, 1)
        values = {
            "step": STEPS,
            "fraction_active": fractions,
            "mean_activation": fractions,
            "dead_units": np.sum(fractions == 0, axis=1),
            "rarely_active": np.mean(fractions < 0.01, axis=1),
            "effective_rank": np.full(len(STEPS), 20.0),
        }
        arrays |= {f"activity/{layer}/{name}": value for name, value in values.items()}
    return arrays


def stage_result(key, arrays):
    train, test = (arrays[f"probe/{probe}/accuracy"] for probe in ("train", "test"))
    summary = {
        "start": key.start,
        "labels": key.labels,
        "seed": key.seed,
        "steps": int(STEPS[-1]),
        "final_train_accuracy": float(train[-1]),
        "best_train_accuracy": float(train.max()),
        "final_test_accuracy": float(test[-1]),
        "best_test_accuracy": float(test.max()),
        "final_train_accuracy_true": float(train[-1]),
        "final_test_accuracy_true": float(test[-1]),
    }
    for percent in (50, 80, 90, 95):
        reached = arrays["probe/train/step"][train >= percent / 100]
        summary[f"steps_to_{percent}"] = int(reached[0]) if len(reached) else None
    summary["area_under_train_curve"] = float(train.mean())
    return {"summary": summary, "num_classes": 10, "num_examples": 2048}
