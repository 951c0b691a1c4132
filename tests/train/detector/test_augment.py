from pathlib import Path

import cv2
import numpy as np
import pytest
from ultralytics.cfg import get_cfg
from ultralytics.data.augment import RandomPerspective
from ultralytics.utils.torch_utils import init_seeds

from plateid.errors import SourceError
from train.dataset.grouping import Split
from train.dataset.splits import load_split
from train.dataset.yolo_layout import write_yolo
from train.detector import augment
from train.detector.augment import (
    PlateDataset,
    paste_signs,
    read_plate_images,
    render_plates,
    replace_plates,
    simulate_faults,
)
from train.detector.plate_trainer import AUGMENTATION
from train.train_error import TrainError

BOXES = np.array([[30, 40, 90, 60], [150, 20, 190, 40]], float)


def grey_image() -> np.ndarray:
    return np.full((120, 240, 3), 77, np.uint8)


@pytest.mark.parametrize("seed", range(8))
def test_pasted_plate_fills_its_box_only(seed):
    rng = np.random.default_rng(seed)
    image = grey_image()
    boxes = replace_plates(image, BOXES, [np.full((20, 60, 3), 200, np.uint8)], rng)
    assert (boxes == BOXES).all()
    assert (image[40:60, 30:90] != 77).all(), "a plate of the same shape is pasted"
    assert (image[20:40, 150:190] == 77).all(), "a plate of another shape is not"
    image[40:60, 30:90] = 77
    assert (image == 77).all()


def test_narrow_plate_in_a_wide_recess_gets_its_own_box():
    narrow = 0
    for seed in range(40):
        image = grey_image()
        image[40:60, 30:110] = 250
        wide = np.array([[30, 40, 110, 60]], float)
        plate = np.full((40, 80, 3), 200, np.uint8)
        (box,) = replace_plates(image, wide, [plate], np.random.default_rng(seed))
        x1, y1, x2, y2 = box.astype(int)
        if x2 - x1 == 80:
            continue
        narrow += 1
        inside = image[y1:y2, x1:x2].copy()
        image[y1:y2, x1:x2] = 0
        assert inside.min() > image.max(), "the box holds the whole plate and nothing else"
    assert 4 < narrow < 25


@pytest.mark.parametrize("seed", range(20))
def test_signs_never_cover_a_plate(seed):
    image = grey_image()
    paste_signs(image, BOXES, np.random.default_rng(seed))
    for x1, y1, x2, y2 in BOXES.astype(int):
        assert (image[y1:y2, x1:x2] == 77).all()


def test_signs_are_drawn():
    images = [grey_image() for _ in range(20)]
    for seed, image in enumerate(images):
        paste_signs(image, BOXES, np.random.default_rng(seed))
    assert sum((image != 77).any() for image in images) > 10


def test_signs_can_be_kept_off_the_vehicles(monkeypatch):
    monkeypatch.setattr(augment, "OFF_VEHICLE_SHARE", 1)
    small = np.array([[100.0, 80.0, 120.0, 85.0]])
    seen = np.zeros(grey_image().shape[:2], bool)
    for seed in range(60):
        image = grey_image()
        paste_signs(image, small, np.random.default_rng(seed))
        seen |= (image != 77).any(axis=2)
    assert not seen[65:100, 70:150].any()
    assert seen.any()


@pytest.mark.parametrize("seed", range(20))
def test_camera_faults_keep_shape_and_type(seed):
    rng = np.random.default_rng(seed)
    seen = simulate_faults(rng.integers(0, 256, (48, 96, 3)).astype(np.uint8), rng)
    assert (seen.shape, seen.dtype) == ((48, 96, 3), np.uint8)


def test_plates_are_read_from_folders_and_rendered(tmp_path):
    (tmp_path / "images").mkdir()
    cv2.imwrite(str(tmp_path / "images" / "a.png"), np.zeros((300, 900, 3), np.uint8))
    (plate,) = read_plate_images((str(tmp_path),))
    assert plate.shape == (96, 288, 3)
    assert len(render_plates(3, seed=0)) == 3


def test_folder_without_plates_or_with_a_broken_image_is_named(tmp_path: Path):
    with pytest.raises(TrainError, match="images: No such file"):
        read_plate_images((str(tmp_path),))
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").write_bytes(b"no picture")
    with pytest.raises(SourceError, match=r"a.png: is not a JPEG, PNG"):
        read_plate_images((str(tmp_path),))


def training_side(data: Path, root: Path, **options: str) -> PlateDataset:
    write_yolo(Split(load_split([data])[0].images, []), root)
    return PlateDataset(
        img_path=str(root / "images" / "train"),
        data={"names": {0: "plate"}, "nc": 1, "path": root, "channels": 3},
        imgsz=128,
        augment=True,
        hyp=get_cfg(overrides=AUGMENTATION),
        **options,
    )


def test_boxes_stay_on_their_plates_through_the_augmentation(data, tmp_path):
    init_seeds(0)
    dataset = training_side(data, tmp_path / "yolo", cache="ram")
    cached = [image.copy() for image in dataset.ims]
    dataset.plates = [np.full((16, 40, 3), 235, np.uint8)]
    seen = 0
    for sample in [dataset[i % len(dataset)] for i in range(60)]:
        image = sample["img"].numpy().mean(axis=0)
        if np.median(image) == 255:
            continue  # overexposed: the plate has the colour of its surroundings
        for cx, cy, w, h in sample["bboxes"].numpy() * 128:
            if min(w, h) > 12:
                middle = image[int(cy - h / 6) : int(cy + h / 6), int(cx - w / 6) : int(cx + w / 6)]
                assert middle.mean() > np.median(image)
                seen += 1
    assert seen > 60
    assert all((a == b).all() for a, b in zip(cached, dataset.ims, strict=True))


@pytest.mark.parametrize("kept", [0.3, 0.45, 0.55, 1.0])
def test_zoom_drops_the_label_of_a_plate_that_is_less_than_half_visible(data, tmp_path, kept):
    dataset = training_side(data, tmp_path / "yolo")
    (affine,) = (
        each
        for each in dataset.transforms.transforms[0].transforms
        if isinstance(each, RandomPerspective)
    )
    before, after = np.array([[0.0], [10], [40], [20]]), np.array([[0.0], [10], [40 * kept], [20]])
    assert affine.box_candidates(box1=before, box2=after, area_thr=0.1).tolist() == [kept > 0.5]
