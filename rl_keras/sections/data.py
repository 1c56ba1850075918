"""Which examples, and how they are brought into shape."""

from dataclasses import dataclass

from rl_keras.sections.setting import setting

SCALINGS = ("standardize", "minus_one_one", "per_image", "none")


@dataclass(frozen=True)
class DataConfig:
    """Which examples, and how they are scaled; the same for every arm."""

    dataset: str = setting(
        "natural_patches", "natural_patches (embedded), gaussian, or any TFDS image set by name."
    )
    data_dir: str = setting("", "Folder of prepared TFDS data. Empty: the TFDS default.")
    download: bool = setting(False, "Let TFDS download and prepare the data set first.")
    test_split: str = setting("test", "TFDS slice on which test accuracy is measured.")
    scaling: str = setting(
        "standardize",
        "Input scaling: standardize (per channel over the upstream slice), minus_one_one, "
        "per_image, none.",
        SCALINGS,
    )
    scaling_examples: int = setting(
        0,
        "Scaling standardize: how many of the upstream slice's first examples it looks at. 0: all.",
        minimum=0,
    )
    image_size: int = setting(
        0,
        "Side of the square to which images are brought: the shorter side is resized to 8/7 of it, "
        "then the centre is cropped. 0: images as they are.",
        minimum=0,
    )
    gaussian_variances: tuple[float, ...] = setting(
        (), "For --dataset=gaussian: the variance of each input dimension."
    )
    gaussian_rotation: int = setting(
        0,
        "For --dataset=gaussian: seed of a random orthonormal basis along which the variances lie. "
        "0: along the inputs themselves.",
        minimum=0,
    )
    gaussian_examples: int = setting(
        4000, "For --dataset=gaussian: examples in the split train.", minimum=1
    )
    max_resident_mb: int = setting(
        2000, "Slices that decode to more than this are streamed.", minimum=0
    )
    shuffle_buffer: int = setting(
        10_000, "Examples in the shuffle buffer of a streamed slice.", minimum=1
    )
