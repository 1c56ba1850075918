"""Watches over a stage: saves its state, stops on request, refuses a loss that is not finite."""

import math
from collections.abc import Callable

import keras


class DivergedError(ArithmeticError):
    """The loss became NaN or infinite; `step` says when."""

    def __init__(self, step: int):
        super().__init__(f"the loss is not finite at step {step}")
        self.step = step


class StageGuard(keras.callbacks.Callback):
    """Saves the state of a stage now and then, after the measurements of that step.

    Args:
        save: called with the step to save the state.
        every: steps between two saves; 0 for none but on request.
        boundary: saves wait for the next multiple of this, where the running
            mean of the loss starts anew, so that it need not be saved.
        num_steps: steps of the stage; its end is stored elsewhere.
        stop_requested: asked at each boundary, so that several workers can
            answer together; when it says yes, the state is saved and training stops.

    Attributes:
        stopped: whether training stopped on request.
    """

    def __init__(
        self,
        save: Callable[[int], None],
        every: int,
        boundary: int,
        num_steps: int,
        stop_requested: Callable[[], bool] = lambda: False,
    ):
        super().__init__()
        self.save = save
        self.every = every
        self.boundary = boundary
        self.num_steps = num_steps
        self.stop_requested = stop_requested
        self.stopped = False

    def on_train_begin(self, logs=None):
        self._saved = int(self.model.optimizer.iterations.numpy())

    def on_train_batch_end(self, batch, logs=None):
        step = int(self.model.optimizer.iterations.numpy())
        if not math.isfinite(logs["loss"]):
            raise DivergedError(step)
        if step % self.boundary or step >= self.num_steps:
            return
        stop = self.stop_requested()
        due = self.every and step // self.every > self._saved // self.every
        if not (due or stop):
            return
        self.save(step)
        self._saved = step
        if stop:
            self.stopped = True
            self.model.stop_training = True
