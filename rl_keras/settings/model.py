"""The network."""

from dataclasses import dataclass

from rl_keras.settings.setting import setting

OF_EVERY_MODEL = ("init_scale", "batch_normalization")
MODELS = {  # those that each builder takes besides
    "simple_cnn": ("filters", "kernel_size", "padding", "units", "dropout"),
    "mlp": ("widths", "dropout"),
    "cnn3": ("conv_filters", "kernel_size", "padding", "dense_units"),
    "vgg16": ("width", "last_width", "dense_units", "dropout"),
    "resnet18": ("stem", "width"),
    "wide_resnet": ("depth", "widen", "stem_filters", "stem_kernel_size"),
    "small_inception": ("width", "dropout"),
    "small_alexnet": ("width", "dropout"),
    "linear": ("random_filters", "kernel_size"),
}


@dataclass(frozen=True)
class ModelConfig:
    """The network; a setting that the chosen builder does not take is refused."""

    model: str = setting(
        "simple_cnn",
        "Model builder.",
        (
            *("simple_cnn", "mlp", "cnn3", "vgg16", "resnet18", "wide_resnet"),
            *("small_inception", "small_alexnet", "linear"),
        ),
    )
    filters: int = setting(256, "simple_cnn: filters of the convolution.", minimum=1)
    kernel_size: int = setting(
        3, "simple_cnn, cnn3, linear: side of the convolution kernels.", minimum=1
    )
    padding: str = setting("valid", "simple_cnn, cnn3: padding.", ("valid", "same"))
    units: int = setting(64, "simple_cnn: units of the dense layer.", minimum=1)
    widths: tuple[int, ...] = setting((2048, 256), "mlp: units of the hidden layers.", minimum=1)
    conv_filters: tuple[int, ...] = setting(
        (64, 128, 256), "cnn3: filters of the three convolutions.", minimum=1
    )
    dense_units: tuple[int, ...] = setting(
        (), "cnn3, vgg16: units of dense layers before the head. Empty: none.", minimum=1
    )
    width: float = setting(
        1.0, "vgg16, resnet18, small_inception, small_alexnet (and its units): factor on filters."
    )
    last_width: float = setting(
        1.0, "vgg16: further factor on the last block of convolutions and on --dense_units."
    )
    stem: str = setting(
        "imagenet",
        "resnet18: imagenet (7x7 with stride 2, max pooling) or cifar (3x3) as first layer.",
        ("imagenet", "cifar"),
    )
    depth: int = setting(28, "wide_resnet: layers, 6 n + 4 for n units a stage.", minimum=10)
    widen: int = setting(4, "wide_resnet: factor on the filters of the stages.", minimum=1)
    stem_filters: int = setting(16, "wide_resnet: filters of the first layer.", minimum=1)
    stem_kernel_size: int = setting(
        3, "wide_resnet: side of the first layer's kernel; 5 in Figure 3.", minimum=1
    )
    batch_normalization: str = setting(
        "auto",
        "Batch normalisation before each ReLU: none, local (each device alone) or synchronized "
        "(over all). auto: synchronized in residual networks and small_inception, else none.",
        ("auto", "none", "local", "synchronized"),
    )
    random_filters: int = setting(
        0,
        "linear: filters of a fixed random convolution, whose outputs are averaged over each "
        "quarter of the image. 0: the model sees the inputs themselves.",
        minimum=0,
    )
    dropout: float = setting(
        0.0,
        "simple_cnn, mlp, vgg16, small_alexnet: share of units dropped after each dense layer; "
        "vgg16 without any, small_inception: before the head. 0: none.",
    )
    init_scale: float = setting(
        1.0, "Kernels start with standard deviation init_scale * sqrt(2 / fan_in)."
    )
