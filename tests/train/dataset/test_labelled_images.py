import os
import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from ultralytics.data.dataset import YOLODataset

from train.dataset.formats import ImageLabels
from train.dataset.image_reading import read_images
from train.dataset.labelled_images import (
    LabelledImage,
    group_of,
    grouped,
    held_out,
    joined,
    split,
    without_turned_copies,
    write_yolo,
)
from train.dataset.perceptual_hash import PerceptualHash
from train.record import data_hash
from train.train_error import TrainError

HEADER = "image,x1,y1,x2,y2,text,legibility,video,t\n"


def folder(path: Path, rows: str, *, pictures: tuple[str, ...] = ("a.png", "b.png")) -> Path:
    (path / "images").mkdir(parents=True)
    for name in pictures:
        cv2.imwrite(str(path / "images" / name), np.zeros((100, 200, 3), np.uint8))
    (path / "labels.csv").write_text(HEADER + rows)
    return path


def picture(
    name: str,
    group: str,
    *boxes: tuple[float, ...],
    is_copy: bool = False,
    is_turned: bool = False,
) -> LabelledImage:
    labels = ImageLabels(Path("d"), Path(name), Path("s"), (), {"scene": "1"} if is_copy else {})
    looks = PerceptualHash(bytes(64), b"")
    return LabelledImage(labels, boxes, group, 200, 100, 0, b"", looks, is_turned)


def exif_turned(jpeg: bytes) -> bytes:
    """Orientation 6: show it turned by a quarter to the right."""
    ifd = b"\x00\x01" + b"\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00" + bytes(4)
    exif = b"Exif\x00\x00MM\x00\x2a\x00\x00\x00\x08" + ifd
    return jpeg[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2) + exif + jpeg[2:]


def test_plates_of_one_picture_are_read_together_and_a_negative_has_none(tmp_path):
    data = folder(
        tmp_path / "ride",
        "a.png,10,20,30,40,AB1,clear,v,3\na.png,50,20,90,40,,unreadable,v,3\nb.png,,,,,,,v,70\n",
    )
    a, b = read_images(data)
    assert a.boxes == ((10, 20, 30, 40), (50, 20, 90, 40))
    assert b.boxes == ()
    assert (a.group, b.group) == ("ride/v/0", "ride/v/1")
    assert (a.width, a.height) == (200, 100)


def test_stills_may_stand_among_frames(tmp_path):
    rows = "a.png,10,20,30,40,,,v,70\nb.png,10,20,30,40,,,,\n"
    a, b = read_images(folder(tmp_path / "ride", rows))
    assert (a.group, b.group) == ("ride/v/1", "ride/b.png")


def test_rows_of_a_test_part_are_nobody_s_to_learn_from(tmp_path):
    rows = "a.png,10,20,30,40,,,,\ntest/b.png,10,20,30,40,,,,\n"
    assert [p.path.name for p in read_images(folder(tmp_path / "d", rows))] == ["a.png"]


def test_a_plate_that_cannot_be_read_by_us_is_a_plate(tmp_path):
    (one,) = read_images(folder(tmp_path / "d", "a.png,10,20,30,40,,notplate,v,3\n"))
    assert one.boxes == ((10, 20, 30, 40),)


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ("missing.png,1,2,3,4,,clear,v,0\n", "missing.png: does not exist"),
        ("a.png,1,2,x,4,,clear,v,0\n", "labels.csv:2: a.png: could not convert"),
        ("a.png,1,2,3,4,AB?1,,v,0\n", "a.png: text 'AB?1': leave out a text with ?"),
        ("a.png,1,2\n", "labels.csv:2: a.png: could not convert string to float: ''"),
        ("a.png,,2,3,4,,clear,v,0\n", "a.png: could not convert"),
        ("a.png,1,2,inf,4,,clear,v,0\n", "a.png: not a finite number"),
        ("a.png,1,2,3,4,,clear,v,soon\n", "a.png: could not convert string to float: 'soon'"),
        ("a.png,30,2,30,4,,clear,v,0\n", "a.png: box 30.0 2.0 30.0 4.0: a box of no size"),
        ("a.png,30,9,40,4,,clear,v,0\n", "a.png: box 30.0 9.0 40.0 4.0: a box of no size"),
        ("a.png,200,2,230,4,,clear,v,0\n", "outside the picture of 200 x 100 pixels"),
    ],
)
def test_a_bad_row_is_named(tmp_path, rows, reason):
    with pytest.raises(TrainError, match=re.escape(reason)):
        read_images(folder(tmp_path / "d", rows))


