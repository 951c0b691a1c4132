"""Small helpers for drawing: polygons with sub-pixel corners, and colours."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

Colour = tuple[float, float, float]
"""Blue, green, red; 0 to 255."""
FloatImage = NDArray[np.float32]
"""Shape (H, W) or (H, W, 3)."""
FRACTION_BITS, FARTHEST_PX = 4, 20000
"""Fractional bits of OpenCV's coordinates, and the largest one: it overflows beyond it."""


def fill(image: NDArray[np.uint8], corners: ArrayLike, colour: Sequence[float]) -> None:
    """Fills a polygon whose corners, shape (N, 2), are in pixels and may lie outside the image."""
    points = np.clip(np.asarray(corners, np.float64), -FARTHEST_PX, FARTHEST_PX)
    fixed = (points * (1 << FRACTION_BITS)).round().astype(np.int32)
    cv2.fillPoly(image, [fixed], colour, cv2.LINE_8, FRACTION_BITS)


def circle(radius_x: float, radius_y: float | None = None) -> NDArray[np.float64]:
    """Returns the corners of a circle or ellipse around (0, 0), shape (16, 2)."""
    turns = np.arange(16) * np.pi / 8
    return np.stack([np.cos(turns) * radius_x, np.sin(turns) * (radius_y or radius_x)], axis=1)


def scaled(colour: ArrayLike, gain: ArrayLike) -> Colour:
    """Returns the colour times `gain`, a number or one for each channel; clipped to 0 to 255."""
    blue, green, red = np.clip(np.multiply(colour, gain), 0, 255).tolist()
    return blue, green, red
