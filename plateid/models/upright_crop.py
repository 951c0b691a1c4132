"""Crops of tilted plates, turned upright."""

import math
from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from plateid.core.geometry import expanded
from plateid.core.records import Box, Image, LazyImage

SURROUNDINGS = 0.2
"""Part of the image beside the box that is turned as well, relative to the box's sides."""
MIN_HEIGHT = 0.3
"""Least height of a tilted plate, relative to its box. A lower one cannot be tilted so far."""


class UprightCrop:
    """A plate that was turned upright; readers take it as an image with the plate in `box`."""

    def __init__(self, pixels: Image) -> None:
        self._pixels = pixels
        self.box: Box = (0, 0, pixels.shape[1], pixels.shape[0])

    def crop(self, box: Box) -> Image:
        """Returns the pixels inside the box, clipped to the crop."""
        x1, y1 = (max(0, round(value)) for value in box[:2])
        return self._pixels[y1 : max(y1 + 1, round(box[3])), x1 : max(x1 + 1, round(box[2]))]


def upright_crops(image: LazyImage, box: Box, degrees: Sequence[float]) -> Iterator[UprightCrop]:
    """Yields the plate of a box as if it were tilted by each angle, clockwise.

    The plate's sides follow from those of the box. An angle at which no plate of a fair height has
    such a box is left out.
    """
    left, top, right, bottom = (
        math.floor(v) for v in expanded(box, x=SURROUNDINGS, y=SURROUNDINGS)
    )
    left, top = max(0, left), max(0, top)
    part = image.crop((left, top, right, bottom))
    middle = (box[0] + box[2]) / 2 - left, (box[1] + box[3]) / 2 - top
    for angle in degrees:
        width, height = _sides(box[2] - box[0], box[3] - box[1], math.radians(abs(angle)))
        if height >= MIN_HEIGHT * (box[3] - box[1]):
            turn = cv2.getRotationMatrix2D(middle, angle, 1.0)
            turn[:, 2] += width / 2 - middle[0], height / 2 - middle[1]
            size = max(1, round(width)), max(1, round(height))
            border = cv2.BORDER_REPLICATE
            yield UprightCrop(np.asarray(cv2.warpAffine(part, turn, size, borderMode=border)))


def _sides(width: float, height: float, angle: float) -> tuple[float, float]:
    """Returns the sides of the rectangle that has an upright box of these sides at an angle."""
    cosine, sine = math.cos(angle), math.sin(angle)
    squares = cosine**2 - sine**2
    own = (width * cosine - height * sine) / squares, (height * cosine - width * sine) / squares
    return min(own[0], width), own[1]
