"""Verdicts from what is committed of a run: its flagfile, `summary.csv` and the figures' CSVs.

The rows of a figure hold the value of every seed. They are enough for most claims, which are
decided by the same code as for the run itself. Some claims need the filters of every seed: two of
these are decided from the rows of their figures, the others cannot be decided without the run.
"""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from rl_keras.papers.claim import Effect, about, decide
from rl_keras.papers.effects.diagnostics import profile_correlation
from rl_keras.papers.effects.filters import proposition_applies, share_above_null
from rl_keras.papers.verdicts import CLAIMS, Verdict, evaluate
from rl_keras.results.runs import Results, Run
from rl_keras.results.variants import RANDOM, TRUE, comparable
from rl_keras.science.summaries import Interval
from rl_keras.settings import command_line
from rl_keras.settings.experiment import ExperimentConfig
from rl_keras.settings.variants import expand
from rl_keras.storage.run_folder import RunDirectory, StageKey, stage_keys

FLAGFILES = Path(__file__).parents[2] / "flags"  # of a checkout; results are not installed
_CLASSES = {"cifar10": 10, "natural_patches": 7}
Rows = Sequence[Mapping[str, str]]
Tables = Mapping[str, Rows]


def read_tables(folder: Path) -> dict[str, list[dict[str, str]]]:
    """Returns the rows of every CSV in a folder by the name of the file; cells are text."""
    tables = {}
    for path in sorted(folder.glob("*.csv")):
        with path.open(newline="") as file:
            tables[path.stem] = list(csv.DictReader(file))
    return tables


def read_verdicts() -> list[Verdict]:
    """Returns the verdicts on the claims that the committed numbers decide."""
    configs, tables = {}, {}
    for path in sorted(FLAGFILES.glob("results/*/summary.csv")):
        name = path.parent.name
        configs[name], _ = command_line.parse([f"--flagfile={FLAGFILES / name}.cfg"])
        tables[name] = read_tables(path.parent)
    return evaluate_tables(configs, tables)


def evaluate_tables(
    configs: Mapping[str, ExperimentConfig], tables: Mapping[str, Tables]
) -> list[Verdict]:
    """Returns the verdicts on runs of which only tables are left.

    Args:
        configs: the settings of each run, by its name.
        tables: `summary` and those of its figures, likewise.
    """
    runs = [_run(name, config, tables[name]) for name, config in configs.items()]
    verdicts = [v for v in evaluate(runs) if v.effect.interval or v.effect.note]
    verdicts += [verdict for run in runs for verdict in _of_pooled(run, tables[run.name])]
    order = {claim.key: index for index, claim in enumerate(CLAIMS)}
    return sorted(verdicts, key=lambda verdict: order[verdict.claim.key])


class TableResults(Results):
    """What the tables of a run say about its stages, in the form in which claims read a run.

    Of a measurement over time that the claims read at its ends, only the ends are there.

    Args:
        config: of the run, or of one of its variants.
        tables: their rows.
        noise_rate: share of false labels, where that is on the axis of a figure.
    """

    def __init__(self, config: ExperimentConfig, tables: Tables, noise_rate: float | None):
        self.config, self.missing, self._left_out = config, [], {}
        self._tables = tables
        self.finished = {
            key: {
                "summary": _summary(tables.get("summary", ()), config, key),
                "num_classes": _num_classes(config),
                "labels_realised_rate": noise_rate,
            }
            for key in stage_keys(config)
        }
        self._arrays = {key: _arrays(tables, config, key) for key in self.finished}

    def losses(self, key: StageKey) -> dict[int, float]:
        return _by_step(self._tables.get("convergence", ()), key, "train_loss")


def _run(name, config, tables: Tables) -> Run:
    variants = {}
    for variant, settings in expand(config).items():
        rows = {
            figure: [row for row in table if row.get("variant", "") == variant]
            for figure, table in tables.items()
        }
        rate = _noise_rate(tables.get("label_noise", ()), variant)
        variants[variant] = TableResults(settings, rows, rate)
    return Run(name, RunDirectory(name), config, variants)


def _summary(rows: Rows, config, key) -> dict:
    compared = "downstream" if config.transfer.arms else "upstream"
    wanted = key.labels, key.start, str(key.seed)
    texts = ("variant", "start", "labels")
    for row in rows if compared == key.stage else ():
        if (row["labels"], row["start"], row["seed"]) == wanted:
            return {n: value if n in texts else _number(value) for n, value in row.items()}
    return {}


