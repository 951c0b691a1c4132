"""PlateNet, the reader: a rectifier, a convolutional stem, two transformer layers and CTC steps.

The CTC steps are read row by row. The upper line of a two-line plate is in the first 36 steps and
the lower line in the last 36. A one-line plate uses the first row only.
"""

import torch
from torch import Tensor, nn

from plateid.core.text import CHARSET
from train.reader.rectifier import Rectifier, convolution

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
        self.rectifier = Rectifier(HEIGHT, WIDTH)
        self.stem = nn.Sequential(
            convolution(3, first, stride=(2, 2)),  # 24 x 72
            convolution(first, second, stride=(2, 2)),  # 12 x 36
            Residual(second),
            convolution(second, third),
            Residual(third),
            convolution(third, fourth, stride=(2, 1)),  # 6 x 36
            Residual(fourth),
            convolution(fourth, EMBEDDING, stride=(3, 1)),  # 2 x 36
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

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """Reads BGR crops, shape (N, 3, HEIGHT, WIDTH), 0 to 255.

        Returns logits, shape (N, ROWS * COLUMNS, CLASSES), and the transforms of the rectifier,
        shape (N, 2, 3).
        """
        rectified, transforms = self.rectifier(crops / 127.5 - 1.0)
        features = self.stem(rectified).flatten(2).transpose(1, 2)  # N, ROWS * COLUMNS, EMBEDDING
        return self.characters(self.encoder(features + self.position)), transforms


class Residual(nn.Module):
    """Two convolutions with a skip connection (He et al., CVPR 2016)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            convolution(channels, channels),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )
        self.last = nn.ReLU()

    def forward(self, features: Tensor) -> Tensor:
        """Adds the convolutions' output to their input."""
        total: Tensor = self.last(features + self.body(features))
        return total
