"""At which angle a plate is seen, by the edges in its crop."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from plateid.core.records import Image

HEIGHT = 64
"""Pixels that a crop is scaled to."""
BLUR = 1.5
BIN = 0.25
SPREAD = 3.0
"""Degrees: of a bin of directions, and of the edges that count for one direction."""
TILTS, LEANS = 30.0, 40.0
"""The farthest that is looked for, in degrees."""
Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Angle:
    """Degrees in the picture.

    Attributes:
        tilt: How far the line of text falls to the right.
        skew: How far the uprights of characters lean to the right of a right angle with it: 0 for a
            plate that is seen from the front, also when the camera is turned.
    """

    tilt: float
    skew: float


def angle_of(crop: Image) -> Angle:
    """The directions, near level and near upright, in which a crop has the most of edges."""
    weights = _directions(crop)
    degrees = BIN * (np.arange(weights.size) + 0.5)  # of the gradients; an edge is across
    tilt = _strongest(degrees - 90, weights, TILTS)
    lean = _strongest((degrees + 90) % 180 - 90, weights, LEANS)
    return Angle(round(tilt, 1), round(lean - tilt, 1))


def _directions(crop: Image) -> Floats:
    """How much gradient there is in each direction, from 0 (to the right) to below 180 degrees."""
    scale = HEIGHT / crop.shape[0]
    grey = cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY)
    grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    grey = cv2.GaussianBlur(grey, (0, 0), BLUR)
    x, y = cv2.Scharr(grey, cv2.CV_32F, 1, 0), cv2.Scharr(grey, cv2.CV_32F, 0, 1)
    bins = round(180 / BIN)
    at = np.degrees(np.arctan2(y, x)) % 180
    weights, _ = np.histogram(at, bins, (0, 180), weights=np.square(x) + np.square(y))
    kernel = cv2.getGaussianKernel(bins // 2 + 1, SPREAD / BIN).ravel()
    return np.convolve(np.pad(weights, bins // 4, mode="wrap"), kernel, "valid")


def _strongest(degrees: Floats, weights: Floats, far: float) -> float:
    near = np.abs(degrees) <= far
    return float(degrees[near][weights[near].argmax()])
