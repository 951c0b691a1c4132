"""Small data sets in each format, as the tools that export them lay them out."""

import json
import os
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.train.dataset.test_labelled_images import exif_turned
from train.dataset.formats import read_labels
from train.dataset.formats.image_labels import LabelledBox, plate_classes
from train.dataset.image_reading import read_images
from train.train_error import TrainError

BOX = (20.0, 30.0, 120.0, 60.0)
ROW = "0 0.35 0.45 0.5 0.3"
"""BOX in a picture of 200 x 100."""


def lay_out(root: Path, files: dict[str, str | bytes]) -> Path:
    """Writes files; a picture needs no content."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        elif path.suffix in {".jpg", ".png", ".JPG"}:
            level = len(list(root.rglob("*")))
            cv2.imwrite(str(path), np.full((100, 200, 3), level, np.uint8))
        else:
            path.touch()
    return root


def coco(
    *names: str,
    boxes: tuple[int, ...] = (0,),
    classes: tuple[str, ...] = ("plate",),
    **image: object,
) -> str:
    """Pictures, and a box of the first class in each of `boxes`."""
    return json.dumps(
        {
            "images": [{"id": i, "file_name": name, **image} for i, name in enumerate(names)],
            "annotations": [
                {"id": n, "image_id": i, "category_id": 0, "bbox": [20, 30, 100, 30]}
                for n, i in enumerate(boxes)
            ],
            "categories": [{"id": i, "name": name} for i, name in enumerate(classes)],
        }
    )


def voc(
    *names: str, filename: str = "x.jpg", size: tuple[int | str, int | str] = (200, 100)
) -> str:
    corners = "<xmin>20</xmin><ymin>30</ymin><xmax>120</xmax><ymax>60</ymax>"
    objects = "".join(
        f"<object><name>{name}</name><bndbox>{corners}</bndbox></object>" for name in names
    )
    width, height = size
    return (
        f"<annotation verified='yes'><filename>{filename}</filename><size><width>{width}</width>"
        f"<height>{height}</height></size>{objects}</annotation>"
    )


LAYOUTS = {
    "ours": {
        "images/a.jpg": "",
        "images/b.jpg": "",
        "labels.csv": "\ufeffimage,x1,y1,x2,y2\na.jpg,20,30,120,60\nb.jpg,,,,\n",
    },
    "yolo by Roboflow": {
        "data.yaml": "names: ['Kennzeichen']\nnc: 1\ntrain: ../train/images\n",
        "README.roboflow.txt": "Roboflow",
        "train/images/a.jpg": "",
        "train/labels/a.txt": ROW,
        "valid/images/b.jpg": "",
        "valid/labels/b.txt": "",
        "Test/images/c.jpg": "",
        "Test/labels/c.txt": ROW,
    },
    "yolo by ultralytics": {
        "dataset.yaml": "names:\n  0: car\n  7: License_Plate\n",
        "images/train/a.jpg": "",
        "images/val/b.jpg": "",
        "labels/train/a.txt": f"7{ROW[1:]}\n\n0 0.5 0.5 0.1 0.1\n",
    },
    "yolo without names": {"images/a.jpg": "", "images/b.JPG": "", "labels/a.txt": ROW},
    "yolo by LabelImg": {
        "a.jpg": "",
        "a.txt": f"1{ROW[1:]}",
        "b.jpg": "",
        "classes.txt": "dog\nlp\n",
    },
    "yolo by Label Studio": {
        "images/a.jpg": "",
        "images/b.jpg": "",
        "labels/a.txt": ROW,
        "labels/classes.txt": "anything\n",
    },
    "yolo by CVAT": {
        "obj.names": "car\nplate\n",
        "obj.data": "classes = 2\ntrain = data/train.txt\nnames = data/obj.names\n",
        "train.txt": "data/obj_train_data/images/a.jpg\n",
        "obj_train_data/images/a.jpg": "",
        "obj_train_data/images/a.txt": f"1{ROW[1:]}\n0 0.5 0.5 0.1 0.1\n",
        "obj_train_data/images/b.jpg": "",
        "obj_train_data/images/b.txt": "0 0.5 0.5 0.1 0.1",
    },
    "yolo of polygons by Roboflow": {
        "data.yaml": "names: [plate]",
        "train/images/a.jpg": "",
        "train/labels/a.txt": "0 0.1 0.4 0.6 0.3 0.55 0.6",
        "train/images/b.jpg": "",
    },
    "coco by Roboflow": {
        "train/_annotations.coco.json": coco("a.jpg", width=200, height=100),
        "train/a.jpg": "",
        "valid/_annotations.coco.json": coco("b.jpg", boxes=()),
        "valid/b.jpg": "",
        "test/_annotations.coco.json": coco("c.jpg"),
        "test/c.jpg": "",
    },
    "coco by CVAT": {
        "annotations/instances_default.json": coco("a.jpg", "b.jpg"),
        "images/a.jpg": "",
        "images/b.jpg": "",
    },
    "coco of parts": {
        "annotations/instances_train.json": coco("a.jpg"),
        "annotations/instances_val.json": coco("../val/b.jpg", boxes=()),
        "train/a.jpg": "",
        "val/b.jpg": "",
    },
    "voc of Kaggle": {
        "annotations/a.xml": voc("licence", filename="old name.png"),
        "images/a.jpg": "",
        "images/b.jpg": "",
    },
    "voc by Roboflow": {
        "train/a.xml": voc("plate", "car"),
        "train/a.jpg": "",
        "valid/b.xml": voc(),
        "valid/b.jpg": "",
    },
    "coco by Windows": {
        "a.json": coco("images\\a.jpg", width=200, height=100),
        "b.json": coco("images\\b.jpg", boxes=()),
        "images/a.jpg": "",
        "images/b.jpg": "",
    },
    "voc by its filename": {
        "Annotations/1.xml": voc("Number Plate", "driver", filename="C:\\mine\\a.jpg", size=(0, 0)),
        "JPEGImages/a.jpg": "",
        "Annotations/b.xml": voc(size=("", " ")),
        "JPEGImages/b.jpg": "",
    },
    "voc in folders of labels": {
        "images/a.jpg": "",
        "labels/a.xml": voc("plate"),
        "images/b.jpg": "",
    },
    "coco in a folder of labels": {
        "images/a.jpg": "",
        "images/b.jpg": "",
        "labels/instances.json": coco("../images/a.jpg", "../images/b.jpg"),
    },
    "hidden files": {
        "images/a.jpg": "",
        "images/._a.jpg": "what macOS adds",
        "images/b.jpg": "",
        "labels/a.txt": ROW,
        ".cache/labels.json": coco("z.jpg"),
    },
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_same_plate_and_negative_are_read_from_every_format(tmp_path, layout):
    a, b = read_images(lay_out(tmp_path, LAYOUTS[layout]))
    assert (a.path.stem, b.path.stem) == ("a", "b")
    assert a.boxes == (pytest.approx(BOX),)
    assert b.boxes == ()
    assert a.group != b.group


BAD = {
    "no folder": ({}, "gone: no such folder"),
    "nothing": ({"a.jpg": ""}, r"no labels found; looked for labels.csv .* COCO .* YOLO .* VOC"),
    "two formats": (
        {"labels.csv": "image", "labels/a.txt": ROW, "images/a.jpg": "", "images/a.xml": voc()},
        r"more than one format, keep one: labels.csv \(labels.csv\), YOLO \(labels\), VOC \(imag",
    ),
    "an open quote": (
        {"labels.csv": 'image,x1,y1,x2,y2,text\na.jpg,1,1,9,9,"AB 12\nb.jpg,1,1,9,9,CD1\n'},
        "labels.csv: after line 1: is not CSV: unexpected end",
    ),
    "labels.csv in no code": ({"labels.csv": b"image,\xff\xfe"}, "labels.csv: line 1 is not UTF-8"),
    "yolo, another class": (
        {"images/a.jpg": "", "labels/a.txt": f"{ROW}\n2{ROW[1:]}"},
        r"labels/a.txt:2: class 2, but the classes are 0 \(unnamed\); name them in data.yaml, cl",
    ),
    "yolo, half a class": (
        {"images/a.jpg": "", "labels/a.txt": f"0.5{ROW[1:]}"},
        "labels/a.txt:1: class 0.5, but",
    ),
    "yolo, confidence": (
        {"images/a.jpg": "", "labels/a.txt": f"{ROW} 0.9"},
        "labels/a.txt:1: 6 numbers, not class, centre x, centre y, width, height, or a polygon",
    ),
    "yolo, half a polygon": (
        {"images/a.jpg": "", "labels/a.txt": f"{ROW} .1 .1 .1"},
        "labels/a.txt:1: 8 numbers",
    ),
    "yolo, a picture that is gone": (
        {"a.jpg": "", "a.txt": ROW, "b.txt": ROW, "notes.txt": "to do", "list.txt": "a.jpg"},
        "b.txt: labels without a picture$",
    ),
    "yolo, keypoints": (
        {"data.yaml": "{names: [plate], kpt_shape: [4, 2]}", "a.jpg": "", "a.txt": ROW},
        "data.yaml: kpt_shape: labels of keypoints are not read",
    ),
    "yolo, words": (
        {"images/a.jpg": "", "labels/a.txt": "0 .1 .1 wide high"},
        "labels/a.txt:1: could not convert string to float: 'wide'",
    ),
    "yolo, not a number": (
        {"images/a.jpg": "", "labels/a.txt": "0 .1 .1 nan .1"},
        "labels/a.txt:1: not a finite number",
    ),
    "yolo, in pixels": (
        {"images/a.jpg": "", "labels/a.txt": "0 120 50 40 10"},
        r"labels/a.txt: a.jpg: box .* outside the picture of 200 x 100",
    ),
    "yolo, no size": (
        {"images/a.jpg": "", "labels/a.txt": "0 .5 .5 0 .1"},
        r"labels/a.txt: a.jpg: box 100.0 45.0 100.0 55.0: a box of no size",
    ),
    "yolo, no picture": (
        {"images/a.jpg": "", "labels/b.txt": ROW},
        "labels/b.txt: labels without a picture",
    ),
    "yolo, no names": (
        {"data.yaml": "nc: 1", "images/a.jpg": ""},
        "data.yaml: no names of classes",
    ),
    "yolo, empty list of names": (
        {"classes.txt": "\n", "images/a.jpg": "", "labels/a.txt": ROW},
        "classes.txt: names no class",
    ),
    "yolo, no names in the list": (
        {"data.yaml": "names: []", "images/a.jpg": "", "labels/a.txt": ROW},
        "data.yaml: names no class",
    ),
    "yolo, no yaml": ({"data.yaml": "a: [", "images/a.jpg": ""}, "data.yaml: no names of classes"),
    "yolo, no plates": (
        {"data.yaml": "names: [dog, Kennzeichen]", "images/a.jpg": "", "labels/a.txt": ROW},
        "no class of plates among Kennzeichen, dog; rename the one of plates to plate in data.yaml",
    ),
    "coco, no plates": (
        {"a.json": coco("a.jpg", classes=("dog", "cat")), "a.jpg": ""},
        "no class of plates among cat, dog; rename the one of plates to plate in categories",
    ),
    "coco, no picture": ({"a.json": coco("a.jpg")}, "a.json: a.jpg: no such picture"),
    "coco, two pictures": (
        {"a.json": coco("a.jpg"), "x/a.jpg": "", "y/a.jpg": ""},
        "a.json: a.jpg: no such picture",
    ),
    "coco, no image": (
        {"a.json": coco("a.jpg", boxes=(5,)), "a.jpg": ""},
        "a.json: a box of image 5, which is not listed",
    ),
    "coco, two of one number": (
        {
            "a.json": coco("a.jpg", "b.jpg").replace('"id": 1,', '"id": 0,'),
            "a.jpg": "",
            "b.jpg": "",
        },
        "a.json: image 0 is listed 2 times",
    ),
    "coco, no class": (
        {"a.json": coco("a.jpg", classes=()), "a.jpg": ""},
        "a.json: a box of class 0, which is not listed",
    ),
    "coco, bad box": (
        {"a.json": coco("a.jpg").replace("[20, 30, 100, 30]", "[20, 30, 100]"), "a.jpg": ""},
        "a.json: annotations.0.bbox.3: Field required",
    ),
    "coco, cut short": ({"a.json": coco("a.jpg")[:-1], "a.jpg": ""}, "a.json: : Invalid JSON"),
    "coco, another size": (
        {"a.json": coco("a.jpg", width=640, height=480), "a.jpg": ""},
        r"a.json: says 640 x 480, but .*a.jpg is 200 x 100 pixels$",
    ),
    "voc, no picture": (
        {"a.xml": voc("plate")},
        r"a.xml: no such picture as a\.\* or x.jpg, or more than one",
    ),
    "voc, cut short": ({"a.xml": voc("plate")[:-5], "a.jpg": ""}, "a.xml: unclosed token"),
    "voc, entities": (
        {"a.xml": f"<!DOCTYPE x [<!ENTITY y 'z'>]>{voc('plate')}", "a.jpg": ""},
        r"a.xml: has a DOCTYPE \(x\), which is not read",
    ),
    "voc, no code": (
        {"a.xml": f'<?xml version="1.0" encoding="utf8mb4"?>{voc("plate")}', "a.jpg": ""},
        "a.xml: unknown encoding: utf8mb4",
    ),
    "voc, no box": (
        {"a.xml": voc("plate").replace("ymax", "ymux"), "a.jpg": ""},
        "a.xml: plate: its bndbox: could not convert",
    ),
    "voc, no plates": (
        {"a.xml": voc("dog", "cat"), "a.jpg": ""},
        "no class of plates among cat, dog; rename the one of plates to plate in <name>",
    ),
    "voc, turned": (
        {"a.xml": voc("plate", size=(100, 200)), "a.jpg": ""},
        "says 100 x 200, but .*a.jpg is 200 x 100 pixels; its EXIF orientation was not heeded",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_with_labels_is_told(tmp_path, case):
    files, reason = BAD[case]
    folder = lay_out(tmp_path, files) if files else tmp_path / "gone"
    with pytest.raises(TrainError, match=reason):
        read_images(folder)


def test_pictures_of_one_name_go_with_the_voc_of_their_part(tmp_path):
    files = {f"{part}/images/1.jpg": "" for part in ("train", "valid")}
    files |= {"train/annotations/1.xml": voc("plate"), "valid/annotations/1.xml": voc()}
    one, other = read_images(lay_out(tmp_path, files))
    assert (one.path.parts[-3], len(one.boxes)) == ("train", 1)
    assert (other.path.parts[-3], len(other.boxes)) == ("valid", 0)
    beside = {"1.jpg": "", "1.xml": voc("plate"), "aug/1.jpg": ""}
    pictures = read_images(lay_out(tmp_path / "beside", beside))
    assert [(p.path.parent.name, len(p.boxes)) for p in pictures] == [("beside", 1), ("aug", 0)]


def test_what_coco_lists_of_a_test_part_is_nobody_s_to_learn_from(tmp_path):
    names = ("train/a.jpg", "test/b.jpg")
    folder = lay_out(tmp_path, {"a.json": coco(*names)} | dict.fromkeys(names, ""))
    assert [picture.path.name for picture in read_images(folder)] == ["a.jpg"]


def test_a_link_to_nothing_is_no_label_file(tmp_path):
    folder = lay_out(tmp_path, {"a.jpg": "", "a.txt": ROW})
    for name in ("x.json", "x.xml"):
        (folder / name).symlink_to(tmp_path / "gone")
    assert len(read_images(folder)) == 1


def test_folders_that_are_links_are_looked_into_once(tmp_path):
    folder = lay_out(tmp_path, {"2023/a.jpg": "", "2023/a.txt": ROW})
    other = lay_out(tmp_path / "disk", {"b.jpg": "", "b.txt": ROW})
    (folder / "2024").symlink_to(other)
    (folder / "again").symlink_to(folder)
    assert [picture.path.name for picture in read_images(folder)] == ["a.jpg", "b.jpg"]


def test_a_folder_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    folder = lay_out(tmp_path, {"2023/a.jpg": "", "2023/a.txt": ROW, "2024/b.jpg": ""})

    def scandir(path):
        if str(path).endswith("2024"):  # root may read all
            raise PermissionError(13, "Permission denied", str(path))
        return known(path)

    known = os.scandir
    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(TrainError, match="2024: Permission denied"):
        read_images(folder)


def test_a_test_part_has_the_classes_of_its_data_set(tmp_path):
    files = {"data.yaml": "names: [car, plate]", "test/images/a.jpg": ""}
    folder = lay_out(tmp_path, files | {"test/labels/a.txt": f"1{ROW[1:]}\n{ROW}"})
    (one,) = read_images(folder / "test")
    assert one.boxes == (pytest.approx(BOX),)


def test_a_test_part_among_pictures_has_its_labels_among_labels(tmp_path):
    files = {"data.yaml": "names: [plate, car]", "images/test/a.jpg": "", "images/test/b.jpg": ""}
    folder = lay_out(tmp_path, files | {"labels/test/a.txt": f"1{ROW[1:]}\n{ROW}"})
    pictures = read_images(folder / "images" / "test")
    assert [picture.boxes for picture in pictures] == [(pytest.approx(BOX),), ()]


def test_problems_of_several_pictures_are_told_together(tmp_path):
    files = {f"images/{n}.jpg": "" for n in range(3)} | {f"labels/{n}.txt": "9" for n in range(3)}
    with pytest.raises(TrainError) as caught:
        read_images(lay_out(tmp_path, files))
    assert len(str(caught.value).splitlines()) == 3


def test_the_box_of_a_picture_that_exif_turns_is_where_it_is_seen(tmp_path):
    image = cv2.imencode(".jpg", np.zeros((100, 200, 3), np.uint8))[1].tobytes()
    files = {"a.jpg": exif_turned(image), "a.xml": voc("plate", size=(100, 200))}
    (one,) = read_images(lay_out(tmp_path, files | {"a.xml": files["a.xml"].replace("120", "90")}))
    assert (one.width, one.height) == (100, 200)
    assert one.boxes == ((20, 30, 90, 60),)


def test_boxes_of_other_classes_are_named_and_roboflow_s_root_is_no_class(tmp_path):
    content = json.loads(coco("a.jpg", classes=("Nummernschild", "vehicles")))
    content["categories"][0]["supercategory"] = "vehicles"
    lay_out(tmp_path, {"_annotations.coco.json": json.dumps(content), "a.jpg": ""})
    (labels,) = read_labels(tmp_path, problems := [])
    assert (labels.boxes, labels.others) == ((LabelledBox(BOX, "Nummernschild"),), ())
    content["categories"][0]["name"] = "dog"
    content["categories"].append({"id": 2, "name": "number_plate"})
    lay_out(tmp_path, {"_annotations.coco.json": json.dumps(content)})
    (labels,) = read_labels(tmp_path, problems)
    assert (labels.boxes, labels.others, problems) == ((), ("dog",), [])


@pytest.mark.parametrize(
    ("names", "plates"),
    [
        ([], set()),
        (["anything"], {"anything"}),
        (["License", "car"], {"License"}),
        (
            ["licence_plate", "number-plate", "lp", "LP_2", "car"],
            {"licence_plate", "number-plate", "lp", "LP_2"},
        ),
        (["help", "alpine", "registration plates"], {"registration plates"}),
        (["Template", "numberplate", "LicensePlate"], {"numberplate", "LicensePlate"}),
        (["template", "车牌"], set()),
    ],
)
def test_classes_of_plates_are_known_by_their_names(names, plates):
    assert plate_classes(set(names)) == plates


CORNER = st.integers(0, 98)


@given(st.lists(st.tuples(CORNER, CORNER).map(sorted).filter(lambda c: c[0] < c[1]), max_size=4))
def test_a_box_is_the_same_in_every_format(tmp_path_factory, spans):
    boxes = [(float(a), float(a), float(b), float(b)) for a, b in spans]
    folders = []
    for write in (as_csv, as_yolo, as_coco, as_voc):
        folders.append(tmp_path_factory.mktemp("set"))
        write(folders[-1], boxes)
    for folder in folders:
        (one,) = read_images(folder)
        assert [pytest.approx(box, abs=1e-4) for box in boxes] == list(one.boxes)


def as_csv(root: Path, boxes: list[tuple[float, ...]]) -> None:
    rows = [f"a.jpg,{','.join(map(str, box))}\n" for box in boxes] or ["a.jpg,,,,\n"]
    lay_out(root, {"images/a.jpg": "", "labels.csv": "image,x1,y1,x2,y2\n" + "".join(rows)})


def as_yolo(root: Path, boxes: list[tuple[float, ...]]) -> None:
    rows = [
        f"0 {(x1 + x2) / 400:.6f} {(y1 + y2) / 200:.6f} {(x2 - x1) / 200:.6f} {(y2 - y1) / 100:.6f}"
        for x1, y1, x2, y2 in boxes
    ]
    lay_out(root, {"images/a.jpg": "", "labels/a.txt": "\n".join(rows)})


def as_coco(root: Path, boxes: list[tuple[float, ...]]) -> None:
    content = json.loads(coco("a.jpg", boxes=()))
    content["annotations"] = [
        {"image_id": 0, "category_id": 0, "bbox": [x1, y1, x2 - x1, y2 - y1]}
        for x1, y1, x2, y2 in boxes
    ]
    lay_out(root, {"a.json": json.dumps(content), "a.jpg": ""})


def as_voc(root: Path, boxes: list[tuple[float, ...]]) -> None:
    content = voc(*["plate"] * len(boxes))
    for box in boxes:
        for old, new in zip(("xmin>20", "ymin>30", "xmax>120", "ymax>60"), box, strict=True):
            content = re.sub(rf"{old}<", f"{old[:5]}{new}<", content, count=1)
    lay_out(root, {"a.xml": content, "a.jpg": ""})
