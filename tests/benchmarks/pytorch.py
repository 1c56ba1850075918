"""The same networks in PyTorch, eager, in both memory formats, if it is installed.

`pip install -r tests/benchmarks/requirements.txt` installs it; without it nothing here
runs.
"""

import time
from collections.abc import Callable
from itertools import pairwise

import numpy as np

from tests.benchmarks.results import Seconds

try:
    import torch
    from torch import nn
except ImportError:
    torch = None


def make_variants(
    name: str, shape, batch: int, before: int, steps: int
) -> dict[str, Callable[[], Seconds]]:
    """Returns functions that train a network and time all but the first steps, by name.

    Half of the steps are taken, and twice their time is returned: nothing happens between
    steps. There are none without PyTorch.
    """
    if torch is None:
        return {}
    if len(shape) == 1:
        return {"PyTorch": _training(_mlp(shape[0]), shape, batch, before, steps)}
    formats = {"PyTorch NCHW": torch.contiguous_format, "PyTorch NHWC": torch.channels_last}
    return {
        text: _training(_NETWORKS[name](), (shape[2], *shape[:2]), batch, before, steps, memory)
        for text, memory in formats.items()
    }


def _training(model, shape, batch, before, steps, memory=None):
    generator = np.random.default_rng(0)
    images = torch.from_numpy(generator.standard_normal((8 * batch, *shape), dtype=np.float32))
    labels = torch.from_numpy(generator.integers(0, 10, 8 * batch))
    if memory is not None:
        model, images = model.to(memory_format=memory), images.to(memory_format=memory)
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9)
    loss_of = nn.CrossEntropyLoss()

    def train():
        model.train()
        for step in range(before + steps // 2):
            if step == before:
                begin = time.perf_counter()
            rows = slice(step % 8 * batch, (step % 8 + 1) * batch)
            optimizer.zero_grad()
            loss_of(model(images[rows]), labels[rows]).backward()
            optimizer.step()
        return Seconds(2 * (time.perf_counter() - begin))

    return train


def _mlp(dim):
    sizes = (dim, 2048, 256)
    hidden = [nn.Sequential(nn.Linear(i, o), nn.ReLU()) for i, o in pairwise(sizes)]
    return nn.Sequential(*hidden, nn.Linear(256, 10))


def _small_cnn():
    dense = [nn.Linear(256 * 30 * 30, 64), nn.ReLU(), nn.Linear(64, 10)]
    return nn.Sequential(nn.Conv2d(3, 256, 3), nn.ReLU(), nn.Flatten(), *dense)


def _vgg16():
    layers, channels = [], 3
    for filters, number in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(number):
            layers += [nn.Conv2d(channels, filters, 3, padding=1), nn.ReLU()]
            channels = filters
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(512, 10))


class _Unit(nn.Module if torch else object):
    """A pre-activation residual unit."""

    def __init__(self, inputs, filters, stride):
        super().__init__()
        self.first = nn.Sequential(nn.BatchNorm2d(inputs), nn.ReLU())
        self.body = nn.Sequential(
            nn.Conv2d(inputs, filters, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(filters),
            nn.ReLU(),
            nn.Conv2d(filters, filters, 3, padding=1, bias=False),
        )
        changes = inputs != filters or stride != 1
        self.shortcut = nn.Conv2d(inputs, filters, 1, stride, bias=False) if changes else None

    def forward(self, x):
        ready = self.first(x)
        return self.body(ready) + (x if self.shortcut is None else self.shortcut(ready))


def _wide_resnet():
    units, channels = [], 16
    for filters, stride in ((64, 1), (128, 2), (256, 2)):
        for number in range(4):
            units.append(_Unit(channels, filters, stride if number == 0 else 1))
            channels = filters
    end = [nn.BatchNorm2d(channels), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    stem = nn.Conv2d(3, 16, 3, padding=1, bias=False)
    return nn.Sequential(stem, *units, *end, nn.Linear(channels, 10))


def _convolution(inputs, filters, size, stride=1):
    padding = size // 2
    convolution = nn.Conv2d(inputs, filters, size, stride, padding=padding, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(filters), nn.ReLU())


class _Branches(nn.Module if torch else object):
    """The outputs of several branches, one after the other."""

    def __init__(self, *branches):
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x):
        return torch.cat([branch(x) for branch in self.branches], dim=1)


def _small_inception():
    layers, channels = [_convolution(3, 96, 3)], 96
    blocks = [(32, 32), (32, 48), 80, (112, 48), (96, 64), (80, 80), (48, 96), 96]
    for block in (*blocks, (176, 160), (176, 160)):
        if isinstance(block, int):
            pool = nn.MaxPool2d(3, 2, padding=1)
            layers.append(_Branches(_convolution(channels, block, 3, 2), pool))
            channels += block
        else:
            layers.append(
                _Branches(
                    *(_convolution(channels, n, s) for n, s in zip(block, (1, 3), strict=True))
                )
            )
            channels = sum(block)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10))


_NETWORKS = {
    "small CNN": _small_cnn,
    "VGG16": _vgg16,
    "WRN-28-4": _wide_resnet,
    "small Inception": _small_inception,
}
