from pathlib import Path

import cv2
import numpy as np
import pytest

from train import augment
from train.augment import camera, distract, read_plates, render_plates, transplant
from train.errors import TrainError

BOXES = np.array([[30, 40, 110, 60], [150, 20, 190, 40]], float)


def picture() -> np.ndarray:
    return np.full((120, 240, 3), 77, np.uint8)


@pytest.mark.parametrize("seed", range(8))
def test_another_plate_fills_its_box_and_nothing_else(monkeypatch, seed):
    monkeypatch.setattr(augment, "TRANSPLANTED", 1.0)
    rng = np.random.default_rng(seed)
    image = picture()
    transplant(image, BOXES, [np.full((20, 80, 3), 200, np.uint8)], rng)
    assert (image[40:60, 30:110] != 77).all(), "a plate of the box's shape is put in"
    assert (image[20:40, 150:190] == 77).all(), "one of another shape is not"
    image[40:60, 30:110] = 77
    assert (image == 77).all()


@pytest.mark.parametrize("seed", range(20))
def test_signs_never_cover_a_plate(seed):
    image = picture()
    distract(image, BOXES, np.random.default_rng(seed))
    for x1, y1, x2, y2 in BOXES.astype(int):
        assert (image[y1:y2, x1:x2] == 77).all()


def test_signs_are_drawn():
    images = [picture() for _ in range(20)]
    for seed, image in enumerate(images):
        distract(image, BOXES, np.random.default_rng(seed))
    assert sum((image != 77).any() for image in images) > 10


@pytest.mark.parametrize("seed", range(20))
def test_a_camera_keeps_the_shape_of_what_it_sees(seed):
    rng = np.random.default_rng(seed)
    seen = camera(rng.integers(0, 256, (48, 96, 3)).astype(np.uint8), rng)
    assert (seen.shape, seen.dtype) == ((48, 96, 3), np.uint8)


def test_plates_come_from_folders_and_from_the_renderer(tmp_path):
    (tmp_path / "images").mkdir()
    cv2.imwrite(str(tmp_path / "images" / "a.png"), np.zeros((300, 900, 3), np.uint8))
    (plate,) = read_plates((str(tmp_path),))
    assert plate.shape == (96, 288, 3)
    assert len(render_plates(3, np.random.default_rng(0))) == 3


def test_a_folder_without_plates_or_with_a_broken_one_is_named(tmp_path: Path):
    with pytest.raises(TrainError, match="images: no pictures of plates"):
        read_plates((str(tmp_path),))
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").write_bytes(b"no picture")
    with pytest.raises(TrainError, match=r"a.png: not a readable picture"):
        read_plates((str(tmp_path),))
