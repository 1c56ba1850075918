"""Ends a run in good order when the machine is about to be taken away."""

import signal
import threading
from collections.abc import Callable


def stop_on_sigterm() -> Callable[[], bool]:
    """Turns SIGTERM into a request to save and stop, and returns what asks for it.

    Signals can be handled in the main thread only; elsewhere nothing is installed.
    """
    requested = threading.Event()
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda *_: requested.set())
    return requested.is_set
