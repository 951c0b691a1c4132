"""Rectifies crops: turns a tilted plate upright, and removes what lies around it.

It is a spatial transformer (Jaderberg et al., NeurIPS 2015). It learns from the corners of rendered
plates, and from the reader's loss on real ones.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional


def convolution(inputs: int, outputs: int, stride: tuple[int, int] = (1, 1)) -> nn.Sequential:
    """Returns a 3 x 3 convolution with batch normalisation and ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


CHANNELS = (16, 32, 64, 96)
"""Channels of the convolutions. The last one has a sixteenth of the crop's height and width."""
SQUARE = np.array([(-1, -1, 1), (1, -1, 1), (1, 1, 1), (-1, 1, 1)], np.float64)
"""Corners of the rectified crop, homogeneous, clockwise from top left."""


def rectifying_transform(corners: NDArray[np.float32]) -> NDArray[np.float64]:
    """Returns the affine map from the rectified crop to the crop, as torch's affine_grid takes it.

    `corners` of the plate, shape (4, 2), are in normalised coordinates (0-1), clockwise from top
    left. The map, shape (2, 3), is a least-squares fit, so that perspective remains. The rectified
    crop is the plate: with one that was 3 % larger, 5 points fewer plates of ten digits were read.
    """
    return (2 * corners.astype(np.float64) - 1).T @ SQUARE / len(SQUARE)


class Rectifier(nn.Module):
    """Finds the plate in each crop, and resamples the crop to it."""

    def __init__(self, height: int, width: int) -> None:
        """Builds a rectifier of crops of this size. Without training it changes nothing."""
        super().__init__()
        layers = zip((3, *CHANNELS[:-1]), CHANNELS, strict=True)
        self.stem = nn.Sequential(*(convolution(*each, stride=(2, 2)) for each in layers))
        self.transform = nn.Linear(CHANNELS[-1] * (height // 16) * (width // 16), 6)
        nn.init.zeros_(self.transform.weight)
        nn.init.zeros_(self.transform.bias)
        self.size = height, width
        identity = torch.eye(2, 3)[None]
        pixels = functional.affine_grid(identity, [1, 1, height, width], align_corners=False)
        grid = torch.cat([pixels.reshape(-1, 2), torch.ones(height * width, 1)], dim=1)
        self.register_buffer("grid", grid, persistent=False)

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """Returns rectified crops, shape (N, 3, H, W), and the transforms, shape (N, 2, 3)."""
        features = self.stem(crops).flatten(1).float()
        with torch.autocast("cpu", enabled=False):  # bfloat16 would move pixels
            transforms = self.transform(features).view(-1, 2, 3) + torch.eye(
                2, 3, device=crops.device
            )
            grid = (self.grid @ transforms.transpose(1, 2)).view(-1, *self.size, 2)
        rectified = functional.grid_sample(crops, grid, padding_mode="border", align_corners=False)
        return rectified, transforms
