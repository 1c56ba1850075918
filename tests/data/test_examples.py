import numpy as np
import pytest
import tensorflow_datasets as tfds

from rl_keras.data.examples import decoded_bytes, load_examples


def test_size_is_known_before_decoding(tiny):
    assert decoded_bytes(tiny, "train[:50%]+test") == 90 * 8 * 8 * 3
    assert load_examples(tiny, "train[:50%]+test").images.nbytes == 90 * 8 * 8 * 3


def test_images_and_labels_are_those_of_tfds(tiny, tiny_dir):
    builder = tfds.builder("tiny_colour", data_dir=tiny_dir)
    config = tfds.ReadConfig(add_tfds_id=True)
    rows = builder.as_dataset(split="train", read_config=config).as_numpy_iterator()
    expected = {row["tfds_id"]: row for row in rows}
    examples = load_examples(tiny, "train")
    assert len(examples.ids) == len(expected) == 120
    for index, identity in enumerate(examples.ids.tolist()):
        assert (examples.images[index] == expected[identity]["image"]).all()
        assert examples.true[index] == expected[identity]["label"]


@pytest.mark.parametrize("spec", ["train[10:70]", "train[100:]+train[:7]", "test[5:]+train[3:4]"])
def test_slices_are_rows_of_the_whole(tiny, spec):
    whole = {split: load_examples(tiny, split) for split in tiny.splits}
    part = load_examples(tiny, spec)
    for name in ("images", "ids", "true"):
        expected = [
            getattr(whole[split], name)[start:stop] for split, start, stop in tiny.slice_of(spec)
        ]
        assert np.array_equal(getattr(part, name), np.concatenate(expected))


def test_limit_takes_the_first(tiny):
    first, whole = load_examples(tiny, "test+train", limit=40), load_examples(tiny, "test+train")
    assert len(first.images) == len(first.ids) == len(first.true) == 40
    assert (first.images == whole.images[:40]).all()
    assert (first.ids == whole.ids[:40]).all()
    assert len(load_examples(tiny, "test", limit=1000).ids) == 30
