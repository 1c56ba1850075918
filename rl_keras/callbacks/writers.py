"""Where measurements go: a list for `metrics.jsonl`, and TensorBoard."""

import contextlib
import warnings

import numpy as np

from rl_keras.storage.cloud import SCHEME
from rl_keras.storage.files import folder

_HISTOGRAM_VALUES = 10_000  # a histogram of 10,000 values takes two milliseconds
_CLOUD_QUEUE = 1000  # summaries that wait for the next upload, at most two minutes


class MetricLog:
    """Keeps scalars as rows `{"step", "name", "value"}` in the order in which they came.

    Example:
        >>> log = MetricLog()
        >>> log.scalar(20, "accuracy", 0.5)
        >>> log.rows
        [{'step': 20, 'name': 'accuracy', 'value': 0.5}]
    """

    def __init__(self):
        self.rows: list[dict] = []

    def scalar(self, step: int, name: str, value: float) -> None:
        self.rows.append({"step": int(step), "name": name, "value": float(value)})


class TensorBoardWriter:
    """Writes summaries of one run, with optimiser steps on the x axis.

    Args:
        log_dir: folder of the run, local or under `gs://`; the file is created
            with the first summary.
    """

    def __init__(self, log_dir):
        self.log_dir = str(log_dir)
        self._writer = None
        self._failed = False

    def scalar(self, step: int, name: str, value: float) -> None:
        self._write(lambda summary: summary.scalar(name, value, step=step))

    def histogram(self, step: int, name: str, values) -> None:
        """Writes a histogram of at most 10,000 evenly spaced values."""
        flat = np.ravel(values)
        flat = flat[:: max(1, len(flat) // _HISTOGRAM_VALUES)]
        self._write(lambda summary: summary.histogram(name, flat, step=step))

    def image(self, step: int, name: str, image: np.ndarray) -> None:
        """Writes an image `(height, width, channels)` with values in `[0, 1]`."""
        self._write(lambda summary: summary.image(name, image[np.newaxis], step=step))

    def text(self, step: int, name: str, text: str) -> None:
        self._write(lambda summary: summary.text(name, text, step=step))

    def hparams(self, values: dict, session: str) -> None:
        """Writes settings for the HParams tab, under a name that is the same on a rerun."""
        from tensorboard.plugins.hparams import api

        self._write(lambda summary: api.hparams(values, trial_id=session))

    def hparams_columns(self, names, metrics) -> None:
        """Writes which settings and which scalars the HParams table shows."""
        from tensorboard.plugins.hparams import api

        hparams = [api.HParam(name) for name in names]
        columns = [api.Metric(metric) for metric in metrics]
        self._write(lambda summary: api.hparams_config(hparams=hparams, metrics=columns))

    def clear(self) -> None:
        """Removes summaries of an earlier, unfinished attempt at the same run."""
        for path in folder(self.log_dir, "workdir").glob("events.out.tfevents.*"):
            path.unlink()

    def close(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            try:
                writer.close()
            except Exception as error:
                self._give_up(error)

    def _write(self, call):
        if self._failed:
            return
        import tensorflow as tf

        try:
            if self._writer is None:
                options = {"max_queue": _CLOUD_QUEUE} if self.log_dir.startswith(SCHEME) else {}
                self._writer = tf.summary.create_file_writer(self.log_dir, **options)
            # record_if: Keras switches recording off between its own summaries.
            with self._as_default(tf.summary), tf.summary.record_if(True):
                call(tf.summary)
        except Exception as error:
            self._give_up(error)

    @contextlib.contextmanager
    def _as_default(self, summary):
        if not self.log_dir.startswith(SCHEME):
            with self._writer.as_default():
                yield
            return
        # Leaving `as_default` flushes, and a flush sends the whole file again to an object
        # store. The writer of nothing has nothing to flush, and restores what was before.
        with summary.create_noop_writer().as_default():
            self._writer.set_as_default()
            yield

    def _give_up(self, error):
        """Goes on without: pictures of a run are not worth the run."""
        self._failed = True
        warnings.warn(
            f"TensorBoard files in {self.log_dir} end here; training goes on. {error}",
            stacklevel=4,
        )


def image_grid(rows: np.ndarray, shape: tuple[int, int, int], zoom: int = 8) -> np.ndarray:
    """Lays filters or eigenvectors out as one picture.

    Args:
        rows: `(n, height * width * channels)`, in the order of `kernel_to_rows`.
        shape: `(height, width, channels)` of each; 1 or 3 channels.
        zoom: pixels for each entry.

    Returns:
        float64 `(rows of tiles, columns of tiles, channels)` in `[0, 1]`, each
        tile scaled on its own so that 0 is mid-grey.

    Example:
        >>> image_grid(np.zeros((4, 9)), (3, 3, 1), zoom=1).shape
        (8, 8, 1)
    """
    columns = int(np.ceil(np.sqrt(len(rows))))
    lines = int(np.ceil(len(rows) / columns))
    height, width, channels = shape
    peak = np.abs(rows).max(axis=1, keepdims=True)
    tiles = 0.5 + 0.5 * rows / np.where(peak > 0, peak, 1.0)
    tiles = tiles.reshape(-1, height, width, channels).repeat(zoom, 1).repeat(zoom, 2)
    picture = np.ones((lines * (height * zoom + 1), columns * (width * zoom + 1), channels))
    for number, tile in enumerate(tiles):
        top = (number // columns) * (height * zoom + 1)
        left = (number % columns) * (width * zoom + 1)
        picture[top : top + height * zoom, left : left + width * zoom] = tile
    return picture
