"""Sizes and names of the larger networks, each count from a formula and as a number."""

import itertools

import keras
import numpy as np
import pytest

from rl_keras.callbacks.layers import alignable_layers
from rl_keras.models import cnn3, resnet18, vgg16, wide_resnet


def trainable(model):
    return sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)


def with_bias(sizes, kernel=9):
    """Counts a chain of convolutions (or dense layers, kernel 1) with biases."""
    return sum(kernel * a * b + b for a, b in itertools.pairwise(sizes))


def residual(stem, filters, units, head=10):
    """Counts the trained parameters of the stages, the last normalisation and the head.

    A unit of b filters after a: normalisation (2 a), 3x3 convolution (9 a b),
    normalisation (2 b), 3x3 convolution (9 b b), and a shortcut (a b) if sizes change.
    """
    total, before = 0, stem
    for stage, after in enumerate(filters):
        for unit in range(units):
            total += 2 * before + 9 * before * after + 2 * after + 9 * after * after
            if unit == 0 and (stage > 0 or before != after):
                total += before * after
            before = after
    return total + 2 * before + before * head + head


VGG16 = [64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512]


def test_vgg16_has_the_papers_parameters():
    assert vgg16().count_params() == 14_719_818
    assert with_bias([3, *VGG16]) + with_bias([512, 10], 1) == 14_719_818
    # With batch normalisation scale, shift, mean and variance take the place of the bias.
    normalized = vgg16(batch_normalization="synchronized").count_params()
    assert normalized == 14_719_818 + 3 * sum(VGG16) == 14_732_490


