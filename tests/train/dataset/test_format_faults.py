import pytest

from tests.train.dataset.data_sets import ROW, coco, lay_out, voc
from train.dataset.image_reading import read_images
from train.train_error import TrainError

LEVELS = (f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10))
ALIASES = "\n".join(["a0: &a0 [x]", *LEVELS, "names: [*a9]"])
"""Nested aliases: 9 ** 9 elements if they are written out."""
FAULTS = {
    "no folder": ({}, "gone: no such folder"),
    "nothing": ({"a.jpg": ""}, r"no labels found; looked for labels.csv .* COCO .* YOLO .* VOC"),
    "two formats": (
        {"labels.csv": "image", "labels/a.txt": ROW, "images/a.jpg": "", "images/a.xml": voc()},
        r"more than one format; keep one: labels.csv \(labels.csv\), YOLO \(labels\), VOC \(imag",
    ),
    "labels.csv, open quote": (
        {"labels.csv": 'image,x1,y1,x2,y2,text\na.jpg,1,1,9,9,"AB 12\nb.jpg,1,1,9,9,CD1\n'},
        "labels.csv: after line 1: is not CSV: unexpected end",
    ),
    "labels.csv, control characters": (
        {"labels.csv": "image,x1,y1,x2,y2\n\x1b[2J,1,1,9,x\n"},
        r"labels.csv:2: \\x1b\[2J: could not convert",
    ),
    "labels.csv, not UTF-8": ({"labels.csv": b"image,\xff\xfe"}, "labels.csv: line 1 is not UTF-8"),
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
    "yolo, image missing": (
        {"a.jpg": "", "a.txt": ROW, "b.txt": ROW, "notes.txt": "to do", "list.txt": "a.jpg"},
        "b.txt: labels without an image$",
    ),
    "yolo, keypoints": (
        {"data.yaml": "{names: [plate], kpt_shape: [4, 2]}", "a.jpg": "", "a.txt": ROW},
        "data.yaml: kpt_shape: keypoint labels are not supported",
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
        r"labels/a.txt: a.jpg: box .* is outside of the image .200 x 100 pixels",
    ),
    "yolo, no size": (
        {"images/a.jpg": "", "labels/a.txt": "0 .5 .5 0 .1"},
        r"labels/a.txt: a.jpg: box 100.0 45.0 100.0 55.0: is empty",
    ),
    "yolo, no image": (
        {"images/a.jpg": "", "labels/b.txt": ROW},
        "labels/b.txt: labels without an image",
    ),
    "yolo, no names": ({"data.yaml": "nc: 1", "images/a.jpg": ""}, "data.yaml: no class names"),
    "yolo, empty list of names": (
        {"classes.txt": "\n", "images/a.jpg": "", "labels/a.txt": ROW},
        "classes.txt: names no class",
    ),
    "yolo, no names in the list": (
        {"data.yaml": "names: []", "images/a.jpg": "", "labels/a.txt": ROW},
        "data.yaml: names no class",
    ),
    "yolo, nested aliases": (
        {"data.yaml": ALIASES, "a.jpg": "", "a.txt": ROW},
        "data.yaml: no class names: names.*: Input should be a valid",
    ),
    "yolo, deep yaml": (
        {"data.yaml": "[" * 9999, "a.jpg": "", "a.txt": ROW},
        "data.yaml: no class names: maximum recursion depth",
    ),
    "yolo, a timestamp": (
        {"data.yaml": "names: !!timestamp x", "a.jpg": "", "a.txt": ROW},
        "data.yaml: no class names",
    ),
    "yolo, no yaml": ({"data.yaml": "a: [", "images/a.jpg": ""}, "data.yaml: no class names"),
    "yolo, no plates": (
        {"data.yaml": "names: [dog, Kennzeichen]", "images/a.jpg": "", "labels/a.txt": ROW},
        "none of the classes Kennzeichen, dog is a plate; rename the class",
    ),
    "coco, no plates": (
        {"a.json": coco("a.jpg", classes=("dog", "cat")), "a.jpg": ""},
        "none of the classes cat, dog is a plate; rename .* in categories",
    ),
    "coco, no image file": ({"a.json": coco("a.jpg")}, "a.json: a.jpg: no such image"),
    "coco, two images": (
        {"a.json": coco("a.jpg"), "x/a.jpg": "", "y/a.jpg": ""},
        "a.json: a.jpg: no such image",
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
    "voc, no image": ({"a.xml": voc("plate")}, r"a.xml: no image a\.\* or x.jpg, or several"),
    "voc, cut short": ({"a.xml": voc("plate")[:-5], "a.jpg": ""}, "a.xml: unclosed token"),
    "voc, entities": (
        {"a.xml": f"<!DOCTYPE x [<!ENTITY y 'z'>]>{voc('plate')}", "a.jpg": ""},
        "a.xml: has a DOCTYPE, which is not supported",
    ),
    "voc, unknown encoding": (
        {"a.xml": f'<?xml version="1.0" encoding="utf8mb4"?>{voc("plate")}', "a.jpg": ""},
        "a.xml: unknown encoding: utf8mb4",
    ),
    "voc, no box": (
        {"a.xml": voc("plate").replace("ymax", "ymux"), "a.jpg": ""},
        "a.xml: plate: its bndbox: could not convert",
    ),
    "voc, no plates": (
        {"a.xml": voc("dog", "cat"), "a.jpg": ""},
        "none of the classes cat, dog is a plate; rename the class of plates to plate in <name>",
    ),
    "voc, rotated": (
        {"a.xml": voc("plate", size=(100, 200)), "a.jpg": ""},
        "says 100 x 200, but .*a.jpg is 200 x 100 pixels; the labels ignore its EXIF orientation",
    ),
}


@pytest.mark.parametrize("case", FAULTS)
def test_fault_is_named(tmp_path, case):
    files, reason = FAULTS[case]
    folder = lay_out(tmp_path, files) if files else tmp_path / "gone"
    with pytest.raises(TrainError, match=reason):
        read_images(folder)
