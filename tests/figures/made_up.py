"""Made-up measurements for the figures that need more than accuracy and alignment."""

import numpy as np

from rl_keras.figures.feature_alignment import FORMS
from rl_keras.science.memorisation import MemorisationLedger
from rl_keras.settings.transfer import split_arm
from rl_keras.settings.variants import expand
from rl_keras.storage.run_folder import RunDirectory, stage_keys

STEPS = np.array([0, 100, 200])


def write_run(folder, config, arrays, summary=None, missing=()):
    """Writes a finished run, or one for each variant.

    Args:
        folder: where.
        config: its `workdir` is this folder if it has variants.
        arrays: function of a variant's name and a key.
        summary: function of a key; further columns of `summary.csv`.
        missing: names of stages to leave out.
    """
    top = RunDirectory(folder)
    top.claim(config, "")
    for name, own in expand(config).items():
        run = RunDirectory(folder / name)
        run.claim(own, "")
        for key in stage_keys(own):
            if key.name in missing:
                continue
            row = {"start": key.start, "labels": key.labels, "seed": key.seed}
            row |= summary(key) if summary else {}
            result = {"summary": row, "num_classes": 10, "num_examples": 2048}
            run.finish_stage(key, result, [], arrays(name, key))
        run.collect()
    return top


def cosine_basis(side, channels):
    """Smooth patterns `(d, d)` as columns, slow ones first, grey before coloured ones."""
    grid = np.arange(side) + 0.5
    waves = np.array([np.cos(np.pi * k * grid / side) for k in range(side)])
    colours = np.array([[1, 1, 1], [1, 0, -1], [1, -2, 1]]) if channels == 3 else np.eye(1)
    ordered = []
    for i in range(side):
        for j in range(side):
            for hue, colour in enumerate(colours):
                pattern = waves[i][:, None, None] * waves[j][:, None] * colour
                ordered.append((i + j + 2.5 * hue, pattern.ravel() / np.linalg.norm(pattern)))
    ordered.sort(key=lambda item: item[0])
    return np.array([pattern for _, pattern in ordered]).T


def filter_arrays(seed, num, side=3, channels=3, layer="conv1", aligned=True):
    """Filters with the eigenvectors of the data, or without any structure."""
    vectors = cosine_basis(side, channels)
    dim = len(vectors)
    eigenvalues = 20 * np.exp(-9 * np.arange(dim) / dim)
    grown = 1 + 3 * np.exp(-((np.log(eigenvalues) - 0.7) ** 2) / 2) * aligned
    rng = np.random.default_rng([seed, num, dim])
    return {
        f"alignment/{layer}/step": STEPS,
        f"alignment/{layer}/eigenvalues": eigenvalues,
        f"alignment/{layer}/eigenvectors": vectors,
        f"alignment/{layer}/filters": 0.1 * grown * rng.standard_normal((num, dim)) @ vectors.T,
    }


def run_arrays(seed, num=20, dim=6, isotropic=False, broken=False, layer="dense1"):
    """Filters along the way that share a direction with their run, on axes of the data.

    They grow along these axes, unless they are `isotropic`; `broken` ones grow along others.
    """
    rng = np.random.default_rng([seed, num, dim])
    vectors = np.linalg.qr(np.random.default_rng(dim).standard_normal((dim, dim)))[0]
    turn = np.linalg.qr(np.random.default_rng(dim + 1).standard_normal((dim, dim)))[0]
    growth = np.linspace(0, 1, len(STEPS))[:, None, None]
    scales = np.ones(dim) if isotropic else np.linspace(4, 0.5, dim)
    shared = rng.standard_normal(dim) * rng.standard_normal((num, 1))
    rows = rng.standard_normal((num, dim)) * scales**growth + growth * shared * scales
    rows = rows @ (turn if broken else np.eye(dim)) @ vectors.T
    values = {
        "step": STEPS,
        "eigenvalues": np.arange(dim, 0.0, -1.0),
        "eigenvectors": vectors,
        "filters_by_step": rows.astype(np.float32),
    }
    return {f"alignment/{layer}/{name}": value for name, value in values.items()}


