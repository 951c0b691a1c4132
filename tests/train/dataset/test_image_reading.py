import re

import cv2
import numpy as np
import pytest

from tests.train.dataset.data_sets import data_set, exif_rotated
from train.dataset.image_reading import read_images
from train.train_error import TrainError


def test_rows_of_one_image_are_joined_and_an_empty_box_is_a_negative(tmp_path):
    data = data_set(
        tmp_path / "drive",
        "a.png,10,20,30,40,AB1,clear,v,3\na.png,50,20,90,40,,unreadable,v,3\nb.png,,,,,,,v,70\n",
    )
    a, b = read_images(data)
    assert a.boxes == ((10, 20, 30, 40), (50, 20, 90, 40))
    assert b.boxes == ()
    assert (a.group, b.group) == ("drive/v/0", "drive/v/1")
    assert (a.width, a.height) == (200, 100)


def test_rows_without_video_are_their_own_groups(tmp_path):
    rows = "a.png,10,20,30,40,,,v,70\nb.png,10,20,30,40,,,,\n"
    a, b = read_images(data_set(tmp_path / "drive", rows))
    assert (a.group, b.group) == ("drive/v/1", "drive/b.png")


def test_rows_of_a_test_part_are_ignored(tmp_path):
    rows = "a.png,10,20,30,40,,,,\ntest/b.png,10,20,30,40,,,,\n"
    assert [p.path.name for p in read_images(data_set(tmp_path / "d", rows))] == ["a.png"]


def test_box_without_legible_text_is_a_plate(tmp_path):
    (one,) = read_images(data_set(tmp_path / "d", "a.png,10,20,30,40,,notplate,v,3\n"))
    assert one.boxes == ((10, 20, 30, 40),)


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ("missing.png,1,2,3,4,,clear,v,0\n", "missing.png: does not exist"),
        ("a.png,1,2,x,4,,clear,v,0\n", "labels.csv:2: a.png: could not convert"),
        ("a.png,1,2,3,4,AB?1,,v,0\n", "a.png: text 'AB?1': leave a text with ? empty"),
        ("a.png,1,2\n", "labels.csv:2: a.png: could not convert string to float: ''"),
        ("a.png,,2,3,4,,clear,v,0\n", "a.png: could not convert"),
        ("a.png,1,2,inf,4,,clear,v,0\n", "a.png: not a finite number"),
        ("a.png,1,2,3,4,,clear,v,soon\n", "a.png: could not convert string to float: 'soon'"),
        ("a.png,30,2,30,4,,clear,v,0\n", "a.png: box 30.0 2.0 30.0 4.0: is empty"),
        ("a.png,30,9,40,4,,clear,v,0\n", "a.png: box 30.0 9.0 40.0 4.0: is empty"),
        ("a.png,200,2,230,4,,clear,v,0\n", "is outside of the image (200 x 100 pixels)"),
    ],
)
def test_bad_row_is_named(tmp_path, rows, reason):
    with pytest.raises(TrainError, match=re.escape(reason)):
        read_images(data_set(tmp_path / "d", rows))


def test_twenty_problems_are_listed_and_the_others_counted(tmp_path):
    rows = "".join(f"{n}.png,1,2,3,4,,clear,v,0\n" for n in range(30))
    with pytest.raises(TrainError) as caught:
        read_images(data_set(tmp_path / "d", rows))
    lines = str(caught.value).splitlines()
    assert len(lines) == 21
    assert lines[-1] == "and 10 more"


def test_missing_columns_are_named(tmp_path):
    data = data_set(tmp_path / "d", "")
    (data / "labels.csv").write_text("image,text,video\na.png,AB1,v\n")
    with pytest.raises(TrainError, match=r"labels.csv: no column x1, y1, x2, y2, t"):
        read_images(data)


def test_row_without_an_image_is_named_by_its_line(tmp_path):
    data = data_set(tmp_path / "d", "")
    (data / "labels.csv").write_text("x1,y1,x2,y2,image\n1,2,30,40,a.png\n1,2\n")
    with pytest.raises(TrainError, match=r"labels.csv:3: : names no image"):
        read_images(data)


def test_texts_csv_replaces_the_texts_of_its_boxes(tmp_path):
    rows = "a.png,-30,20,120,60,AB 1,clear,v,3\na.png,150,90,230,130,AB2,clear,v,3\n"
    data = data_set(tmp_path / "d", rows)
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
        (exif_rotated(jpeg(NOISE))[:9000], "a.png: is truncated"),
        (jpeg(NOISE[:9, :9]), "a.png: smaller than 10 pixels"),
    ],
)
def test_unusable_image_is_named(tmp_path, content, reason):
    data = data_set(tmp_path / "d", "a.png,1,2,3,4,,clear,v,0\n")
    (data / "images" / "a.png").write_bytes(content)
    with pytest.raises(TrainError, match=reason):
        read_images(data)


def test_unreadable_image_is_named(tmp_path):
    data = data_set(tmp_path / "d", "a.png,1,2,3,4,,clear,v,0\n")
    (data / "images" / "a.png").unlink()
    (data / "images" / "a.png").symlink_to("/proc/self/mem")
    with pytest.raises(TrainError, match=r"a.png: Input/output error"):
        read_images(data)


@pytest.mark.parametrize(
    ("level", "corners", "rotated"), [(120, 2, True), (120, 1, False), (20, 4, False)]
)
def test_black_corners_of_a_bright_image_mean_that_it_was_rotated(
    tmp_path, level, corners, rotated
):
    data = data_set(tmp_path / "d", "a.png,1,2,30,40,,clear,v,0\n")
    image = np.full((100, 200, 3), level, np.uint8)
    for y, x in ((0, 0), (-20, -20), (0, -20), (-20, 0))[:corners]:
        image[y : y + 20 or None, x : x + 20 or None] = 0
    cv2.imwrite(str(data / "images" / "a.png"), image)
    assert read_images(data)[0].is_rotated is rotated
