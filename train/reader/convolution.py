"""The convolution that all parts of the reader are made of."""

from torch import nn


def convolution(inputs: int, outputs: int, stride: tuple[int, int] = (1, 1)) -> nn.Sequential:
    """Returns a 3 x 3 convolution with batch normalisation and ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )
