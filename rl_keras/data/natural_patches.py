"""`natural_patches`: a data set of real photographs that needs no download.

Small colour crops of the seven photographs that ship inside the scikit-image
wheel, as a TFDS builder like any other. It is for first runs and for tests; it
has the patch statistics of natural images and nothing of the scale of CIFAR-10.

| File                  | Source                                     | scikit-image on the licence |
|-----------------------|--------------------------------------------|-----------------------------|
| astronaut.png         | NASA Great Images                          | public domain               |
| chelsea.png           | Stefan van der Walt                        | CC0 by the photographer     |
| coffee.png            | Rachel Michetti, Pikolo Espresso Bar       | CC0 by the photographer     |
| hubble_deep_field.jpg | NASA, HubbleSite                           | free use, public domain     |
| ihc.png               | Center for Microscopy and Mol. Imaging     | no known restrictions       |
| retina.jpg            | Mikael Häggström, Wikimedia Commons        | CC0 1.0                     |
| rocket.jpg            | SpaceX                                     | released to public domain   |

`motorcycle_left.png` and its twin are left out: their licence is not stated.

Each photograph is a class. It is cut into tiles; about every sixth tile is for
testing, and a crop never leaves its tile, so no pixel is in both splits.
"""

import hashlib
import pathlib

import numpy as np
import tensorflow_datasets as tfds

PHOTOGRAPHS = (
    "astronaut.png",
    "chelsea.png",
    "coffee.png",
    "hubble_deep_field.jpg",
    "ihc.png",
    "retina.jpg",
    "rocket.jpg",
)
CROP_SIZE = 32
TILE_SIZE = 64
STRIDE = 8
# In grey levels. Below lie clear sky, the black rim of the retina and little else to learn from. No
# crop that matters is within 0.01 of it, so JPEG decoders that round differently choose the same.
MIN_CONTRAST = 3.315
NUM_CROPS = {"train": 500, "test": 100}


class NaturalPatches(tfds.core.GeneratorBasedBuilder):
    """Crops of `(32, 32, 3)` uint8 from seven photographs; the photograph is the class.

    Features: `id` (text, such as `train/coffee/0064_0128`, the crop's top and left),
    `image` and `label`. Both splits are balanced: 500 and 100 crops a photograph.

    Example:
        >>> builder = NaturalPatches(data_dir="/tmp/data")
        >>> builder.download_and_prepare()
        >>> builder.info.splits["train"].num_examples
        3500
    """

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        names = [pathlib.Path(photograph).stem for photograph in PHOTOGRAPHS]
        return self.dataset_info_from_configs(
            description="32x32 crops of the photographs inside scikit-image.",
            features=tfds.features.FeaturesDict(
                {
                    "id": tfds.features.Text(),
                    "image": tfds.features.Image(shape=(CROP_SIZE, CROP_SIZE, 3)),
                    "label": tfds.features.ClassLabel(names=names),
                }
            ),
            supervised_keys=("image", "label"),
        )

    def _split_generators(self, dl_manager):
        del dl_manager  # nothing is downloaded
        return {split: self._generate_examples(split) for split in NUM_CROPS}

    def _generate_examples(self, split):
        for photograph in PHOTOGRAPHS:
            name = pathlib.Path(photograph).stem
            for identity, crop in choose_crops(read_photograph(photograph), name, split):
                yield identity, {"id": identity, "image": crop, "label": name}


def read_photograph(file_name):
    """Returns a photograph from scikit-image's own folder as `(h, w, 3)` uint8."""
    import skimage
    from PIL import Image  # comes with scikit-image

    with Image.open(pathlib.Path(skimage.data_dir) / file_name) as image:
        return np.asarray(image.convert("RGB"))


def choose_crops(photograph, name, split):
    """Returns the crops of one photograph in one split.

    Which of the candidates are taken depends on a hash of their names, so it
    needs no random number generator and never changes.

    Args:
        photograph: uint8 array `(h, w, 3)`.
        name: the class, part of each crop's identity.
        split: `"train"` or `"test"`.

    Returns:
        A list of pairs of identity and uint8 array `(32, 32, 3)`.

    Raises:
        RuntimeError: fewer crops with enough contrast than the split needs.
    """
    candidates = {}
    for top, left in _crop_corners(photograph.shape, split):
        crop = photograph[top : top + CROP_SIZE, left : left + CROP_SIZE]
        if crop.std(axis=(0, 1)).mean() >= MIN_CONTRAST:
            candidates[f"{split}/{name}/{top:04d}_{left:04d}"] = crop
    if len(candidates) < NUM_CROPS[split]:
        raise RuntimeError(
            f"Photograph {name!r} has {len(candidates)} crops with enough contrast for split "
            f"{split!r}; {NUM_CROPS[split]} are needed. Is this another version of scikit-image?"
        )
    ranked = sorted(candidates, key=lambda identity: hashlib.sha256(identity.encode()).digest())
    return [(identity, candidates[identity]) for identity in ranked[: NUM_CROPS[split]]]


def _crop_corners(shape, split):
    offsets = range(0, TILE_SIZE - CROP_SIZE + 1, STRIDE)
    for row in range(shape[0] // TILE_SIZE):
        for column in range(shape[1] // TILE_SIZE):
            # Staggered, so that test tiles come from everywhere in the photograph.
            is_test = (column + 3 * row) % 6 == 0
            if is_test == (split == "test"):
                for down in offsets:
                    for right in offsets:
                        yield row * TILE_SIZE + down, column * TILE_SIZE + right