def _number(text: str) -> float | None:
    return float(text) if text else None


def _noise_rate(rows: Rows, variant) -> float | None:
    """The share of false labels, which the figure has on its horizontal axis."""
    rates = [float(row["x"]) for row in rows if variant in row["variant"].split("+")]
    return rates[0] if rates else None


def _num_classes(config) -> int:
    """The classes of the upstream labels; a data set is not opened for that."""
    if config.upstream.labels == ("random",):
        return config.upstream.num_random_classes
    return _CLASSES.get(config.data.dataset, config.upstream.num_random_classes)


def _by_step(rows: Rows, key: StageKey, quantity: str, panel: str = "") -> dict[int, float]:
    """The values of one stage by step."""
    seed, values = f"seed_{key.seed}", {}
    for row in rows:
        is_it = (row["labels"], row["start"], row["quantity"]) == (key.labels, key.start, quantity)
        if is_it and panel in ("", row["panel"]) and row.get(seed):
            values[int(row["step"] or 0)] = float(row[seed])
    return values


def _arrays(tables: Tables, config, key) -> dict[str, np.ndarray]:
    arrays = _activity(tables.get("activations", ()), config, key)
    if key.stage == "upstream":
        misaligned = tables.get("misalignment") or tables.get("overview", ())
        arrays |= _misalignment(misaligned, key)
        arrays |= _transfer(tables, config, key)
        arrays |= _memorisation(tables.get("memorisation", ()), key)
        arrays |= _feature_alignment(tables.get("feature_alignment", ()), key)
        arrays |= _minimum_norm(tables.get("interpolation", ()), key)
        end = _summary(tables.get("summary", ()), config, key).get("steps")
        if end is not None:  # a measurement without the last step would count as one at the end
            arrays = {n: v for n, v in arrays.items() if _is_whole(n, arrays, end)}
    return {name: np.asarray(value) for name, value in arrays.items()}


def _is_whole(name, arrays, end) -> bool:
    steps = arrays.get(f"{name.rpartition('/')[0]}/step")
    return steps is None or steps[-1] == end


def _layers(rows: Rows, panel: str) -> list[str]:
    """The layers of the quantities LAYER/NAME of a panel, in order."""
    names = (row["quantity"] for row in rows if row["panel"] == panel and "/" in row["quantity"])
    return list(dict.fromkeys(name.rpartition("/")[0] for name in names))


def _misalignment(rows: Rows, key) -> dict:
    arrays = {}
    for layer in _layers(rows, "misalignment"):
        for name in ("data_basis", "random_basis", "floor"):
            values = _by_step(rows, key, f"{layer}/{name}", "misalignment")
            if values:
                ends = min(values), max(values)
                arrays[f"alignment/{layer}/step"] = ends
                arrays[f"alignment/{layer}/{name}"] = [values[step] for step in ends]
    return arrays


def _transfer(tables: Tables, config, key) -> dict:
    """The transfer function after the last step, and its level before the first.

    The figure `transfer_function` has the last step under the name of the pooled curve, with the
    values of the seeds, and for Gaussian inputs standard deviations on its horizontal axis.
    """
    rows, power = tables.get("overview", ()), 1
    if "transfer_function" in tables:
        rows = tables["transfer_function"]
        power = 2 if config.data.is_synthetic else 1
    seed = f"seed_{key.seed}"
    of_seed = [row for row in rows if row["labels"] == key.labels and row.get(seed)]
    curves = [row for row in of_seed if row["quantity"].endswith(("/transfer", "/pooled_transfer"))]
    levels = [row for row in of_seed if row["quantity"].endswith("/initial_level")]
    if not curves or not levels:
        return {}
    prefix = f"alignment/{curves[0]['quantity'].rpartition('/')[0]}"
    last = max(int(row["step"]) for row in curves)
    end = [row for row in curves if int(row["step"]) == last]
    level = np.full(len(end), float(levels[0][seed]))
    return {
        f"{prefix}/step": [0, last],
        f"{prefix}/eigenvalues": [float(row["x"]) ** power for row in end],
        f"{prefix}/transfer": [level, [float(row[seed]) for row in end]],
    }


