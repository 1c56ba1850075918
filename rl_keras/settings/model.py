"""The network: which models there are, and the settings that each of them takes."""

from dataclasses import dataclass

from rl_keras.settings.setting import Rule, setting

# A model is the function of its name in the module of its name in rl_keras/models. Here stands
# which settings it takes besides those of every model.
OF_EVERY_MODEL = ("init_scale",)
MODELS = {
    "simple_cnn": ("filters", "kernel_size", "padding", "units", "batch_normalization", "dropout"),
    "mlp": ("widths", "batch_normalization", "dropout"),
    "cnn3": ("conv_filters", "kernel_size", "padding", "dense_units", "batch_normalization"),
    "vgg16": ("width", "last_width", "dense_units", "batch_normalization", "dropout"),
    "resnet18": ("stem", "width", "batch_normalization"),
    "wide_resnet": ("depth", "widen", "stem_filters", "stem_kernel_size", "batch_normalization"),
    "small_inception": ("width", "batch_normalization", "dropout"),
    "small_alexnet": ("width", "batch_normalization", "dropout"),
    "linear": ("random_filters", "kernel_size"),
}


def models_that_take(name: str) -> tuple[str, ...]:
    """Returns the models that take a setting, none if it concerns every model.

    Example:
        >>> models_that_take("padding"), models_that_take("init_scale")
        (('simple_cnn', 'cnn3'), ())
    """
    return tuple(model for model, taken in MODELS.items() if name in taken)


@dataclass(frozen=True)
class ModelConfig:
    """The network; a setting that the chosen model does not take is refused."""

    model: str = setting("simple_cnn", "The network.", choices=tuple(MODELS))
    filters: int = setting(256, "Filters of the convolution.", at_least=1)
    kernel_size: int = setting(3, "Side of the convolution kernels.", at_least=1)
    padding: str = setting("valid", "Padding of the convolutions.", choices=("valid", "same"))
    units: int = setting(64, "Units of the dense layer.", at_least=1)
    widths: tuple[int, ...] = setting((2048, 256), "Units of the hidden layers.", at_least=1)
    conv_filters: tuple[int, ...] = setting(
        (64, 128, 256),
        "Filters of the three convolutions.",
        at_least=1,
        rules=(Rule("be three numbers", lambda filters: len(filters) == 3),),
    )
    dense_units: tuple[int, ...] = setting(
        (), "Units of dense layers before the head. Empty: none.", at_least=1
    )
    width: float = setting(
        1.0, "Factor on the filters of all convolutions; in small_alexnet on units too.", above=0
    )
    last_width: float = setting(
        1.0, "Further factor on the last block of convolutions and on --dense_units.", above=0
    )
    stem: str = setting(
        "imagenet",
        "First layer: imagenet (7x7 with stride 2, then max pooling) or cifar (3x3).",
        choices=("imagenet", "cifar"),
    )
    depth: int = setting(
        28,
        "Layers, 6 n + 4 for n units in each of three stages.",
        at_least=10,
        rules=(Rule("be 6 n + 4, such as 10, 16, 22 or 28", lambda depth: depth % 6 == 4),),
    )
    widen: int = setting(4, "Factor on the filters of the stages.", at_least=1)
    stem_filters: int = setting(16, "Filters of the first layer.", at_least=1)
    stem_kernel_size: int = setting(
        3, "Side of the first layer's kernel; 5 in Figure 3 of Maennel et al.", at_least=1
    )
    batch_normalization: str = setting(
        "auto",
        "Batch normalisation before each ReLU: none, local (each device alone) or synchronized "
        "(over all). auto: synchronized in residual networks and small_inception, else none.",
        choices=("auto", "none", "local", "synchronized"),
    )
    random_filters: int = setting(
        0,
        "Filters of a fixed random convolution, whose outputs are averaged over each quarter of "
        "the image. 0: the model sees the inputs themselves.",
        at_least=0,
    )
    dropout: float = setting(
        0.0,
        "Share of units dropped after each dense layer; before the head in small_inception, and "
        "in vgg16 without dense layers. 0: none.",
        at_least=0,
        below=1,
    )
    init_scale: float = setting(
        1.0, "Kernels start with standard deviation init_scale * sqrt(2 / fan_in).", above=0
    )