def test_vgg16_widths():
    quarter = [number // 4 for number in VGG16]
    assert vgg16(width=0.25).count_params() == 922_074
    assert with_bias([3, *quarter]) + with_bias([128, 10], 1) == 922_074
    wide = [*quarter[:-3], *(256, 256, 256)]
    model = vgg16(width=0.25, last_width=2.0, dense_units=(20, 9))
    assert model.count_params() == with_bias([3, *wide]) + with_bias([256, 40, 18, 10], 1)
    assert model.count_params() == 1_964_568
    assert vgg16(width=0.001).get_layer("block5_conv3").kernel.shape == (3, 3, 1, 1)


def test_cnn3_parameters():
    assert cnn3().count_params() == 393_866
    assert with_bias([3, 64, 128, 256]) + with_bias([3 * 3 * 256, 10], 1) == 393_866
    model = cnn3(
        (8, 8, 1), 4, conv_filters=(2, 3, 5), kernel_size=5, padding="same", dense_units=(7,)
    )
    assert model.count_params() == with_bias([1, 2, 3, 5], 25) + with_bias([5, 7, 4], 1) == 659


# The standard counts: 11,171,146 for a ResNet-18 with pre-activation but without the last
# normalisation, which adds 2 * 512; 1,467,610 for the WRN-28-2 of semi-supervised learning.
@pytest.mark.parametrize(
    ("build", "settings", "stem", "stages", "number"),
    [
        (resnet18, {}, (7, 64), ((64, 128, 256, 512), 2), 11_179_850),
        (resnet18, {"stem": "cifar"}, (3, 64), ((64, 128, 256, 512), 2), 11_171_146 + 2 * 512),
        (resnet18, {"width": 0.25}, (7, 16), ((16, 32, 64, 128), 2), 702_938),
        (wide_resnet, {}, (3, 16), ((64, 128, 256), 4), 5_849_050),
        (wide_resnet, {"widen": 2}, (3, 16), ((32, 64, 128), 4), 1_467_610),
        (
            wide_resnet,
            {"stem_kernel_size": 5, "stem_filters": 64, "depth": 16},
            (5, 64),
            ((64, 128, 256), 2),
            2_779_978,
        ),
    ],
)
def test_parameters_of_residual_networks(build, settings, stem, stages, number):
    model = build(**settings)
    side, filters = stem
    assert trainable(model) == side * side * 3 * filters + residual(filters, *stages) == number
    # Each normalisation has as many moving statistics as scales and shifts.
    scales = [v for v in model.trainable_variables if v.path.endswith(("gamma", "beta"))]
    statistics = model.count_params() - trainable(model)
    assert statistics == sum(int(np.prod(variable.shape)) for variable in scales)


def test_counts_in_the_docstrings():
    assert resnet18().count_params() == 11_187_658
    assert resnet18(stem="cifar").count_params() == 11_179_978
    assert wide_resnet().count_params() == 5_856_250


def conv_names(block, number):
    return [f"block{block}_conv{n}" for n in range(1, number + 1)]


def unit_names(stage, units, shortcut):
    """The shortcut, where there is one, stands after the second convolution of its unit."""
    for unit in range(1, units + 1):
        name = f"stage{stage}_unit{unit}"
        yield from (f"{name}_conv1", f"{name}_conv2")
        if unit == 1 and shortcut:
            yield f"{name}_shortcut"


ALIGNABLE = {
    cnn3: ["conv1", "conv2", "conv3", "head"],
    vgg16: [
        *conv_names(1, 2),
        *conv_names(2, 2),
        *conv_names(3, 3),
        *conv_names(4, 3),
        *conv_names(5, 3),
        "head",
    ],
    resnet18: [
        "stem",
        *unit_names(1, 2, shortcut=False),
        *unit_names(2, 2, shortcut=True),
        *unit_names(3, 2, shortcut=True),
        *unit_names(4, 2, shortcut=True),
        "head",
    ],
    wide_resnet: [
        "stem",
        *unit_names(1, 4, shortcut=True),
        *unit_names(2, 4, shortcut=True),
        *unit_names(3, 4, shortcut=True),
        "head",
    ],
}


@pytest.mark.parametrize("build", ALIGNABLE, ids=lambda build: build.__name__)
def test_layers_to_align_stand_in_forward_order(build):
    assert list(alignable_layers(build())) == ALIGNABLE[build]


def test_layers_between_the_convolutions_are_named():
    names = [layer.name for layer in vgg16(width=0.1, dense_units=(3,)).layers]
    assert names[:4] == ["image", "block1_conv1", "block1_conv2", "block1_pool"]
    assert names[-4:] == ["block5_pool", "flatten", "dense1", "head"]
    names = [layer.name for layer in resnet18(width=0.1).layers]
    unit = ("conv1_bn", "conv1_relu", "conv1", "conv2_bn", "conv2_relu", "conv2", "add")
    assert names[:3] == ["image", "stem", "stem_pool"]
    assert names[3:10] == [f"stage1_unit1_{part}" for part in unit]
    assert names[-4:] == ["final_bn", "final_relu", "pool", "head"]


@pytest.mark.parametrize("side", [1, 5, 8, 32])
def test_networks_that_pad_take_any_image(side):
    for build in (vgg16, resnet18):
        assert build((side, side, 1), 4, width=1 / 64).output_shape == (None, 4)
    assert wide_resnet((side, side, 1), 4, depth=10, widen=1).output_shape == (None, 4)


def test_strides_halve_the_image():
    def sides(model, ending):
        found = [layer.output.shape[1] for layer in model.layers if layer.name.endswith(ending)]
        return found

    assert sides(vgg16(width=0.1), "pool") == [16, 8, 4, 2, 1]
    assert sides(resnet18((64, 64, 3), width=0.1), "unit2_add") == [16, 8, 4, 2]
    assert sides(resnet18(width=0.1, stem="cifar"), "unit2_add") == [32, 16, 8, 4]
    assert sides(wide_resnet(widen=1, depth=16), "unit2_add") == [32, 16, 8]


def test_a_unit_adds_its_input():
    model = resnet18((8, 8, 3), width=1 / 16, stem="cifar", seed=1)
    for layer in model.layers:  # with its convolutions at zero a unit does nothing
        if layer.name.startswith("stage1") and hasattr(layer, "kernel"):
            layer.kernel.assign(np.zeros(layer.kernel.shape))
    ends = [model.get_layer(name).output for name in ("stem", "stage1_unit2_add")]
    images = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype("float32")
    stem, after = keras.Model(model.inputs[0], ends)(images)
    np.testing.assert_array_equal(stem, after)


@pytest.mark.parametrize(
    ("build", "settings", "message"),
    [
        (cnn3, {"conv_filters": (4, 4)}, "`conv_filters` must be three numbers. Received: .*4, 4"),
        (resnet18, {"stem": "mnist"}, "`stem` must be 'imagenet' or 'cifar'. Received: .*mnist"),
        (wide_resnet, {"depth": 27}, "`depth` must be 6 n [+] 4, .* Received: depth=27"),
        (wide_resnet, {"depth": 4}, "`depth` must be 6 n [+] 4"),
    ],
)
def test_settings_without_meaning_are_refused(build, settings, message):
    with pytest.raises(ValueError, match=message):
        build(**settings)
