"""What the set-up aid says of a plate, of pictures whose truth is known."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from plateid.capture.images import ArrayImage
from plateid.web.aid import look
from plateid.web.angle import angle_of
from plateid.web.live import Sight

FINE = 4
"""Pixels for one of the picture, so that edges are as smooth as a lens makes them."""


def plate_at(tilt, lean, height):
    """A plate in a grey street, and its box: its line falls by `tilt`, uprights lean by `lean`."""
    plate = np.full((140, 560, 3), 215, np.uint8)
    cv2.rectangle(plate, (3, 3), (556, 136), (20, 20, 20), 4)
    cv2.putText(plate, "B68SPK", (40, 105), cv2.FONT_HERSHEY_SIMPLEX, 3.2, (20, 20, 20), 12)
    falls, leans = np.tan(np.radians((tilt, lean)))
    turn = FINE * height / 140 * np.array([[1, -leans], [falls, 1]])
    place = np.column_stack([turn, FINE * 100 - turn @ (280, 70)])
    street = np.full((FINE * 200, FINE * 200, 3), 90, np.uint8)
    cv2.warpAffine(plate, place, street.shape[1::-1], street, borderMode=cv2.BORDER_TRANSPARENT)
    corners = place @ [[0, 560, 560, 0], [0, 0, 140, 140], [1, 1, 1, 1]] / FINE
    seen = cv2.resize(street, (200, 200), interpolation=cv2.INTER_AREA)
    return cv2.GaussianBlur(seen, (0, 0), 0.7), (*corners.min(axis=1), *corners.max(axis=1))


@pytest.mark.parametrize("height", [14, 24, 32])
@pytest.mark.parametrize(
    ("tilt", "lean"), [(0, 0), (5, 5), (-8, -8), (12, 0), (0, 15), (0, -20), (20, 20), (3, -10)]
)
def test_the_angle_is_right_by_two_degrees(tilt, lean, height):
    image, box = plate_at(tilt, lean, height)
    angle = angle_of(ArrayImage(image).crop(box))
    assert (angle.tilt, angle.skew) == pytest.approx((tilt, lean - tilt), abs=2)


@pytest.mark.parametrize(
    ("angle", "height", "hint"),
    [
        ((0, 0), 30, "well seen"),
        ((8, 8), 30, "well seen"),
        ((0, 0), 14, "14 px high, 25 are needed: move nearer or zoom"),
        ((15, 15), 30, "tilted by 15°: turn the camera"),
        ((-16, 0), 30, "from the side, 16° askew: move the camera"),
        ((0, 25), 30, "from the side, 25° askew"),
    ],
)
def test_the_hint_says_what_to_do(scene, angle, height, hint):
    image, box = plate_at(*angle, height)
    assert hint in seen(scene, image, box).hints[0]


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        (lambda image: image // 6, "dark: more light"),
        (lambda image: np.where(image > 150, 255, image).astype(np.uint8), "over-exposed"),
        (lambda image: cv2.GaussianBlur(image, (0, 0), 6), "blurred: focus"),
    ],
)
def test_light_and_focus_are_looked_at(scene, change, hint):
    image, box = plate_at(0, 0, 30)
    assert any(hint in said for said in seen(scene, change(image), box).hints)


def seen(scene, image, box):
    frame, (plate, *_) = scene
    return look(Sight(replace(frame, image=ArrayImage(image)), [replace(plate, box=box)]))
