"""Which rendered crops look like real ones: neither fainter, nor more blurred, coloured or glaring.

What a reader is trained with is worse than what cameras give on purpose; what it is measured with
need not be.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from plateid.core.records import Image

PART = 5
"""Per cent of the real crops that are beyond what counts as their look, in each measure."""
SIDES = (96, 32)
"""Width and height at which edges are compared."""
GLARING = 250


@dataclass(frozen=True)
class AppearanceLimits:
    """How real crops look.

    Attributes:
        contrast: Least difference of light, 0 to 255, between the 5th and 95th percentile of the
            middle of a crop.
        edges: Least mean step from pixel to pixel, in parts of the contrast.
        colour: Most saturation, 0 to 1, mean of all pixels.
        glare: Most of the pixels that are white.
    """

    contrast: float
    edges: float
    colour: float
    glare: float

    @classmethod
    def measured_on(cls, crops: Iterable[Image]) -> "AppearanceLimits":
        """Of crops of plates, BGR."""
        looks = np.array([_look(crop) for crop in crops])
        least, most = np.percentile(looks, (PART, 100 - PART), axis=0)
        return cls(*least[:2].tolist(), *most[2:].tolist())

    def accepts(self, crop: Image) -> bool:
        """Whether a crop looks like them."""
        contrast, edges, colour, glare = _look(crop)
        well_lit = contrast >= self.contrast and glare <= self.glare
        return bool(well_lit and edges >= self.edges and colour <= self.colour)


def _look(crop: Image) -> tuple[float, float, float, float]:
    """The four measures."""
    grey = cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY)
    middle = _middle(grey.astype(np.float32))
    dark, bright = np.percentile(middle, (5, 95))
    larger = middle.shape[1] > SIDES[0]
    even = cv2.resize(middle, SIDES, interpolation=cv2.INTER_AREA if larger else cv2.INTER_LINEAR)
    edges = np.abs(np.diff(even, axis=1)).mean() / (bright - dark + 1)
    high, low = crop.max(axis=2).astype(np.float32), crop.min(axis=2).astype(np.float32)
    colour = ((high - low) / (high + 20)).mean()  # dark pixels are noise
    return float(bright - dark), float(edges), float(colour), float((grey >= GLARING).mean())


def _middle(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """Without the border, where a bumper may be; never empty."""
    height, width = grey.shape
    top, left = height // 5, width // 10
    return grey[top : height - top, left : width - left]
