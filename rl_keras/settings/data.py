"""Which examples a run uses, and how they are cropped, corrupted and scaled."""

from dataclasses import dataclass

from rl_keras.settings.setting import setting

SCALINGS = ("standardize", "minus_one_one", "per_image", "none")
INPUT_CORRUPTIONS = ("none", "shuffled_pixels", "random_pixels", "gaussian")
SYNTHETIC = "gaussian"  # a data set that is drawn, not read: vectors without true labels


@dataclass(frozen=True)
class DataConfig:
    """Which examples, and how they are cropped, corrupted and scaled; the same for every arm."""

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
        choices=SCALINGS,
    )
    scaling_examples: int = setting(
        0,
        "Scaling standardize: how many of the upstream slice's first examples it looks at. 0: all.",
        at_least=0,
    )
    image_size: int = setting(
        0,
        "Side of the square to which images are brought: the shorter side is resized to 8/7 of it, "
        "then the centre is cropped. 0: images as they are.",
        at_least=0,
    )
    crop_size: int = setting(
        0,
        "Side of the central square of each image that is used, after any --image_size; Zhang et "
        "al. take 28 of CIFAR-10. 0: whole images.",
        at_least=0,
    )
    input_corruption: str = setting(
        "none",
        "What becomes of the (cropped) images before scaling, in training and test: "
        "shuffled_pixels (one permutation for all), random_pixels (one for each image), gaussian "
        "(pixels drawn with mean and standard deviation of each channel of the upstream slice, "
        "in 8 bits).",
        choices=INPUT_CORRUPTIONS,
    )
    input_corruption_channels: str = setting(
        "together",
        "shuffled_pixels, random_pixels: do the colours of a pixel move together, or each value "
        "apart?",
        choices=("together", "apart"),
    )
    input_corruption_seed: int = setting(
        0,
        "Of permutations and drawn pixels, which all --seeds share, as they share the images.",
        at_least=0,
    )
    gaussian_variances: tuple[float, ...] = setting(
        (), "For --dataset=gaussian: the variance of each input dimension.", above=0
    )
    gaussian_counts: tuple[int, ...] = setting(
        (),
        "For --dataset=gaussian: how many input dimensions have each of --gaussian_variances; 9,1 "
        "with 16,1008 are spiked covariates. Empty: one each.",
        at_least=1,
    )
    gaussian_rotation: int = setting(
        0,
        "For --dataset=gaussian: seed of a random orthonormal basis along which the variances lie. "
        "0: along the inputs themselves.",
        at_least=0,
    )
    gaussian_examples: int = setting(
        4000, "For --dataset=gaussian: examples in the split train.", at_least=1
    )
    max_resident_mb: int = setting(
        2000, "Slices that decode to more than this are streamed.", at_least=0
    )
    shuffle_buffer: int = setting(
        10_000, "Examples in the shuffle buffer of a streamed slice.", at_least=1
    )

    @property
    def is_synthetic(self) -> bool:
        """Whether the examples are drawn vectors of a known covariance, not images."""
        return self.dataset == SYNTHETIC

    @property
    def input_variances(self) -> tuple[float, ...]:
        """The variance of each input dimension of --dataset=gaussian."""
        counts = self.gaussian_counts or (1,) * len(self.gaussian_variances)
        pairs = zip(self.gaussian_variances, counts, strict=True)
        return tuple(variance for variance, count in pairs for _ in range(count))
