"""The quality measurements and hints, on drawn plates whose angles are known."""

import cv2
import numpy as np
import pytest

from plateid.capture.images import ArrayImage
from plateid.core.plate_quality import measure_angle, measure_quality
from plateid.core.records import Plate

OVERSAMPLING = 4
"""The plate is drawn at this factor and scaled down, for edges as smooth as a lens makes them."""


def draw_plate(tilt, lean, height):
    """A plate in a grey image and its box: the text line falls by `tilt`, characters by `lean`."""
    plate = np.full((140, 560, 3), 215, np.uint8)
    cv2.rectangle(plate, (3, 3), (556, 136), (20, 20, 20), 4)
    cv2.putText(plate, "B68SPK", (40, 105), cv2.FONT_HERSHEY_SIMPLEX, 3.2, (20, 20, 20), 12)
    slope, shear = np.tan(np.radians((tilt, lean)))
    rotation = OVERSAMPLING * height / 140 * np.array([[1, -shear], [slope, 1]])
    place = np.column_stack([rotation, OVERSAMPLING * 100 - rotation @ (280, 70)])
    large = np.full((OVERSAMPLING * 200, OVERSAMPLING * 200, 3), 90, np.uint8)
    cv2.warpAffine(plate, place, large.shape[1::-1], large, borderMode=cv2.BORDER_TRANSPARENT)
    corners = place @ [[0, 560, 560, 0], [0, 0, 140, 140], [1, 1, 1, 1]] / OVERSAMPLING
    small = cv2.resize(large, (200, 200), interpolation=cv2.INTER_AREA)
    return cv2.GaussianBlur(small, (0, 0), 0.7), (*corners.min(axis=1), *corners.max(axis=1))


def hints(image, box):
    plate = Plate("B68SPK", 0.9, (0.9,) * 6, (), box, 0.9, None)
    return measure_quality(ArrayImage(image), [plate])["hints"]


@pytest.mark.parametrize("height", [14, 24, 32])
@pytest.mark.parametrize(
    ("tilt", "lean"), [(0, 0), (5, 5), (-8, -8), (12, 0), (0, 15), (0, -20), (20, 20), (3, -10)]
)
def test_angle_is_right_within_two_degrees(tilt, lean, height):
    image, box = draw_plate(tilt, lean, height)
    assert measure_angle(ArrayImage(image).crop(box)) == pytest.approx((tilt, lean - tilt), abs=2)


@pytest.mark.parametrize(
    ("angle", "height", "hint"),
    [
        ((0, 0), 30, "easy to read"),
        ((8, 8), 30, "easy to read"),
        ((0, 0), 14, "14 px high, 25 px are needed: move the camera nearer or zoom in"),
        ((15, 15), 30, "tilted by 15°: rotate the camera"),
        ((-16, 0), 30, "from the side (skew 16°): move the camera"),
        ((0, 25), 30, "from the side (skew 25°)"),
    ],
)
def test_hint_names_wrong_size_or_angle(angle, height, hint):
    assert hint in hints(*draw_plate(*angle, height))[0]


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        (lambda image: image // 6, "dark: add light"),
        (lambda image: np.where(image > 150, 255, image).astype(np.uint8), "over-exposed"),
        (lambda image: cv2.GaussianBlur(image, (0, 0), 6), "blurred: focus"),
    ],
)
def test_hint_names_wrong_light_or_focus(change, hint):
    image, box = draw_plate(0, 0, 30)
    assert any(hint in found for found in hints(change(image), box))


def test_image_without_plates_has_no_measurements():
    assert measure_quality(ArrayImage(np.zeros((9, 9, 3), np.uint8)), []) is None
