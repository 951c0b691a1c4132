"""PlateNet, the reader: a convolutional stem, two transformer layers and two rows of CTC steps.

The CTC steps are read row by row. The upper line of a two-line plate is in the first 36 steps and
the lower line in the last 36. A one-line plate uses the first row only.
"""

import torch
from torch import Tensor, nn

from plateid.core.text import CHARSET

HEIGHT, WIDTH = 48, 144
"""Input size in pixels. Crops are stretched to it."""
ROWS, COLUMNS = 2, 36
"""Grid of CTC steps."""
CLASSES = 1 + len(CHARSET)
"""The CTC blank (class 0) and the characters."""
CHANNELS = (32, 64, 96, 128)
"""Channels of the stem's stages."""
EMBEDDING = 192
"""Features of a CTC step."""
HEADS = 6
"""Attention heads of a transformer layer."""


class PlateNet(nn.Module):
    """Turns crops into logits of characters, one row of classes per CTC step."""

    def __init__(self) -> None:
        super().__init__()
        first, second, third, fourth = CHANNELS
        self.stem = nn.Sequential(
            _convolution(3, first, stride=(2, 2)),  # 24 x 72
            _convolution(first, second, stride=(2, 2)),  # 12 x 36
            Residual(second),
            _convolution(second, third),
            Residual(third),
            _convolution(third, fourth, stride=(2, 1)),  # 6 x 36
            Residual(fourth),
            _convolution(fourth, EMBEDDING, stride=(3, 1)),  # 2 x 36
        )
        self.position = nn.Parameter(torch.randn(1, ROWS * COLUMNS, EMBEDDING) * 0.02)
        layer = nn.TransformerEncoderLayer(
            EMBEDDING,
            HEADS,
            dim_feedforward=2 * EMBEDDING,
            dropout=0.0,
            activation="gelu",
            batch_first=True,
            norm_first=True,
        )
        self.encoder = nn.TransformerEncoder(
            layer, num_layers=2, norm=nn.LayerNorm(EMBEDDING), enable_nested_tensor=False
        )
        self.characters = nn.Linear(EMBEDDING, CLASSES)

    def forward(self, crops: Tensor) -> Tensor:
        """Returns logits (N, ROWS * COLUMNS, CLASSES) of BGR crops (N, 3, HEIGHT, WIDTH), 0-255."""
        features: Tensor = self.stem(crops / 127.5 - 1.0)  # N, C, ROWS, COLUMNS
        steps = self.encoder(features.flatten(2).transpose(1, 2) + self.position)
        logits: Tensor = self.characters(steps)
        return logits


class Residual(nn.Module):
    """Two convolutions with a skip connection (He et al., CVPR 2016)."""

    def __init__(self, channels: int) -> None:
        """Builds a block that keeps the number of channels."""
        super().__init__()
        self.body = nn.Sequential(
            _convolution(channels, channels),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )
        self.last = nn.ReLU()

    def forward(self, features: Tensor) -> Tensor:
        """Adds the convolutions' output to their input."""
        total: Tensor = self.last(features + self.body(features))
        return total


def _convolution(inputs: int, outputs: int, stride: tuple[int, int] = (1, 1)) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )
