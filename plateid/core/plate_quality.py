"""How well a camera sees a plate: measurements in the crop, and hints for mounting the camera."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from plateid.core.geometry import sharpness
from plateid.core.records import Box, Image, LazyImage, Plate

NEEDED_PX = 25
"""Minimum plate height, pixels. Below it, the stroke of a character has less than 3 pixels."""
BLURRED = 0.05
"""Sharpness (0-1) below which a crop counts as out of focus or motion-blurred."""
DARK, BRIGHT = 50, 235
"""Mean brightness (0-255) below which a plate is dark, above which it is over-exposed."""
WHITE = 250
"""Grey value from which a pixel counts as clipped. JPEG and H.264 rarely keep a clean 255."""
CLIPPED = 0.25
"""Share of clipped pixels (0-1) above which a plate counts as over-exposed."""
TILTED, SKEWED = 12, 20
"""Angles in degrees above which the reader makes more errors.

Measured on the EU plates of openalpr-dev: no loss at a tilt of 10, a tenth of the plates at 15, a
third at 20; no loss at a skew of 20, a tenth at 25.
"""
HEIGHT_PX = 64
"""Height to which a crop is scaled before its angles are measured, pixels."""
BLUR_PX = 1.5
"""Standard deviation of the Gaussian blur before the gradients, pixels of the scaled crop."""
BIN_DEG = 0.25
"""Width of a bin of the histogram of edge directions, degrees."""
SPREAD_DEG = 3.0
"""Standard deviation of the smoothing of that histogram, degrees."""
MAX_TILT_DEG, MAX_LEAN_DEG = 30.0, 40.0
"""Largest angles that are searched, degrees."""
Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class CropQuality:
    """Measurements of a plate: sizes in pixels of the full image, tilt and skew in degrees.

    Sharpness and clipped (white) pixels go from 0 to 1, brightness from 0 to 255.
    """

    height: int
    width: int
    sharpness: float
    brightness: int
    clipped: float
    tilt: float
    skew: float

    @property
    def hints(self) -> list[str]:
        """Sentences that say what to change."""
        tilt, skew = abs(self.tilt), abs(self.skew)
        is_low, is_dark = self.height < NEEDED_PX, self.brightness < DARK
        is_aside = skew > SKEWED or (tilt > TILTED and skew > tilt / 2)
        is_blurred, is_tilted = self.sharpness < BLURRED, tilt > TILTED
        is_bright = self.brightness > BRIGHT or self.clipped > CLIPPED
        size, side = f"{self.height} px high, {NEEDED_PX} px", f"skew {max(tilt, skew):.0f}°"
        hints = (
            (is_low, f"{size} are needed: move the camera nearer or zoom in."),
            (
                is_blurred and not is_low,
                "blurred: focus, or shorten the exposure (1/500 s for traffic).",
            ),
            (
                is_aside,
                f"seen from the side ({side}): move the camera nearer to the lane, or lower.",
            ),
            (
                is_tilted and not is_aside,
                f"tilted by {tilt:.0f}°: rotate the camera until the road is level.",
            ),
            (is_dark, "dark: add light or raise the gain; keep the exposure short."),
            (is_bright and not is_dark, "over-exposed: shorten the exposure or dim the light."),
        )
        return [f"The plate is {hint}" for applies, hint in hints if applies]


def measure_quality(image: LazyImage, plates: Sequence[Plate]) -> dict[str, Any] | None:
    """Measures the largest plate of an image, with hints or praise; None without a plate."""
    if not plates:
        return None
    plate = max(plates, key=lambda plate: plate.box[3] - plate.box[1])
    quality = crop_quality(image.crop(plate.box), plate.box)
    hints = quality.hints or ["The plate is easy to read."]
    return {"plate": plate.text, **asdict(quality), "hints": hints}


def crop_quality(crop: Image, box: Box) -> CropQuality:
    """Returns the measurements of a plate's crop, whose box in the full image is `box`."""
    x1, y1, x2, y2 = box
    grey = cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY)
    return CropQuality(
        round(y2 - y1),
        round(x2 - x1),
        round(sharpness(crop), 3),
        round(float(grey.mean())),
        round(float(np.mean(grey >= WHITE)), 3),
        *measure_angle(crop),
    )


def measure_angle(crop: Image) -> tuple[float, float]:
    """Returns the tilt and the skew of a plate, in degrees of the image.

    The tilt is the slope of the text line, positive if it falls to the right. The skew is the lean
    of the characters away from a right angle with the line, positive to the right; it is 0 if the
    plate is seen from the front, even if the camera is rotated.
    """
    weights = _direction_histogram(crop)
    degrees = BIN_DEG * (np.arange(weights.size) + 0.5)  # of gradients, at right angles to edges
    tilt = _strongest(degrees - 90, weights, MAX_TILT_DEG)
    lean = _strongest((degrees + 90) % 180 - 90, weights, MAX_LEAN_DEG)
    return round(tilt, 1), round(lean - tilt, 1)


def _direction_histogram(crop: Image) -> Floats:
    """Returns the gradient energy by direction, from 0 (to the right) to below 180 degrees."""
    scale = HEIGHT_PX / crop.shape[0]
    grey = cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY)
    grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    grey = cv2.GaussianBlur(grey, (0, 0), BLUR_PX)
    x, y = cv2.Scharr(grey, cv2.CV_32F, 1, 0), cv2.Scharr(grey, cv2.CV_32F, 0, 1)
    bins = round(180 / BIN_DEG)
    directions = np.degrees(np.arctan2(y, x)) % 180
    weights, _ = np.histogram(directions, bins, (0, 180), weights=np.square(x) + np.square(y))
    kernel = cv2.getGaussianKernel(bins // 2 + 1, SPREAD_DEG / BIN_DEG).ravel()
    return np.convolve(np.pad(weights, bins // 4, mode="wrap"), kernel, "valid")


def _strongest(degrees: Floats, weights: Floats, limit: float) -> float:
    near = np.abs(degrees) <= limit
    return float(degrees[near][weights[near].argmax()])