def activity_arrays(key, layers, units=64, drop=1.0):
    """Shares of active units: a little lower after training, and far lower at the switch."""
    rng = np.random.default_rng([key.seed, key.stage == "upstream"])
    arrays = {}
    for number, layer in enumerate(layers, 1):
        late = number / len(layers)
        losses = np.linspace(0.3, 1, 3) if key.stage == "upstream" else (drop * 4, drop * 3, 1.5)
        lost = 2 * late * np.array(losses)[:, None] * rng.exponential(1, units)
        if key.stage == "upstream":
            lost[0] = 0
        shares = rng.uniform(0.25, 0.75, units) * np.exp(-lost)
        shares[shares < 2e-4] = 0
        arrays |= {
            f"activity/{layer}/step": STEPS,
            f"activity/{layer}/fraction_active": shares,
            f"activity/{layer}/rarely_active": np.mean(shares < 0.01, axis=1),
        }
    return arrays


def depth_summary(key):
    """Better with every layer; `layerwise` a little behind; random labels are slower."""
    start, depth = split_arm(key.start)
    gain = (depth or 0) * (0.8 if start == "layerwise" else 1.0)
    rng = np.random.default_rng([key.seed, depth or 0, *map(ord, start), len(key.labels)])
    noise, is_true = 0.01 * rng.standard_normal(3), key.labels == "true"
    steps = (260 if is_true else 520) * np.exp(-0.22 * gain) * (1 + 4 * noise[0])
    return {
        "final_train_accuracy": min(1.0, 0.93 + 0.015 * gain + noise[0]),
        "final_test_accuracy": 0.55 + 0.01 * gain + noise[1] if is_true else 0.1 + noise[1],
        "steps_to_80": int(steps) if steps < 505 else None,
        "area_under_train_curve": 0.62 + 0.05 * gain + noise[2] - 0.2 * (not is_true),
    }


def ledger_arrays(key, num=60, classes=10):
    """A network that first says the true class of every example, then learns the given labels."""
    rng = np.random.default_rng([key.seed, len(key.labels)])
    true = rng.integers(0, classes, num)
    corrupted = rng.random(num) < {"true": 0.0, "partial": 0.4}.get(key.labels, 0.9)
    given = np.where(corrupted, (true + rng.integers(1, classes, num)) % classes, true)
    guessed = rng.integers(0, classes, num)
    learnt = np.where(rng.random(num) < 0.3, guessed, given)
    predictions = np.array([guessed, np.where(rng.random(num) < 0.5, true, guessed), learnt])
    ledger = MemorisationLedger(given, true)
    for step, row in zip(STEPS, predictions, strict=True):
        ledger.update(int(step), row)
    values = {
        "step": STEPS,
        "predictions": predictions.astype(np.int32),
        "ids": np.array([f"id{i}" for i in range(num)], dtype="S"),
        "given_labels": ledger.given_labels,
        "true_labels": ledger.true_labels,
        "first_fitted": ledger.first_fitted,
        "fitted_since": ledger.fitted_since,
        "times_forgotten": ledger.times_forgotten,
        "shares_corrupted": ledger.shares("corrupted"),
        "shares_clean": ledger.shares("clean"),
    }
    return {f"ledger/{name}": value for name, value in values.items()}


def feature_arrays(key, layer="conv1"):
    """Correlations that rise from the value for an identity; the change has none at first."""
    rng = np.random.default_rng([key.seed, len(key.labels), 1])
    values = {"step": STEPS}
    for form in FORMS:
        identity = np.full(3, 1.0) if "change" not in form else np.array([np.nan, 0.6, 0.7])
        for name, shift in {
            "observed": 0.1,
            "centered": 0.08,
            "identity": 0.0,
            "own_gram": 0.02,
            "permuted": -0.01,
            "permuted_low": -0.05,
            "permuted_high": 0.03,
        }.items():
            noise = 0.01 * rng.standard_normal(3) * (name == "observed")
            values[f"{form}_{name}"] = 0.85 * identity + shift + noise
    return {f"feature_alignment/{layer}/{name}": value for name, value in values.items()}


def representation_arrays(key, num=40, units=5):
    """Layers that are mixtures of what all networks share and of their own."""
    shared = np.random.default_rng(0).standard_normal((num, 3))
    rng = np.random.default_rng([key.seed, len(key.labels), 2])
    arrays = {"representation/ids": np.array([f"id{i}" for i in range(num)], dtype="S")}
    for depth, layer in enumerate(("conv1", "dense1"), 1):
        mixed = shared @ rng.standard_normal((3, units))
        sample = np.maximum(mixed + depth * rng.standard_normal((num, units)), 0)
        arrays[f"representation/{layer}/sample"] = sample.astype(np.float32)
        arrays[f"representation/{layer}/positions"] = np.zeros(num, np.int32)
    return arrays
