import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from train.data import read_pictures, split, write_yolo
from train.errors import TrainError

HEADER = "image,x1,y1,x2,y2,text,legibility,video,t\n"


def folder(path: Path, rows: str, *, pictures: tuple[str, ...] = ("a.png", "b.png")) -> Path:
    (path / "images").mkdir(parents=True)
    for name in pictures:
        cv2.imwrite(str(path / "images" / name), np.zeros((100, 200, 3), np.uint8))
    (path / "labels.csv").write_text(HEADER + rows)
    return path


def test_plates_of_one_picture_are_read_together_and_a_negative_has_none(tmp_path):
    data = folder(
        tmp_path / "ride",
        "a.png,10,20,30,40,AB1,clear,v,3\na.png,50,20,90,40,,unreadable,v,3\nb.png,,,,,,,v,70\n",
    )
    a, b = read_pictures(data)
    assert a.boxes == ((10, 20, 30, 40), (50, 20, 90, 40))
    assert b.boxes == ()
    assert (a.group, b.group) == ("ride/v/0", "ride/v/1")


def test_what_is_no_plate_is_a_hard_negative(tmp_path):
    (picture,) = read_pictures(folder(tmp_path / "d", "a.png,10,20,30,40,,notplate,v,3\n"))
    assert picture.boxes == ()


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ("missing.png,1,2,3,4,,clear,v,0\n", "missing.png: no such picture"),
        ("a.png,1,2,x,4,,clear,v,0\n", "a.png: could not convert"),
        ("a.png,30,2,30,4,,clear,v,0\n", "a.png: a box of no size"),
    ],
)
def test_a_bad_row_is_named(tmp_path, rows, reason):
    with pytest.raises(TrainError, match=reason):
        read_pictures(folder(tmp_path / "d", rows))


def test_a_folder_without_labels_is_named(tmp_path):
    with pytest.raises(TrainError, match=re.escape(str(tmp_path / "labels.csv"))):
        read_pictures(tmp_path)


def test_a_group_is_never_on_both_sides_of_the_split(tmp_path):
    names = tuple(f"{n}.png" for n in range(60))
    rows = "".join(f"{n}.png,1,2,30,40,,clear,v,{20 * n}\n" for n in range(60))
    train, val = split(read_pictures(folder(tmp_path / "d", rows, pictures=names)))
    assert len(train) + len(val) == 60
    assert train
    assert val
    assert not {p.group for p in train} & {p.group for p in val}


def test_yolo_labels_are_relative_and_cut_at_the_border(tmp_path):
    pictures = read_pictures(folder(tmp_path / "d", "a.png,-20,25,100,75,,clear,v,0\n"))
    data = write_yolo((pictures, []), tmp_path / "yolo")
    assert f"path: {tmp_path / 'yolo'}" in data.read_text()
    label = tmp_path / "yolo/labels/train/d_a.txt"
    assert [float(v) for v in label.read_text().split()] == [0, 0.25, 0.5, 0.5, 0.5]
    assert (tmp_path / "yolo/images/train/d_a.png").exists()
