"""Measures how real crops look, to select rendered crops that are not harder to read.

Rendered crops for training are harder than those of real cameras. Crops for evaluation must not be.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from plateid.core.records import Image

OUTLIERS = 5
"""Per cent of the real crops that lie outside each limit."""
SIZE = (96, 32)
"""Width and height at which edges are compared, pixels."""
WHITE = 250
"""Grey level from which a pixel is glare."""


@dataclass(frozen=True)
class AppearanceLimits:
    """Limits of what real crops look like: least contrast and edges, most colour and glare."""

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
    """Returns contrast (in grey levels), edges, colour and glare.

    Edges are the mean step from pixel to pixel, relative to the contrast. Colour is the mean
    saturation (0-1). Glare is the share of white pixels.
    """
    grey = cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY)
    top, left = grey.shape[0] // 5, grey.shape[1] // 10  # the border may show the bumper
    middle = grey[top : len(grey) - top, left : grey.shape[1] - left].astype(np.float32)
    dark, bright = np.percentile(middle, (5, 95))
    larger = middle.shape[1] > SIZE[0]
    scaled = cv2.resize(middle, SIZE, interpolation=cv2.INTER_AREA if larger else cv2.INTER_LINEAR)
    edges = np.abs(np.diff(scaled, axis=1)).mean() / (bright - dark + 1)
    high, low = crop.max(axis=2).astype(np.float32), crop.min(axis=2).astype(np.float32)
    colour = ((high - low) / (high + 20)).mean()  # dark pixels are noise
    return float(bright - dark), float(edges), float(colour), float((grey >= WHITE).mean())