def _activity(rows: Rows, config, key) -> dict:
    """Shares of rarely active units at the two ends of a stage."""
    moments = ("switch", "downstream_end")
    if key.stage == "upstream":  # its rows are told apart by the labels downstream
        moments = ("initialisation", "upstream_end")
        labels = config.downstream.labels[0] if config.transfer.arms else key.labels
        key = StageKey(key.stage, labels, "", key.seed)
    arrays = {}
    for layer in _layers(rows, "rare"):
        ends = [_by_step(rows, key, f"{layer}/{moment}", "rare") for moment in moments]
        if all(ends):
            arrays[f"activity/{layer}/step"] = [step for end in ends for step in end]
            arrays[f"activity/{layer}/rarely_active"] = [v for end in ends for v in end.values()]
    return arrays


def _memorisation(rows: Rows, key) -> dict:
    names = ("given", "true", "other")
    shares = [_by_step(rows, key, f"corrupted/{name}", "memorisation") for name in names]
    if not all(shares):
        return {}
    values = np.array([list(by_step.values()) for by_step in shares]).T
    return {"ledger/step": list(shares[0]), "ledger/shares_corrupted": values}


def _feature_alignment(rows: Rows, key) -> dict:
    arrays = {}
    for layer in _layers(rows, "change"):
        names = ("observed", "identity")
        values = [_by_step(rows, key, f"{layer}/{name}", "change") for name in names]
        if values[0] and list(values[0]) == list(values[1]):
            arrays[f"feature_alignment/{layer}/step"] = list(values[0])
            for name, by_step in zip(names, values, strict=True):
                arrays[f"feature_alignment/{layer}/change_{name}"] = list(by_step.values())
    return arrays


def _minimum_norm(rows: Rows, key) -> dict:
    values = {
        quantity: _by_step(rows, key, quantity, "end")
        for quantity in ("linear/norm", "linear/test_error", "gaussian/test_error")
    }
    return {f"minimum_norm/{name}": by_step[0] for name, by_step in values.items() if by_step}


def _of_pooled(run: Run, tables: Tables) -> Iterable[Verdict]:
    """Verdicts on claims about the filters of a run that the rows of its figures can decide."""
    claims = {claim.key: claim for claim in CLAIMS}
    effects = {
        "proposition1": _proposition1(run, tables.get("proposition1", ())),
        "energy_profile": _energy_profile(run, tables.get("energy_profile", ())),
    }
    for key, of_claim in effects.items():
        for effect in of_claim:
            verdict, reason = decide(claims[key], effect)
            yield Verdict(claims[key], run.name, effect, verdict, reason)


def _proposition1(run: Run, rows: Rows) -> Iterable[Effect]:
    for variant, results in run.variants.items():
        of_variant = [row for row in rows if row.get("variant", "") == variant]
        if not of_variant or not proposition_applies(results):
            continue
        # A later step replaces an earlier one.
        last = {row["quantity"]: row for row in of_variant}
        seeds = [key.seed for key in results.upstream_keys]
        text, planned = about(variant, "random"), results.num_planned_seeds
        if "null" not in last:
            yield Effect(text, seeds=seeds, planned=planned, note="the null needs several runs")
            continue
        null = last["null"]
        bounds = Interval(*(float(null[name]) for name in ("value", "low", "high")), len(seeds))
        random = float(last["random_bases"]["value"])
        note = f"p of all steps together {float(last['overall_p_value']['value']):.2g}"
        data_basis = float(last["data_basis"]["value"])
        yield share_above_null(text, planned, seeds, data_basis, random, bounds, note)


def _energy_profile(run: Run, rows: Rows) -> Iterable[Effect]:
    for group in comparable(run.variants):
        if RANDOM not in group or TRUE not in group:
            continue
        profiles = [_profiles(rows, group[name]) for name in (RANDOM, TRUE)]
        if all(profiles):
            planned = max(results.num_planned_seeds for results in run.variants.values())
            yield profile_correlation(*profiles, planned)


def _profiles(rows: Rows, variant: str) -> dict[int, list[float]]:
    """The profile of the filters over the axes, by seed."""
    axes = [row for row in rows if row["variant"] == variant and row["panel"] == "filters"]
    axes = [row for row in axes if row["quantity"].endswith("/profile")]
    first = axes[0] if axes else {}
    seeds = [name for name in first if name.startswith("seed_") and first[name]]
    return {int(name.removeprefix("seed_")): [float(row[name]) for row in axes] for name in seeds}
