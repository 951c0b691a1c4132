import os
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from ultralytics.data.dataset import YOLODataset

from tests.train.dataset.data_sets import data_set, exif_rotated
from train.dataset.grouping import Split
from train.dataset.image_reading import read_images
from train.dataset.labelled_image import data_hash
from train.dataset.yolo_layout import write_yolo

NOISE = np.random.default_rng(0).integers(0, 255, (100, 200, 3)).astype(np.uint8)


def test_labels_are_normalised_and_clipped(tmp_path):
    images = read_images(data_set(tmp_path / "d", "a.png,-20,25,100,75,,clear,v,0\n"))
    data = write_yolo(Split(images, []), tmp_path / "yolo")
    assert f'path: "{tmp_path / "yolo"}"' in data.read_text()
    label = tmp_path / "yolo/labels/train/00000_a.txt"
    assert [float(v) for v in label.read_text().split()] == [0, 0.25, 0.5, 0.5, 0.5]
    assert (tmp_path / "yolo/images/train/00000_a.png").exists()


def test_file_names_may_hold_any_bytes(tmp_path):
    odd = os.fsdecode(b"a\xe4.png")
    data = data_set(tmp_path / "\N{AUTOMOBILE}'", "b.png,1,2,30,40,,clear,v,0\n")
    (data / "images" / "b.png").rename(data / "images" / odd)
    (data / "labels.csv").unlink()
    (data / "images" / odd).with_suffix(".txt").write_text("0 .5 .5 .2 .2")
    images = read_images(data)
    assert data_hash(images)
    written = yaml.safe_load(
        write_yolo(Split(images, []), data / "yolo").read_text(encoding="utf-8")
    )
    assert written["path"] == str(data / "yolo")


def test_images_with_the_same_name_are_all_kept(tmp_path):
    names = ("a.png", "a.jpg")
    rows = "a.png,1,2,30,40,,clear,v,0\na.jpg,5,6,30,40,,clear,v,0\n"
    both = [p for n in "12" for p in read_images(data_set(tmp_path / n / "d", rows, images=names))]
    write_yolo(Split(both, []), tmp_path / "yolo")
    assert len(list((tmp_path / "yolo/images/train").iterdir())) == 4
    assert len(list((tmp_path / "yolo/labels/train").iterdir())) == 4


def test_ultralytics_reads_images_with_any_suffix(tmp_path):
    rows = "a.jfif,1,2,30,40,,clear,v,0\nb.jpg,1,2,30,40,,clear,v,0\n"
    data = data_set(tmp_path / "d", rows, images=("a.jpg", "b.jpg"))
    (data / "images" / "a.jpg").rename(data / "images" / "a.jfif")
    write_yolo(Split(read_images(data), []), tmp_path / "yolo")
    names = {"train": "images/train", "names": {0: "plate"}, "channels": 3}
    seen = YOLODataset(img_path=str(tmp_path / "yolo/images/train"), data=names, augment=False)
    assert [len(each["bboxes"]) for each in seen.labels] == [1, 1]


def test_jpeg_with_appended_data_is_copied_and_ends_correctly(tmp_path):
    data = data_set(tmp_path / "d", "a.png,1,2,3,4,,clear,v,0\n")
    video = b"\xff\xda and a video \xff\xd8"
    (data / "images" / "a.png").write_bytes(
        exif_rotated(cv2.imencode(".jpg", NOISE)[1].tobytes()) + video
    )
    (one,) = read_images(data)
    assert (one.width, one.height) == (100, 200), "upright"
    before = one.path.read_bytes()
    write_yolo(Split([one], []), tmp_path / "yolo")
    names = {"train": "images/train", "names": {0: "plate"}, "channels": 3}
    seen = YOLODataset(img_path=str(tmp_path / "yolo/images/train"), data=names, augment=False)
    assert Path(seen.im_files[0]).read_bytes() == before + b"\xff\xd9", (
        "ultralytics has not rewritten the file"
    )
    assert one.path.read_bytes() == before


def test_labels_can_be_read_back_and_are_replaced_only_when_complete(tmp_path):
    rows = "a.png,10.5,20,30,40.25,,clear,v,0\nb.png,,,,,,,v,0\n"
    images = read_images(data_set(tmp_path / "d", rows))
    root = tmp_path / "yolo"
    write_yolo(Split(images, []), root)
    write_yolo(Split(images[:1], images[1:]), root)
    a, b = read_images(root)
    assert a.boxes[0] == pytest.approx(images[0].boxes[0], abs=1e-3)
    assert b.boxes == ()
    copy = images[0].path.with_name(250 * "c" + ".png")  # the name of its link is too long
    copy.write_bytes(images[0].path.read_bytes())
    long_name = replace(images[0].labels, path=copy)
    with pytest.raises(OSError, match="too long"):
        write_yolo(Split(images, [replace(images[0], labels=long_name)]), root)
    assert len(read_images(root)) == 2
