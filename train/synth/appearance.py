"""Measures how real crops look, to select rendered crops that are not harder to read.

Rendered crops for training are harder than those of real cameras. Crops for evaluation must not be.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from plateid.core.records import Image

OUTLIERS = 5
"""Per cent of the real crops that lie outside each limit."""
SIZE = (96, 32)
"""Width and height at which edges are compared, pixels."""
WHITE = 250
"""Grey level from which a pixel is glare."""


@dataclass(frozen=True)
class AppearanceLimits:
    """Limits of what real crops look like.

    Attributes:
        contrast: Minimum difference between the 5th and the 95th percentile of grey levels.
        edges: Minimum mean step from pixel to pixel, relative to the contrast.
        colour: Maximum mean saturation (0-1).
        glare: Maximum share of white pixels.
    """

    contrast: float
    edges: float
    colour: float
    glare: float

    @classmethod
    def measured_on(cls, crops: Iterable[Image]) -> "AppearanceLimits":
        """Returns the limits of these crops of plates, BGR."""
        measures = np.array([_measure(crop) for crop in crops])
        least, most = np.percentile(measures, (OUTLIERS, 100 - OUTLIERS), axis=0)
        return cls(*least[:2].tolist(), *most[2:].tolist())

    def accepts(self, crop: Image) -> bool:
        """Returns whether a crop lies within the limits."""
        contrast, edges, colour, glare = _measure(crop)
        well_lit = contrast >= self.contrast and glare <= self.glare
        return bool(well_lit and edges >= self.edges and colour <= self.colour)


def _measure(crop: Image) -> tuple[float, float, float, float]:
    """Returns contrast, edges, colour and glare."""
    grey = cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY)
    middle = _middle(grey.astype(np.float32))
    dark, bright = np.percentile(middle, (5, 95))
    larger = middle.shape[1] > SIZE[0]
    scaled = cv2.resize(middle, SIZE, interpolation=cv2.INTER_AREA if larger else cv2.INTER_LINEAR)
    edges = np.abs(np.diff(scaled, axis=1)).mean() / (bright - dark + 1)
    high, low = crop.max(axis=2).astype(np.float32), crop.min(axis=2).astype(np.float32)
    colour = ((high - low) / (high + 20)).mean()  # dark pixels are noise
    return float(bright - dark), float(edges), float(colour), float((grey >= WHITE).mean())


def _middle(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns the crop without its border, which may show the bumper; never empty."""
    height, width = grey.shape
    top, left = height // 5, width // 10
    return grey[top : height - top, left : width - left]
