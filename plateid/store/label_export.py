"""Exports labels as a data set that `python -m train` reads.

A label says nothing about other plates in the image. The export paints everything grey that is
farther from the box than `AROUND`, so that a detector does not learn to miss such plates.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from plateid.core.drawing import encode_jpeg
from plateid.core.event_csv import csv_line
from plateid.core.geometry import clipped, expanded
from plateid.core.records import Box, Image
from plateid.store.labels import Label

Files = Iterator[tuple[str, bytes]]
"""Names and contents of files."""
AROUND = 2.0
"""Visible margin around the box, box widths. Plates of two cars side by side are farther apart."""
GREY = 114
"""Grey value with which ultralytics pads images."""
QUALITY = 95
"""JPEG quality."""


@dataclass(frozen=True)
class Labelled:
    """A label with the size of its image, (width, height), and its box within the image."""

    label: Label
    size: tuple[int, int]
    box: Box

    @property
    def image(self) -> str:
        """The name of the image file in `images/`."""
        return f"{self.label.id}.jpg"

    @property
    def is_plate(self) -> bool:
        """Whether the box shows a plate, legible or not."""
        return self.label.verdict != "notplate"


def training_files(labels: Iterable[tuple[Label, Image | None]], layout: str = "csv") -> Files:
    """Yields the files of a data set, `layout` of `EXPORT_FORMATS`, of images that still exist."""
    labelled = []
    for label, image in labels:
        if image is None or label.verdict == "skip":
            continue
        size = image.shape[1], image.shape[0]
        labelled.append(Labelled(label, size, clipped(label.box, image)))
        yield f"images/{labelled[-1].image}", crop_jpeg(image, labelled[-1].box)
    yield from EXPORT_FORMATS[layout](labelled)


def crop_jpeg(image: Image, box: Box) -> bytes:
    """Returns the image (JPEG) with everything grey but the surroundings of the box."""
    margin = AROUND * (box[2] - box[0])
    wide = expanded(box, x=AROUND, y=margin / (box[3] - box[1]))
    x1, y1, x2, y2 = (round(value) for value in clipped(wide, image))
    seen = np.full_like(image, GREY)
    seen[y1:y2, x1:x2] = image[y1:y2, x1:x2]
    return encode_jpeg(seen, QUALITY)


def _csv(labelled: list[Labelled]) -> Files:
    """Yields a table with a row per label; an image without a plate has an empty box."""
    lines = ["image,x1,y1,x2,y2,text,legibility"]
    for each in labelled:
        corners = [round(value, 1) for value in each.box] if each.is_plate else [""] * 4
        verdict = {"plate": "clear", "unreadable": "unreadable"}.get(each.label.verdict, "")
        lines.append(csv_line([each.image, *corners, each.label.text, verdict]))
    yield "labels.csv", "\n".join([*lines, ""]).encode()


def _yolo(labelled: list[Labelled]) -> Files:
    """Yields a text file per image, which is empty if there is no plate."""
    for each in labelled:
        (x1, y1, x2, y2), (width, height) = each.box, each.size
        middle = (x1 + x2) / 2 / width, (y1 + y2) / 2 / height
        values = (*middle, (x2 - x1) / width, (y2 - y1) / height)
        line = "0 " + " ".join(f"{value:.6f}" for value in values) + "\n"
        yield f"labels/{each.label.id}.txt", (line if each.is_plate else "").encode()
    yield "data.yaml", b"train: images\nval: images\nnames: {0: plate}\n"


def _coco(labelled: list[Labelled]) -> Files:
    """Yields one JSON file; an image without an annotation has no plate."""
    images, annotations = [], []
    for number, each in enumerate(labelled, 1):
        width, height = each.size
        images.append({"id": number, "file_name": each.image, "width": width, "height": height})
        x1, y1, x2, y2 = (round(value, 1) for value in each.box)
        place = {"bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1)}
        known = {"id": number, "image_id": number, "category_id": 1, "iscrowd": 0}
        if each.is_plate:
            annotations.append(known | place | {"text": each.label.text})
    categories = [{"id": 1, "name": "plate"}]
    whole = {"images": images, "annotations": annotations, "categories": categories}
    yield "annotations.json", json.dumps(whole).encode()


EXPORT_FORMATS: Mapping[str, Callable[[list[Labelled]], Files]] = {
    "csv": _csv,
    "yolo": _yolo,
    "coco": _coco,
}
"""Functions that write labels, by name of the format."""
