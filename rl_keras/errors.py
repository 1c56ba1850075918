"""Exceptions that mean "this can be put right", as opposed to "we have a bug"."""


class UsageError(ValueError):
    """Something the user can put right: a flag, a data set, a folder.

    The message is one line: what is wrong, what was expected, which flag to
    change and what was received. `main.py` prints it without a traceback and
    exits with status 2.

    Example:
        >>> raise UsageError("--batch_size must be positive. Received: 0")
        Traceback (most recent call last):
        rl_keras.errors.UsageError: --batch_size must be positive. Received: 0
    """

    status = 2  # of the process

    def __init__(self, message: str):
        super().__init__(" ".join(str(message).split()))


class TrainingError(UsageError):
    """Training cannot go on, such as after a loss of NaN; what was finished is kept."""

    status = 3


class NotFittedError(UsageError):
    """A run went to its end, but a network did not fit what it had to memorise."""

    status = 4


class Preempted(Exception):
    """The machine asked for an end; the state is saved and the same command goes on."""

    status = 75  # EX_TEMPFAIL: try again later