def test_all_that_is_wrong_is_told_at_once_up_to_twenty(tmp_path):
    rows = "".join(f"{n}.png,1,2,3,4,,clear,v,0\n" for n in range(30))
    with pytest.raises(TrainError) as caught:
        read_images(folder(tmp_path / "d", rows))
    lines = str(caught.value).splitlines()
    assert len(lines) == 21
    assert lines[-1] == "and 10 more"


def test_columns_that_are_missing_are_named(tmp_path):
    data = folder(tmp_path / "d", "")
    (data / "labels.csv").write_text("image,text,video\na.png,AB1,v\n")
    with pytest.raises(TrainError, match=r"labels.csv: no column x1, y1, x2, y2, t"):
        read_images(data)


def test_a_row_that_ends_before_its_picture_is_named_is_told_by_its_line(tmp_path):
    data = folder(tmp_path / "d", "")
    (data / "labels.csv").write_text("x1,y1,x2,y2,image\n1,2,30,40,a.png\n1,2\n")
    with pytest.raises(TrainError, match=r"labels.csv:3: : no picture is named"):
        read_images(data)


def test_texts_go_with_their_boxes_and_those_of_texts_csv_go_before(tmp_path):
    rows = "a.png,-30,20,120,60,AB 1,clear,v,3\na.png,150,90,230,130,AB2,clear,v,3\n"
    data = folder(tmp_path / "d", rows)
    (one,) = read_images(data)
    assert one.boxes == ((0, 20, 120, 60), (150, 90, 200, 100))
    assert one.texts == ("AB1", "AB2")
    (data / "texts.csv").write_text(
        "image,x1,y1,x2,y2,text\na.png,150,90,230,130,NEW\nb.png,,,,,X\n"
    )
    assert read_images(data)[0].texts == ("AB1", "NEW")


def jpeg(image: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", image)[1].tobytes()


NOISE = np.random.default_rng(0).integers(0, 255, (100, 200, 3)).astype(np.uint8)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "a.png: is empty"),
        (b"GIF89a and no more", "a.png: is not a JPEG, PNG, WebP, BMP or TIFF image"),
        (jpeg(NOISE)[:9000], "a.png: is truncated"),
        (exif_turned(jpeg(NOISE))[:9000], "a.png: is truncated"),
        (jpeg(NOISE[:9, :9]), "a.png: smaller than 10 pixels"),
    ],
)
def test_a_picture_that_cannot_be_used_is_named(tmp_path, content, reason):
    data = folder(tmp_path / "d", "a.png,1,2,3,4,,clear,v,0\n")
    (data / "images" / "a.png").write_bytes(content)
    with pytest.raises(TrainError, match=reason):
        read_images(data)


def test_a_picture_that_may_not_be_read_is_named(tmp_path):
    data = folder(tmp_path / "d", "a.png,1,2,3,4,,clear,v,0\n")
    (data / "images" / "a.png").unlink()
    (data / "images" / "a.png").symlink_to("/proc/self/mem")
    with pytest.raises(TrainError, match=r"a.png: Input/output error"):
        read_images(data)


def test_what_cameras_append_to_a_picture_does_no_harm(tmp_path):
    data = folder(tmp_path / "d", "a.png,1,2,3,4,,clear,v,0\n")
    clip = b"\xff\xda and a clip \xff\xd8"
    (data / "images" / "a.png").write_bytes(exif_turned(jpeg(NOISE)) + clip)
    (one,) = read_images(data)
    assert (one.width, one.height) == (100, 200), "upright"
    before = one.path.read_bytes()
    write_yolo(([one], []), tmp_path / "yolo")
    names = {"train": "images/train", "names": {0: "plate"}, "channels": 3}
    seen = YOLODataset(img_path=str(tmp_path / "yolo/images/train"), data=names, augment=False)
    assert Path(seen.im_files[0]).read_bytes() == before + b"\xff\xd9", "ultralytics mends none"
    assert one.path.read_bytes() == before


