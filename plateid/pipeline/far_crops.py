"""The crops of a pass that are far from the camera or blurred, to be labelled by its best ones."""

import math

from plateid.core.geometry import expanded, moved
from plateid.core.records import BestFrame, PlateCrop, PlateRead
from plateid.core.text import best_text

MAX_CROPS = 6
"""Maximum number of crops of a pass."""
STEP = 1.2
"""Factor between the heights of two crops, so that they do not look alike."""
BLURRED = 0.1
"""Sharpness (0-1) below which a crop is kept beside a sharp one of the same height."""
MARGIN_X, MARGIN_Y = 0.25, 0.5
"""Margins around the plate, in widths and heights of its box: what the trainer uses of an image."""


class FarCrops:
    """The smallest crops of a pass, one of each height, sharp and blurred."""

    def __init__(self) -> None:
        self._crops: dict[tuple[int, bool], PlateCrop] = {}

    def add(self, read: PlateRead, frame: BestFrame) -> None:
        """Copies the crop of a read, unless there is a similar one or enough smaller ones."""
        key = round(math.log(max(1.0, read.height), STEP)), read.sharpness < BLURRED
        full = len(self._crops) >= MAX_CROPS
        if key in self._crops or (full and key >= max(self._crops)):
            return
        wide = expanded(frame.box, x=MARGIN_X, y=MARGIN_Y)
        self._crops[key] = PlateCrop(
            frame.image.crop(wide).copy(),
            moved(frame.box, -max(0, int(wide[0])), -max(0, int(wide[1]))),
            best_text(read.probabilities),
            read.height,
            read.sharpness,
        )
        if full:
            del self._crops[max(self._crops)]

    def all(self) -> tuple[PlateCrop, ...]:
        """Returns the crops, the smallest first."""
        return tuple(self._crops[key] for key in sorted(self._crops))
