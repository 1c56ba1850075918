"""Pictures and the closing table, drawn from a run folder alone: no TensorFlow, no training.

`FIGURES` is the one list of what `--figures` can draw. Each module has
`rows(run)`, the plotted numbers, and `draw(run)`, which writes them as
`figures/NAME.csv` beside `figures/NAME.png`.
"""

import importlib

# One module of the same name for each, loaded when it is drawn, as matplotlib is slow to load.
NAMES = (
    "overview",
    "initialisations",
    "transfer_speed",
    "misalignment",
    "transfer_function",
    "widths",
    "filters",
    "depths",
    "activations",
)
# These compare the variants of a run; of the others each variant gets one of its own.
ACROSS_VARIANTS = frozenset(
    {"transfer_speed", "misalignment", "transfer_function", "widths", "activations"}
)


def _draws(name):
    return lambda run: importlib.import_module(f"rl_keras.figures.{name}").draw(run)


FIGURES = {name: _draws(name) for name in NAMES}
