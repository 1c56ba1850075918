"""Pictures and the closing table, drawn from a run folder alone: no TensorFlow, no training.

`FIGURES` is the one list of what `--figures` can draw. Each module has
`rows(run)`, the plotted numbers, and `draw(run)`, which writes them as
`figures/NAME.csv` beside `figures/NAME.png`.
"""


def _overview(run):
    from rl_keras.figures import overview  # here, so that matplotlib loads only to draw

    return overview.draw(run)


def _initialisations(run):
    from rl_keras.figures import initialisations

    return initialisations.draw(run)


FIGURES = {"overview": _overview, "initialisations": _initialisations}
