"""Removes from images what they must not show, so that it cannot be restored."""

from collections.abc import Iterable

import cv2

from plateid.core.geometry import centre, expanded
from plateid.core.records import Box, Image

PLATE_MARGIN = 0.1, 0.3
"""Margins that are hidden around a plate, in box widths and heights: a box may cut characters."""
VEHICLE = 2.5, 3.0, 1.0
"""Extent of a vehicle from the centre of its plate to each side, up and down, in plate widths."""
CELLS = 32
"""Resolution of the blurred area, in cells per image width; a face in a street is smaller than one
cell."""


def without_plates(image: Image, plates: Iterable[Box]) -> Image:
    """Returns a copy with the mean colour in each box: blurred characters could be guessed."""
    copy = image.copy()
    x, y = PLATE_MARGIN
    for plate in plates:
        x1, y1, x2, y2 = _within(image, expanded(plate, x=x, y=y))
        if x1 < x2 and y1 < y2:
            copy[y1:y2, x1:x2] = cv2.mean(image[y1:y2, x1:x2])[:3]
    return copy


def vehicle_only(image: Image, plate: Box) -> Image:
    """Returns a copy that is blurred outside the estimated extent of the plate's vehicle."""
    height, width = image.shape[:2]
    rows = max(1, round(CELLS * height / width))
    cells = cv2.resize(image, (CELLS, rows), interpolation=cv2.INTER_AREA)
    copy: Image = cv2.resize(cells, (width, height), interpolation=cv2.INTER_LINEAR)
    x, y = centre(plate)
    aside, up, down = ((plate[2] - plate[0]) * reach for reach in VEHICLE)
    x1, y1, x2, y2 = _within(image, (x - aside, y - up, x + aside, y + down))
    copy[y1:y2, x1:x2] = image[y1:y2, x1:x2]
    return copy


def _within(image: Image, box: Box) -> tuple[int, int, int, int]:
    """Returns the pixels that a box touches, possibly none."""
    height, width = image.shape[:2]
    x1, y1, x2, y2 = box
    return max(0, int(x1)), max(0, int(y1)), min(width, int(x2) + 1), min(height, int(y2) + 1)
