"""Where and how a run is carried out."""

from dataclasses import dataclass
from pathlib import Path

from rl_keras.settings.setting import NO_REPETITION, NOT_EMPTY, PLAIN_NAME, setting

# Each figure is drawn by the module of its name. The folder is listed, not imported: a flag can be
# read without matplotlib.
_FIGURES_FOLDER = Path(__file__).parents[1] / "figures"
FIGURES = tuple(sorted(path.stem for path in _FIGURES_FOLDER.glob("[a-z]*.py")))


@dataclass(frozen=True)
class RunConfig:
    """Where and how a run is carried out; none of it changes a result."""

    experiment: str = setting(
        "experiment", "Name of the experiment, used in titles.", rules=(PLAIN_NAME,)
    )
    mode: str = setting(
        "run",
        "run trains what is missing, draw only reads; report writes report.html and claims.json "
        "about the run in --workdir, or all runs in it.",
        choices=("run", "draw", "report"),
    )
    workdir: str = setting("", "Folder of the run. Empty: runs/EXPERIMENT.")
    variants: str = setting(
        "",
        "Repeat the experiment with other settings, each in a folder of its own: "
        "'NAME: flag=value flag=value; NAME: flag=value'.",
    )
    experiments: tuple[str, ...] = setting(
        (),
        "Carry out these flagfiles one after another, each in WORKDIR/NAME OF THE FILE, and end "
        "with the report. One that fails does not stop the others.",
    )
    seeds: tuple[int, ...] = setting(
        (0,),
        "One run for each of these root seeds.",
        at_least=0,
        rules=(NOT_EMPTY, NO_REPETITION),
    )
    dry_run: bool = setting(False, "Check everything, print the plan with its cost, and stop.")
    figures: tuple[str, ...] = setting(
        ("overview",),
        "Figures to draw.",
        choices=FIGURES,
        rules=(NO_REPETITION,),
    )
    strategy: str = setting(
        "auto",
        "Devices: auto (all GPUs, else the CPU), cpu, mirrored, multi_worker (the hosts that the "
        "environment variable TF_CONFIG names), tpu.",
        choices=("auto", "cpu", "mirrored", "multi_worker", "tpu"),
    )
    tpu: str = setting("", "For --strategy=tpu: name of the TPU. Empty: the one of this VM.")
    tpu_zone: str = setting("", "For --strategy=tpu: zone of the TPU. Empty: as configured.")
    tpu_project: str = setting("", "For --strategy=tpu: project of the TPU. Empty: as configured.")
    num_logical_cpus: int = setting(
        1, "Split the CPU into this many devices, to try mirrored without a GPU.", at_least=1
    )
    deterministic: bool = setting(
        False,
        "Use deterministic kernels only: the same bits on every run, also on a GPU. It costs "
        "nothing measurable on a CPU (ratio 1.01); on a GPU some kernels are slower.",
    )
    keep_weights: str = setting(
        "upstream", "Stages whose final weights are stored.", choices=("upstream", "all")
    )
    require_fit: float = setting(
        0.0,
        "Train accuracy that every stage must reach whose labels are random, permuted or "
        "partly corrupted or whose inputs are corrupted; otherwise the run goes on to its end, "
        "says so and exits with status 4. 0: none.",
        at_least=0,
        at_most=1,
    )
    tensorboard: bool = setting(True, "Write TensorBoard files.")
    checkpoint_every: int = setting(
        500, "Steps between saves of an unfinished stage (at probe steps). 0: none.", at_least=0
    )
