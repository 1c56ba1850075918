"""Made-up runs, whose every number the test gives, and the verdicts on them."""

import numpy as np
import pytest

from rl_keras.papers.verdicts import evaluate
from rl_keras.results.runs import read_runs
from rl_keras.settings.experiment import from_values
from rl_keras.settings.variants import expand
from rl_keras.storage.run_folder import RunDirectory, stage_keys


@pytest.fixture
def verdicts(tmp_path):
    """Returns a function that writes a run and returns its verdicts by the key of the claim.

    `arrays(variant, key)` and `summary(variant, key)` tell what a stage has left, and
    `losses(variant, key)` its training losses by step; `missing` names stages that are not
    finished; with another `name` the verdicts are on both runs.
    """

    def make(arrays=None, summary=None, missing=(), name="run", losses=None, **values):
        workdir = tmp_path / "runs" / name
        defaults = {"experiment": "made_up", "workdir": str(workdir), "seeds": (0, 1, 2)}
        config = from_values({**defaults, **values})
        RunDirectory(workdir).claim(config, "")
        for variant, settings in expand(config).items():
            run = RunDirectory(workdir / variant)
            run.claim(settings, "")
            for key in stage_keys(settings):
                if key.name not in missing:
                    stored = arrays(variant, key) if arrays else {}
                    result = {"summary": summary(variant, key) if summary else {}}
                    result |= {"num_classes": 10, "labels_realised_rate": _noise(settings)}
                    logged = losses(variant, key) if losses else {}
                    metrics = [_logged(step, value) for step, value in logged.items()]
                    stored = {name: np.asarray(value) for name, value in stored.items()}
                    run.finish_stage(key, result, metrics, stored)
        by_key: dict[str, list] = {}
        for verdict in evaluate(read_runs(str(tmp_path / "runs"))[0]):
            by_key.setdefault(verdict.claim.key, []).append(verdict)
        return by_key

    return make


def _noise(config):
    """The share of false labels where labels are redrawn over ten classes."""
    is_partial = config.upstream.labels == ("partial",)
    return 0.9 * config.upstream.corruption if is_partial else None


def _logged(step, value):
    return {"name": "train/loss", "step": step, "value": value}
