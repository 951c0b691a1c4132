"""How well a camera sees plates: what helps whoever mounts it."""

from dataclasses import dataclass

import cv2
import numpy as np

from plateid.core.geometry import sharpness
from plateid.core.records import Box
from plateid.web.angle import Angle, angle_of
from plateid.web.live import Sight

NEEDED_PX = 25
"""Below it, the stroke of a character has less than three pixels."""
BLURRED = 0.05
"""Sharpness below which a crop of sufficient size is out of focus, or smeared by its speed."""
DARK, BRIGHT = 50, 235
CLIPPED = 0.25
"""Share of pixels that are white through and through: the plate is over-exposed."""
TILTED, SKEWED = 12, 20
"""Degrees beyond which the reader errs more. Of openalpr-dev's eu, plates were read as well as
before when they were turned by 10, a tenth fewer at 15, a third fewer at 20; skewed by 20, as well
as before, and a tenth fewer at 25."""


@dataclass(frozen=True)
class Aid:
    """Of the largest plate in a picture.

    Attributes:
        height, width: In pixels of the full picture.
        sharpness: 0 to 1.
        brightness: Mean, 0 to 255.
        clipped: Share of pixels that are white.
        tilt, skew: Degrees, see `Angle`.
        hints: What to do, in words; where nothing is wrong, one that says so.
    """

    plate: str
    height: int
    width: int
    sharpness: float
    brightness: int
    clipped: float
    tilt: float
    skew: float
    hints: tuple[str, ...]


def look(sight: Sight) -> Aid | None:
    """None where there is no plate in the picture."""
    if not sight.plates:
        return None
    plate = max(sight.plates, key=lambda plate: _height(plate.box))
    crop = sight.frame.image.crop(plate.box)
    grey = cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY)
    crisp, brightness = sharpness(crop), float(grey.mean())
    clipped = float(np.mean(grey >= 250))  # noqa: PLR2004 - JPEG and H.264 blur the 255
    height, angle = round(_height(plate.box)), angle_of(crop)
    seen = _about_size(height, crisp), _about_angle(angle), _about_light(brightness, clipped)
    return Aid(
        plate=plate.text,
        height=height,
        width=round(plate.box[2] - plate.box[0]),
        sharpness=round(crisp, 3),
        brightness=round(brightness),
        clipped=round(clipped, 3),
        tilt=angle.tilt,
        skew=angle.skew,
        hints=tuple(filter(None, seen)) or ("The plate is well seen.",),
    )


def _about_size(height: int, crisp: float) -> str:
    if height < NEEDED_PX:
        return f"The plate is {height} px high, {NEEDED_PX} are needed: move nearer or zoom."
    if crisp < BLURRED:
        return "The plate is blurred: focus, or shorten the exposure (1/500 s for traffic)."
    return ""


def _about_angle(angle: Angle) -> str:
    tilt, skew = abs(angle.tilt), abs(angle.skew)
    if skew > SKEWED or (tilt > TILTED and skew > tilt / 2):
        return (
            f"The plate is seen from the side, {max(tilt, skew):.0f}° askew:"
            " move the camera nearer to the line of travel, or lower."
        )
    if tilt > TILTED:
        return f"The plate is tilted by {tilt:.0f}°: turn the camera until the road is level."
    return ""


def _about_light(brightness: float, clipped: float) -> str:
    if brightness < DARK:
        return "The plate is dark: more light, or more gain; keep the exposure short."
    if brightness > BRIGHT or clipped > CLIPPED:
        return "The plate is over-exposed: shorten the exposure, or dim the lamp."
    return ""


def _height(box: Box) -> float:
    return box[3] - box[1]
