import types

import pytest

from rl_keras.data.slices import check_disjoint, num_examples, resolve_slice
from rl_keras.errors import UsageError

INFOS = {
    "train": types.SimpleNamespace(num_examples=50_000, shard_lengths=[30_000, 20_000]),
    "test": types.SimpleNamespace(num_examples=999, shard_lengths=[999]),
}
SOURCE = types.SimpleNamespace(slice_of=lambda spec: resolve_slice(spec, INFOS))


@pytest.mark.parametrize(
    ("spec", "ranges"),
    [
        ("train", (("train", 0, 50_000),)),
        ("train[:40%]", (("train", 0, 20_000),)),
        ("train[4000:8000]", (("train", 4000, 8000),)),
        ("train[-10:]", (("train", 49_990, 50_000),)),
        ("train[:-10]", (("train", 0, 49_990),)),
        ("test[50%:]", (("test", 500, 999),)),
        ("train[:1shard]", (("train", 0, 30_000),)),
        ("train[:10%]+train[50%:60%]", (("train", 0, 5000), ("train", 25_000, 30_000))),
        ("test+train[:1]", (("test", 0, 999), ("train", 0, 1))),
    ],
)
def test_ranges(spec, ranges):
    assert resolve_slice(spec, INFOS) == ranges
    assert num_examples(SOURCE, spec) == sum(stop - start for _, start, stop in ranges)


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ("valid", "Unknown split 'valid'.*train"),
        ("train[", "Unrecognized split format"),
        ("", "Unrecognized split format"),
        ("train[:50001]", "incompatible with 50000 examples"),
        ("train[:150%]", "percent slice boundaries"),
        ("train[10:10]", r"no examples of split 'train' \(10 to 10\)"),
        ("train[60%:40%]", "no examples of split 'train'"),
        ("test+train[:0]", r"no examples of split 'train' \(0 to 0\)"),
    ],
)
def test_bad_slices_are_refused(spec, text):
    with pytest.raises(UsageError, match=text) as caught:
        resolve_slice(spec, INFOS)
    message = str(caught.value)
    assert message.endswith(f"Received: {spec!r}")
    assert "train (50000), test (999)" in message
    assert "\n" not in message


def test_disjoint_slices_pass():
    check_disjoint(
        SOURCE,
        {"upstream_split": "train[:40%]", "downstream_split": "train[40%:]", "test_split": "test"},
    )


@pytest.mark.parametrize(
    ("upstream", "downstream", "shared"),
    [
        ("train[:40%]", "train[30%:70%]", r"train\[15000:20000\], 5000 of them"),
        ("train", "train", r"train\[0:50000\], 50000 of them"),
        ("train[:10]", "test+train[9:20]", r"train\[9:10\], 1 of them"),
    ],
)
def test_overlap_is_refused(upstream, downstream, shared):
    specs = {"upstream_split": upstream, "downstream_split": downstream}
    with pytest.raises(UsageError, match=shared) as caught:
        check_disjoint(SOURCE, specs)
    for flag, spec in specs.items():
        assert f"--{flag}={spec}" in str(caught.value)


def test_slice_that_overlaps_itself_is_refused():
    with pytest.raises(UsageError, match=r"train\[5:10\], 5 of them"):
        check_disjoint(SOURCE, {"upstream_split": "train[:10]+train[5:20]"})


def test_bad_slice_names_its_flag():
    with pytest.raises(UsageError, match="--test_split: Unknown split 'tset'"):
        check_disjoint(SOURCE, {"upstream_split": "train", "test_split": "tset"})
