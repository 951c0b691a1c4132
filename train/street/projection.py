"""The pinhole camera above the road, and the drawing of polygons.

World coordinates are metres: x to the right, y up from the road, z away from the camera. The image
plane is upright and shifted: vertical edges stay vertical, and the horizon is a row.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

Points = NDArray[np.float64]
"""Shape (..., 2) in pixels or (..., 3) in metres."""
Size = tuple[int, int]
"""Width and height, pixels."""
CAMERA_X_M, CAMERA_Y_M = 0.1, 2.05
"""Position of the camera: right of the centre line and above the road."""
FOCAL, HORIZON = 3.055, 0.208
"""Focal length and row of the horizon, in image heights."""
CLOSEST_M = 0.6
"""Nearer points are moved to this distance: what they belong to is outside the image."""
Colour = tuple[float, float, float]
"""Blue, green, red; 0 to 255."""
FloatImage = NDArray[np.float32]
"""Shape (H, W) or (H, W, 3)."""
FRACTION_BITS, FARTHEST_PX = 4, 20000
"""Fractional bits of OpenCV's coordinates, and the largest one: it overflows beyond it."""


class Projection:
    """Maps metres on the street to pixels of an image."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.focal_px, self.horizon = FOCAL * height, round(HORIZON * height)

    def project(self, points: ArrayLike) -> Points:
        """Maps world points, shape (..., 3), to pixels, shape (..., 2)."""
        world = np.asarray(points, np.float64)
        scale = self.focal_px / np.maximum(world[..., 2], CLOSEST_M)
        columns = self.width / 2 + (world[..., 0] - CAMERA_X_M) * scale
        return np.stack([columns, self.horizon + (CAMERA_Y_M - world[..., 1]) * scale], axis=-1)

    def ground(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Returns world x and z of the road under each pixel below the horizon."""
        rows = np.arange(self.horizon + 1, self.height) + 0.5 - self.horizon
        z = (self.focal_px * CAMERA_Y_M / rows)[:, None].astype(np.float32)
        x = (np.arange(self.width) + 0.5 - self.width / 2) * z / self.focal_px + CAMERA_X_M
        return x.astype(np.float32), np.broadcast_to(z, x.shape)


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
