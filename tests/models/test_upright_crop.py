import cv2
import numpy as np
import pytest

from plateid.capture.images import ArrayImage
from plateid.core.geometry import expanded
from plateid.core.records import Box, Image
from plateid.models.upright_crop import upright_crops


def tilted(image: Image, box: Box, degrees: float) -> tuple[ArrayImage, Box]:
    """Returns the image turned clockwise about the middle of a box, and the box around it."""
    x1, y1, x2, y2 = box
    turn = cv2.getRotationMatrix2D(((x1 + x2) / 2, (y1 + y2) / 2), -degrees, 1.0)
    size = image.shape[1], image.shape[0]
    corners = np.array([(x1, y1, 1), (x2, y1, 1), (x2, y2, 1), (x1, y2, 1)]) @ turn.T
    low, high = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
    return ArrayImage(np.asarray(cv2.warpAffine(image, turn, size))), (*low, *high)


@pytest.mark.parametrize("degrees", [-20.0, -12.0, -5.0, 5.0, 12.0, 20.0])
def test_a_tilted_plate_is_turned_upright_with_its_own_sides(degrees):
    image = np.full((200, 300, 3), 40, np.uint8)
    cv2.rectangle(image, (100, 80), (179, 119), (220, 220, 220), -1)
    cv2.rectangle(image, (100, 80), (109, 119), (0, 0, 250), -1)
    (crop,) = upright_crops(*tilted(image, (100, 80, 180, 120), degrees), [degrees])
    assert crop.box[2:] == pytest.approx((80, 40), abs=1)
    inside = crop.crop(expanded(crop.box, x=-0.03, y=-0.05))
    assert inside.min(axis=(0, 1))[2] > 200, "no surroundings"
    band, plain = crop.crop(crop.box)[20, [4, 20], 0].tolist()
    assert (band < 60, plain > 200) == (True, True)


def test_an_angle_at_which_no_plate_fits_the_box_is_left_out():
    image = ArrayImage(np.zeros((100, 500, 3), np.uint8))
    assert not list(upright_crops(image, (10, 10, 410, 90), [-12, 12, 25]))
    assert len(list(upright_crops(image, (10, 10, 410, 90), [-3, 3]))) == 2


def test_a_box_at_the_border_is_turned_too():
    image = ArrayImage(np.zeros((60, 60, 3), np.uint8))
    for crop in upright_crops(image, (-5, -5, 40, 30), [-12, 12]):
        assert crop.crop(crop.box).shape[:2] == (crop.box[3], crop.box[2])
