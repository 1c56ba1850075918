import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from rl_keras.callbacks.writers import TensorBoardWriter, image_grid


def test_tensorboard_holds_every_kind_at_its_step(tmp_path):
    writer = TensorBoardWriter(tmp_path)
    writer.scalar(20, "a/b", 0.5)
    writer.histogram(20, "conv1/kernel", np.linspace(-1, 1, 50_000))
    writer.image(20, "filters", np.zeros((4, 5, 3)))
    writer.text(0, "settings", "    --seeds=0")
    writer.hparams({"seed": 0}, session="one")
    writer.close()
    events = EventAccumulator(str(tmp_path)).Reload()
    tags = set(events.Tags()["tensors"])
    assert {"a/b", "conv1/kernel", "filters", "settings"} <= tags
    assert [event.step for event in events.Tensors("a/b")] == [20]


def test_clear_removes_an_earlier_attempt(tmp_path):
    for _ in range(2):
        writer = TensorBoardWriter(tmp_path)
        writer.clear()
        writer.scalar(1, "a", 1.0)
        writer.close()
    assert len(list(tmp_path.glob("events*"))) == 1


def test_nothing_is_written_before_the_first_summary(tmp_path):
    TensorBoardWriter(tmp_path / "run").close()
    assert not (tmp_path / "run").exists()


def test_image_grid_puts_each_row_in_its_tile():
    rows = np.array([[1.0, -1.0, 0.0, 0.5], [0.0, 0.0, 0.0, 0.0]])
    picture = image_grid(rows, (2, 2, 1), zoom=1)
    np.testing.assert_allclose(picture[:2, :2, 0], [[1.0, 0.0], [0.5, 0.75]])
    np.testing.assert_allclose(picture[:2, 3:5, 0], 0.5)
    assert picture.min() >= 0 and picture.max() <= 1


@pytest.mark.parametrize("zoom", [1, 3])
def test_image_grid_keeps_the_order_of_rows_and_channels(zoom):
    row = np.arange(1.0, 13.0)
    tile = image_grid(row[np.newaxis], (2, 2, 3), zoom)[:: max(zoom, 1)]
    np.testing.assert_allclose(tile[0, 0], 0.5 + 0.5 * row[:3] / 12)
    np.testing.assert_allclose(tile[1, 0], 0.5 + 0.5 * row[6:9] / 12)
