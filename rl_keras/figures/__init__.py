"""Pictures, drawn from a run folder alone: no TensorFlow, no training.

What `--figures` can draw is listed in `settings.run.FIGURES`, and each has a module of its name
with two functions of a `RunDirectory`:

    rows(run)  the plotted numbers, one dictionary for each point, all with the same keys
    draw(run)  writes them as `figures/NAME.csv` beside `figures/NAME.png`; returns both
               paths, and notes on what is missing

Both take what is finished, and raise `UsageError` if that is nothing.
"""

import importlib

from rl_keras.settings.run import FIGURES as NAMES

# These compare the variants of a run; of the others each variant gets one of its own.
ACROSS_VARIANTS = frozenset(
    {
        "transfer_speed",
        "misalignment",
        "transfer_function",
        "widths",
        "activations",
        "proposition1",
        "memorisation",
        "feature_alignment",
        "similarity",
        "energy_profile",
        "label_noise",
        "corruption",
        "convergence",
        "interpolation",
        "regularizers",
        "early_stopping",
    }
)


def _draws(name):
    # Loaded when it is drawn, as matplotlib is slow to load.
    return lambda run: importlib.import_module(f"rl_keras.figures.{name}").draw(run)


FIGURES = {name: _draws(name) for name in NAMES}
