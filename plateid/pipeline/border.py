"""Plates near the border of the searched part: which are whole, and which may be cut off."""

from typing import Literal

from plateid.core.records import Box, PlateRead

Place = Literal["whole", "near", "cut"]
"""A plate far from the border, near to it but whole, or cut off by it."""
FAR = 0.25
"""Distance from the border, in plate heights, at which a plate is surely whole."""
SPACE = 0.4
"""Least space between the text of a nearer plate and the border, in plate heights. Of 308 correct
reads near the border, 208 then count, and 6 of 44 that lack a cut-off character (at 0.25: 264 and
21): the space between two groups of characters looks like an end of the text."""
TOUCH = 0.03
"""Distance, in plate heights, at which a box ends at the border: its plate may go on beyond."""


def distance(box: Box, part: Box) -> float:
    """Returns the least distance of a plate from the border of `part`, in plate heights."""
    x1, y1, x2, y2 = box
    left, top, right, bottom = part
    return min(x1 - left, y1 - top, right - x2, bottom - y2) / max(y2 - y1, 1.0)


def place_of(box: Box, part: Box, read: PlateRead) -> Place:
    """Returns the place of a plate that was read, by what its crop shows."""
    if distance(box, part) >= FAR:
        return "whole"
    x1, y1, x2, y2 = box
    before, after = (margin * (x2 - x1) for margin in read.margins)
    left, _, right, _ = part
    space = min(x1 + before - left, right - (x2 - after))
    return "near" if space >= SPACE * (y2 - y1) else "cut"
