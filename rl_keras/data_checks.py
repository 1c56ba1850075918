"""Checks of the settings of section `data`, and of what stages do to its images."""

from rl_keras.config import ExperimentConfig
from rl_keras.errors import UsageError


def check_data(config: ExperimentConfig) -> None:
    """Refuses contradictions between settings of the data.

    Raises:
        UsageError: with one line of text.
    """
    _check_dataset(config)
    _check_inputs(config)


def _check_dataset(config):
    data = config.data
    if data.dataset == "gaussian":
        if not data.gaussian_variances:
            raise UsageError(
                "--dataset=gaussian needs --gaussian_variances, one for each input dimension. "
                "Received: none"
            )
        if data.scaling != "none":
            raise UsageError(
                "--dataset=gaussian has its scale in --gaussian_variances and needs "
                f"--scaling=none. Received: {data.scaling}"
            )
        for flag, nothing in (("image_size", 0), ("crop_size", 0), ("input_corruption", "none")):
            if getattr(data, flag) != nothing:
                raise UsageError(
                    f"--{flag} has no effect on --dataset=gaussian, whose examples are vectors; "
                    f"remove it. Received: {getattr(data, flag)}"
                )
    else:
        for flag in ("gaussian_variances", "gaussian_counts", "gaussian_rotation"):
            if getattr(data, flag):
                raise UsageError(
                    f"--{flag} has no effect without --dataset=gaussian. "
                    f"Received: --dataset={data.dataset}"
                )
    if any(variance <= 0 for variance in data.gaussian_variances):
        raise UsageError(
            f"--gaussian_variances must be positive. Received: {min(data.gaussian_variances)}"
        )
    if data.gaussian_counts and len(data.gaussian_counts) != len(data.gaussian_variances):
        raise UsageError(
            "--gaussian_counts must have a number for each of the "
            f"{len(data.gaussian_variances)} --gaussian_variances. "
            f"Received: {len(data.gaussian_counts)}"
        )


def _check_inputs(config):
    data = config.data
    if data.crop_size > data.image_size > 0:
        raise UsageError(
            f"--crop_size must not exceed --image_size={data.image_size}. "
            f"Received: {data.crop_size}"
        )
    permutes = data.input_corruption in ("shuffled_pixels", "random_pixels")
    if data.input_corruption_channels == "apart" and not permutes:
        raise UsageError(
            "--input_corruption_channels=apart has an effect only with --input_corruption="
            f"shuffled_pixels or random_pixels. Received: {data.input_corruption}"
        )
    if data.input_corruption_seed and data.input_corruption == "none":
        raise UsageError(
            "--input_corruption_seed has no effect without --input_corruption. "
            f"Received: {data.input_corruption_seed}"
        )
    for prefix in ("upstream", "downstream"):
        kind = getattr(config, prefix).augmentation
        if kind != "none" and not data.crop_size:
            raise UsageError(
                f"--{prefix}_augmentation={kind} needs --crop_size, the side of the squares that "
                "it cuts out. Received: --crop_size=0"
            )
        if kind != "none" and data.input_corruption != "none":
            raise UsageError(
                f"--{prefix}_augmentation={kind} would act on corrupted images; set it or "
                f"--input_corruption to none. Received: --input_corruption={data.input_corruption}"
            )
