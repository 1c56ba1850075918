import dataclasses

import numpy as np
import pytest

from rl_keras.data.label_table import label_table, labels_sha256, load_labels, save_labels
from rl_keras.data.labels import LabelMap
from rl_keras.errors import UsageError


class FakeSource:
    """Two splits without files; `true` of `None` plays a data set without labels."""

    name = "fake"

    def __init__(self, true=True, num_classes=5, ids=None):
        self.ids = ids if ids is not None else [f"train_{index}" for index in range(100)]
        self.true = np.arange(100) % num_classes if true else None

    def slice_of(self, spec):
        return tuple(("train", *map(int, part.split(":"))) for part in spec.split("+"))

    def identify(self, split):
        return np.array(self.ids, dtype=np.bytes_), self.true


PARTIAL = LabelMap("partial", 0, 5, 0.4)


@pytest.mark.parametrize("kind", ["true", "random", "partial", "permuted"])
def test_an_example_keeps_its_label_in_every_slice(kind):
    label_map = LabelMap(kind, 0, 5, 0.5 if kind == "partial" else 0.0)
    whole, part = (label_table(FakeSource(), spec, label_map) for spec in ("0:100", "40:50+10:20"))
    expected = dict(zip(whole.ids.tolist(), whole.given.tolist(), strict=True))
    assert part.ids[0] == b"train_40"
    assert part.ids[10] == b"train_10"
    assert [expected[identity] for identity in part.ids.tolist()] == part.given.tolist()


@pytest.mark.parametrize(
    ("label_map", "rate"),
    [
        (LabelMap("true", 0, 5), 0.0),
        (LabelMap("random", 0, 5), 0.8),
        (LabelMap("random", 0, 10), 0.9),
        (LabelMap("random", 0, 2), 1 - 0.4 / 2),
        (PARTIAL, 0.4 * 0.8),
        (LabelMap("partial", 0, 5, 0.4, "flip"), 0.4),
        (LabelMap("permuted", 0, 5), 0.8),
    ],
)
def test_rates(label_map, rate):
    table = label_table(FakeSource(), "0:100", label_map)
    assert table.nominal_rate == pytest.approx(rate)
    assert table.realised_rate == np.mean(table.given != np.arange(100) % 5)
    assert abs(table.realised_rate - rate) < 0.2


def test_without_true_labels_there_is_no_rate():
    table = label_table(FakeSource(true=False), "0:100", LabelMap("random", 0, 5))
    assert (table.true == -1).all()
    assert table.nominal_rate is None
    assert table.realised_rate is None


def test_checksum_ignores_order_and_sees_every_change():
    ids, given = np.array([b"a", b"bc", b"d"]), np.array([1, 2, 3])
    digest = labels_sha256(ids, given)
    assert digest == "27e81b0d87a5fb6cc2ed911ec9b04c73c876a2d90cce766fa3c5b192b67e40ba"
    assert digest == labels_sha256(ids[::-1], given[::-1])
    assert digest != labels_sha256(ids, np.array([1, 2, 4]))
    assert digest != labels_sha256(np.array([b"ab", b"c", b"d"]), given)


def test_saved_table_loads_equal(tmp_path):
    table = label_table(FakeSource(), "0:50", PARTIAL)
    save_labels(tmp_path / "labels.npz", table)
    loaded = load_labels(tmp_path / "labels.npz")
    for field in dataclasses.fields(table):
        assert np.array_equal(getattr(loaded, field.name), getattr(table, field.name))
    assert [path.name for path in tmp_path.iterdir()] == ["labels.npz"]


def test_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "labels.npz"
    save_labels(path, label_table(FakeSource(), "0:50", PARTIAL))
    before = path.read_bytes()
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        save_labels(path, label_table(FakeSource(), "0:60", PARTIAL))
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def rewrite(path, **changes):
    with np.load(path) as archive:
        arrays = dict(archive)
    for name, value in changes.items():
        if value is None:
            del arrays[name]
        else:
            arrays[name] = value
    np.savez(path, **arrays)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"given": np.zeros(50, np.int64)}, "does not match its SHA-256"),
        ({"given": np.zeros(50, np.int32)}, "'given' that is not int64"),
        ({"true": np.zeros(49, np.int64)}, "'true' that is not int64 of shape"),
        ({"true": None}, "cannot be read"),
        ({"ids": np.arange(50)}, "ids of type int64"),
        ({"ids": np.array([b"same"] * 50)}, "Received: 'same' 50 times"),
        ({"ids": np.array([b"x", None], dtype=object)}, "cannot be read"),
        ({"label_map": "{}"}, "cannot be read"),
        ({"label_map": "[]"}, "cannot be read"),
    ],
)
def test_tampered_file_is_refused(tmp_path, changes, text):
    path = tmp_path / "labels.npz"
    save_labels(path, label_table(FakeSource(), "0:50", PARTIAL))
    rewrite(path, **changes)
    with pytest.raises(UsageError, match=f"{text}.*labels.npz"):
        load_labels(path)


@pytest.mark.parametrize("content", [b"", b"no archive", "half", "flipped", "npy"])
def test_damaged_file_is_refused(tmp_path, content):
    path = tmp_path / "labels.npz"
    save_labels(path, label_table(FakeSource(), "0:50", PARTIAL))
    whole = path.read_bytes()
    if content == "npy":
        with open(path, "wb") as file:
            np.save(file, np.arange(3))
    elif content == "half":
        path.write_bytes(whole[: len(whole) // 2])
    elif content == "flipped":
        path.write_bytes(whole[:100] + bytes([whole[100] ^ 255]) + whole[101:])
    else:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=r"label file .*Delete it.*Received: .*labels.npz"):
        load_labels(path)


def test_absent_file_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"no label file.*labels.npz"):
        load_labels(tmp_path / "labels.npz")


def test_duplicate_ids_are_refused():
    source = FakeSource(ids=["twin"] * 2 + [f"train_{index}" for index in range(98)])
    with pytest.raises(UsageError, match="'twin' 2 times in slice '0:10' of data set 'fake'"):
        label_table(source, "0:10", PARTIAL)
