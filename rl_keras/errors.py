"""The one exception that means "the input is wrong", as opposed to "we have a bug"."""


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

    def __init__(self, message: str):
        super().__init__(" ".join(str(message).split()))