def test_copies_of_roboflow_are_of_one_group():
    copies = [
        group_of(Path("d"), {"image": f"{part}/images/cam 1_png.rf.{copy}.jpg"})
        for part, copy in (("train", "0a1b"), ("valid", "9Zx"))
    ]
    assert copies == ["d/cam 1_png", "d/cam 1_png"]
    assert group_of(Path("d"), {"image": "sub/car.rf.jpg"}) == "d/sub/car.rf.jpg"


def test_copies_of_roboflow_are_of_one_group_in_two_exports_too():
    copies = [
        picture(f"{export}/train/images/cam_jpg.rf.{copy}.jpg", f"{export}/cam_jpg", (0, 0, 9, 9))
        for export, copy in (("v1", "0a"), ("v2", "1b"))
    ]
    looks = (PerceptualHash(bytes(64), bytes(16)), PerceptualHash(b"\xff" * 64, bytes(16)))
    one, other = grouped([replace(p, looks=q) for p, q in zip(copies, looks, strict=True)])
    assert one.group == other.group


def test_the_groups_of_a_folder_are_the_same_from_within_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert group_of(Path(), {"image": "a.jpg"}) == f"{tmp_path.name}/a.jpg"


def test_a_group_is_never_on_both_sides_of_the_split(tmp_path):
    names = tuple(f"{n}.png" for n in range(60))
    rows = "".join(f"{n}.png,1,2,30,40,,clear,v,{20 * n}\n" for n in range(60))
    train, val = split(read_images(folder(tmp_path / "d", rows, pictures=names)))
    assert len(train) + len(val) == 60
    assert train
    assert val
    assert not {p.group for p in train} & {p.group for p in val}


PLATE = (1, 2, 30, 40)
NUMBERS = st.sets(st.integers(0, 99), min_size=2, max_size=9)


@given(NUMBERS, NUMBERS, st.booleans())
def test_of_few_groups_some_are_on_either_side_whatever_other_folders_are_there(some, others, one):
    a, b = (
        [picture(f"{n}", f"{name}/{n}", PLATE) for n in numbers]
        for name, numbers in (("a", some), ("b", list(others)[: 1 if one else None]))
    )
    sides = split([*a, *b])
    own = tuple([p for p in side if p in a] for side in sides)
    assert all(own)
    assert own == split(a)
    by_hash = [[p for p in a if held_out(p.group) is side] for side in (False, True)]
    if all(by_hash):
        assert own == tuple(by_hash)
    else:
        assert min(map(len, own)) == 1


def test_pictures_without_plates_do_not_stand_for_the_validation_part():
    names = [f"d/{n}" for n in range(99)]
    negative = next(name for name in names if held_out(name))
    plates = [name for name in names if not held_out(name)][:3]
    train, val = split([picture("n", negative), *(picture(name, name, PLATE) for name in plates)])
    assert (len(train), len(val)) == (2, 2)


GROUPS = st.lists(st.integers(0, 15).map(str), min_size=1, max_size=40)


@given(GROUPS, st.data())
def test_pictures_of_a_group_or_of_a_pair_stay_together_when_groups_are_joined(groups, data):
    positions = st.integers(0, len(groups) - 1)
    pairs = data.draw(st.lists(st.tuples(positions, positions)))
    names = joined(groups, pairs)
    assert all(names[i] == names[j] for i, j in pairs)
    assert len(set(zip(groups, names, strict=True))) == len(set(groups))
    assert all(groups.count(a) <= groups.count(b) for a, b in zip(groups, names, strict=True))
    assert joined(groups, []) == groups


def test_turned_copies_are_left_out_where_the_scene_has_others():
    upright, turned = (
        picture("a", "1", is_copy=True),
        picture("b", "1", is_copy=True, is_turned=True),
    )
    alone = picture("c", "2", is_copy=True, is_turned=True)
    night = picture("d", "3", is_turned=True)
    assert without_turned_copies([upright, turned, alone, night]) == [upright, night, alone]


