"""plateid's own reader: a convolution stem, two transformer layers, two rows of 36 CTC steps.

The steps are read row by row, so that a plate of two lines needs no special case: its upper line is
in the first 36 steps, its lower line in the others. One line is all in the first.
"""

import torch
from torch import Tensor, nn

from plateid.core.text import CHARSET

HEIGHT, WIDTH = 48, 144
"""Of the input, in pixels; crops are stretched."""
ROWS, COLUMNS = 2, 36
"""Of the steps."""
CLASSES = 1 + len(CHARSET)
CHANNELS = (32, 64, 96, 128)
EMBEDDING = 192
HEADS = 6


class PlateNet(nn.Module):
    """Crops to logits of characters, and of the country."""

    def __init__(self, regions: int) -> None:
        """`regions`: countries to tell apart, "unknown" among them."""
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
        self.regions = nn.Linear(EMBEDDING, regions)

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """Reads crops.

        Args:
            crops: Shape (N, 3, HEIGHT, WIDTH), BGR, 0 to 255.

        Returns:
            Logits of the steps, shape (N, ROWS * COLUMNS, CLASSES), blank first; and of the
            regions, shape (N, regions).
        """
        features = self.stem(crops / 127.5 - 1.0)  # N, C, ROWS, COLUMNS
        steps = self.encoder(features.flatten(2).transpose(1, 2) + self.position)
        return self.characters(steps), self.regions(steps.mean(dim=1))


class Residual(nn.Module):
    """Two convolutions beside a short cut (He et al., CVPR 2016)."""

    def __init__(self, channels: int) -> None:
        """Keeps the shape."""
        super().__init__()
        self.body = nn.Sequential(
            _convolution(channels, channels),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )
        self.last = nn.ReLU()

    def forward(self, features: Tensor) -> Tensor:
        """Adds."""
        return self.last(features + self.body(features))


def _convolution(inputs: int, outputs: int, stride: tuple[int, int] = (1, 1)) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )
