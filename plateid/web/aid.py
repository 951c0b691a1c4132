"""How well a camera sees plates: what helps whoever mounts it."""

from dataclasses import dataclass

import cv2
import numpy as np

from plateid.core.geometry import sharpness
from plateid.core.records import Box
from plateid.web.live import Sight

NEEDED_PX = 25
"""Below it, the stroke of a character has less than three pixels."""
BLURRED = 0.05
"""Sharpness below which a crop of sufficient size is out of focus, or smeared by its speed."""
DARK, BRIGHT = 50, 235
CLIPPED = 0.25
"""Share of pixels that are white through and through: the plate is over-exposed."""


@dataclass(frozen=True)
class Aid:
    """Of the largest plate in a picture.

    Attributes:
        height, width: In pixels of the full picture.
        sharpness: 0 to 1.
        brightness: Mean, 0 to 255.
        clipped: Share of pixels that are white.
        hints: What to do, in words; one that says that all is well where it is.
    """

    plate: str
    height: int
    width: int
    sharpness: float
    brightness: int
    clipped: float
    hints: tuple[str, ...]


def look(sight: Sight) -> Aid | None:
    """None where there is no plate in the picture."""
    if not sight.plates:
        return None
    detection, reading = max(sight.plates, key=lambda plate: _height(plate[0].box))
    crop = sight.frame.picture.crop(detection.box)
    grey = cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY)
    crisp, brightness = sharpness(crop), float(grey.mean())
    clipped = float(np.mean(grey >= 250))  # noqa: PLR2004 - JPEG and H.264 blur the 255
    height = round(_height(detection.box))
    return Aid(
        reading.plate,
        height,
        round(detection.box[2] - detection.box[0]),
        round(crisp, 3),
        round(brightness),
        round(clipped, 3),
        _hints(height, crisp, brightness, clipped),
    )


def _hints(height: int, crisp: float, brightness: float, clipped: float) -> tuple[str, ...]:
    hints = []
    if height < NEEDED_PX:
        hints.append(f"The plate is {height} px high, {NEEDED_PX} are needed: move nearer or zoom.")
    elif crisp < BLURRED:
        hints.append("The plate is blurred: focus, or shorten the exposure (1/500 s for traffic).")
    if brightness < DARK:
        hints.append("The plate is dark: more light, or more gain; keep the exposure short.")
    elif brightness > BRIGHT or clipped > CLIPPED:
        hints.append("The plate is over-exposed: shorten the exposure, or dim the lamp.")
    return tuple(hints) or ("The plate is well seen.",)


def _height(box: Box) -> float:
    return box[3] - box[1]