@pytest.mark.parametrize(
    ("level", "corners", "turned"), [(120, 2, True), (120, 1, False), (20, 4, False)]
)
def test_black_corners_of_a_bright_picture_tell_that_it_was_turned(
    tmp_path, level, corners, turned
):
    data = folder(tmp_path / "d", "a.png,1,2,30,40,,clear,v,0\n")
    image = np.full((100, 200, 3), level, np.uint8)
    for y, x in ((0, 0), (-20, -20), (0, -20), (-20, 0))[:corners]:
        image[y : y + 20 or None, x : x + 20 or None] = 0
    cv2.imwrite(str(data / "images" / "a.png"), image)
    assert read_images(data)[0].is_turned is turned


def test_yolo_labels_are_relative_and_cut_at_the_border(tmp_path):
    pictures = read_images(folder(tmp_path / "d", "a.png,-20,25,100,75,,clear,v,0\n"))
    data = write_yolo((pictures, []), tmp_path / "yolo")
    assert f'path: "{tmp_path / "yolo"}"' in data.read_text()
    label = tmp_path / "yolo/labels/train/00000_a.txt"
    assert [float(v) for v in label.read_text().split()] == [0, 0.25, 0.5, 0.5, 0.5]
    assert (tmp_path / "yolo/images/train/00000_a.png").exists()


def test_names_of_any_bytes_and_any_script_are_only_names(tmp_path):
    odd = os.fsdecode(b"a\xe4.png")
    data = folder(tmp_path / "\N{AUTOMOBILE}'", "b.png,1,2,30,40,,clear,v,0\n")
    (data / "images" / "b.png").rename(data / "images" / odd)
    (data / "labels.csv").unlink()
    (data / "images" / odd).with_suffix(".txt").write_text("0 .5 .5 .2 .2")
    pictures = read_images(data)
    assert split(pictures) and data_hash(pictures)
    said = yaml.safe_load(write_yolo((pictures, []), data / "yolo").read_text(encoding="utf-8"))
    assert said["path"] == str(data / "yolo")


def test_pictures_of_one_name_do_not_overwrite_each_other(tmp_path):
    names = ("a.png", "a.jpg")
    rows = "a.png,1,2,30,40,,clear,v,0\na.jpg,5,6,30,40,,clear,v,0\n"
    both = [p for n in "12" for p in read_images(folder(tmp_path / n / "d", rows, pictures=names))]
    write_yolo((both, []), tmp_path / "yolo")
    assert len(list((tmp_path / "yolo/images/train").iterdir())) == 4
    assert len(list((tmp_path / "yolo/labels/train").iterdir())) == 4


def test_a_picture_of_any_name_is_one_that_ultralytics_sees(tmp_path):
    rows = "a.jfif,1,2,30,40,,clear,v,0\nb.jpg,1,2,30,40,,clear,v,0\n"
    data = folder(tmp_path / "d", rows, pictures=("a.jpg", "b.jpg"))
    (data / "images" / "a.jpg").rename(data / "images" / "a.jfif")
    write_yolo((read_images(data), []), tmp_path / "yolo")
    names = {"train": "images/train", "names": {0: "plate"}, "channels": 3}
    seen = YOLODataset(img_path=str(tmp_path / "yolo/images/train"), data=names, augment=False)
    assert [len(each["bboxes"]) for each in seen.labels] == [1, 1]


def test_what_was_written_for_ultralytics_is_read_back_and_replaced_only_when_complete(tmp_path):
    rows = "a.png,10.5,20,30,40.25,,clear,v,0\nb.png,,,,,,,v,0\n"
    pictures = read_images(folder(tmp_path / "d", rows))
    root = tmp_path / "yolo"
    write_yolo((pictures, []), root)
    write_yolo((pictures[:1], pictures[1:]), root)
    a, b = read_images(root)
    assert a.boxes[0] == pytest.approx(pictures[0].boxes[0], abs=1e-3)
    assert b.boxes == ()
    with pytest.raises(OSError, match="too long"):
        write_yolo((pictures, [picture(255 * "c", "g")]), root)
    assert len(read_images(root)) == 2
