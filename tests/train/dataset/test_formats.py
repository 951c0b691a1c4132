import json
import os
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.train.dataset.data_sets import BOX, ROW, coco, exif_rotated, lay_out, voc
from train.dataset.formats import read_labels
from train.dataset.formats.image_labels import LabelledBox, plate_classes
from train.dataset.image_reading import read_images
from train.train_error import TrainError

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


@pytest.mark.parametrize("place", ["absolute", "relative"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_format_gives_the_same_plate_and_negative(tmp_path, monkeypatch, layout, place):
    folder = lay_out(tmp_path / "data", LAYOUTS[layout])
    monkeypatch.chdir(tmp_path)
    a, b = read_images(folder if place == "absolute" else Path("data"))
    assert (a.path.stem, b.path.stem) == ("a", "b")
    assert a.boxes == (pytest.approx(BOX),)
    assert b.boxes == ()
    assert a.group != b.group


def test_images_of_one_name_get_the_nearest_voc_file(tmp_path):
    files = {f"{part}/images/1.jpg": "" for part in ("train", "valid")}
    files |= {"train/annotations/1.xml": voc("plate"), "valid/annotations/1.xml": voc()}
    one, other = read_images(lay_out(tmp_path, files))
    assert (one.path.parts[-3], len(one.boxes)) == ("train", 1)
    assert (other.path.parts[-3], len(other.boxes)) == ("valid", 0)
    beside = {"1.jpg": "", "1.xml": voc("plate"), "aug/1.jpg": ""}
    images = read_images(lay_out(tmp_path / "beside", beside))
    assert [(p.path.parent.name, len(p.boxes)) for p in images] == [("beside", 1), ("aug", 0)]


def test_coco_images_of_a_test_part_are_ignored(tmp_path):
    names = ("train/a.jpg", "test/b.jpg")
    folder = lay_out(tmp_path, {"a.json": coco(*names)} | dict.fromkeys(names, ""))
    assert [image.path.name for image in read_images(folder)] == ["a.jpg"]


def test_broken_link_is_no_label_file(tmp_path):
    folder = lay_out(tmp_path, {"a.jpg": "", "a.txt": ROW})
    for name in ("x.json", "x.xml"):
        (folder / name).symlink_to(tmp_path / "gone")
    assert len(read_images(folder)) == 1


def test_linked_folders_are_visited_once(tmp_path):
    folder = lay_out(tmp_path, {"2023/a.jpg": "", "2023/a.txt": ROW})
    other = lay_out(tmp_path / "disk", {"b.jpg": "", "b.txt": ROW})
    (folder / "2024").symlink_to(other)
    (folder / "again").symlink_to(folder)
    assert [image.path.name for image in read_images(folder)] == ["a.jpg", "b.jpg"]


def test_unreadable_folder_is_named(tmp_path, monkeypatch):
    folder = lay_out(tmp_path, {"2023/a.jpg": "", "2023/a.txt": ROW, "2024/b.jpg": ""})

    def scandir(path):
        if str(path).endswith("2024"):  # root may read all
            raise PermissionError(13, "Permission denied", str(path))
        return known(path)

    known = os.scandir
    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(TrainError, match="2024: Permission denied"):
        read_images(folder)


def test_test_part_uses_the_classes_of_its_data_set(tmp_path):
    files = {"data.yaml": "names: [car, plate]", "test/images/a.jpg": ""}
    folder = lay_out(tmp_path, files | {"test/labels/a.txt": f"1{ROW[1:]}\n{ROW}"})
    (one,) = read_images(folder / "test")
    assert one.boxes == (pytest.approx(BOX),)


def test_test_part_in_images_uses_labels_test(tmp_path):
    files = {"data.yaml": "names: [plate, car]", "images/test/a.jpg": "", "images/test/b.jpg": ""}
    folder = lay_out(tmp_path, files | {"labels/test/a.txt": f"1{ROW[1:]}\n{ROW}"})
    images = read_images(folder / "images" / "test")
    assert [image.boxes for image in images] == [(pytest.approx(BOX),), ()]


def test_problems_of_several_images_are_reported_together(tmp_path):
    files = {f"images/{n}.jpg": "" for n in range(3)} | {f"labels/{n}.txt": "9" for n in range(3)}
    with pytest.raises(TrainError) as caught:
        read_images(lay_out(tmp_path, files))
    assert len(str(caught.value).splitlines()) == 3


def test_box_of_an_exif_rotated_image_is_upright(tmp_path):
    image = cv2.imencode(".jpg", np.zeros((100, 200, 3), np.uint8))[1].tobytes()
    files = {"a.jpg": exif_rotated(image), "a.xml": voc("plate", size=(100, 200))}
    (one,) = read_images(lay_out(tmp_path, files | {"a.xml": files["a.xml"].replace("120", "90")}))
    assert (one.width, one.height) == (100, 200)
    assert one.boxes == ((20, 30, 90, 60),)


def test_other_classes_are_counted_without_roboflow_root(tmp_path):
    content = json.loads(coco("a.jpg", classes=("Nummernschild", "vehicles")))
    content["categories"][0]["supercategory"] = "vehicles"
    lay_out(tmp_path, {"_annotations.coco.json": json.dumps(content), "a.jpg": ""})
    (labels,) = read_labels(tmp_path, problems := [])
    assert (labels.boxes, labels.other_classes) == ((LabelledBox(BOX, "Nummernschild"),), ())
    content["categories"][0]["name"] = "dog"
    content["categories"].append({"id": 2, "name": "number_plate"})
    lay_out(tmp_path, {"_annotations.coco.json": json.dumps(content)})
    (labels,) = read_labels(tmp_path, problems)
    assert (labels.boxes, labels.other_classes, problems) == ((), ("dog",), [])


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
def test_plate_classes_are_recognised_by_name(names, plates):
    assert plate_classes(set(names)) == plates


CORNER = st.integers(0, 98)


@given(st.lists(st.tuples(CORNER, CORNER).map(sorted).filter(lambda c: c[0] < c[1]), max_size=4))
def test_every_format_gives_the_same_box(tmp_path_factory, spans):
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
