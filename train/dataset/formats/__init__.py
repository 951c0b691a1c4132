"""Label formats: plateid's labels.csv, COCO, YOLO and Pascal VOC.

Each fault is added to `problems` as a line, so that all faults are reported at once.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from train.dataset.formats import coco, plateid_csv, voc, yolo
from train.dataset.formats.image_labels import ImageLabels, plate_classes

__all__ = ["ImageLabels", "read_labels"]


class LabelFormat(NamedTuple):
    """A label format; `layout` and `classes` say where labels and the names of classes are.

    `find` returns the label files of a folder; `read`, the labels of its images, and the classes.
    """

    name: str
    layout: str
    find: Callable[[Path], list[Path]]
    read: Callable[[Path, list[Path], list[str]], tuple[list[ImageLabels], set[str]]]
    classes: str = ""


FORMATS = (
    LabelFormat("labels.csv", "labels.csv with images/", plateid_csv.find, plateid_csv.read),
    LabelFormat(
        "COCO", "a .json of images, annotations and categories", coco.find, coco.read, "categories"
    ),
    LabelFormat(
        "YOLO", "data.yaml, labels/, or .txt beside images", yolo.find, yolo.read, yolo.CLASSES
    ),
    LabelFormat(
        "VOC", "Pascal's .xml in annotations/ or beside images", voc.find, voc.read, "<name>"
    ),
)


def read_labels(folder: Path, problems: list[str]) -> list[ImageLabels]:
    """Reads a data set in any of the formats; empty if there is a problem."""
    if not folder.is_dir():
        problems.append(f"{folder}: no such folder")
        return []
    try:
        found = [(form, files) for form in FORMATS if (files := form.find(folder))]
    except OSError as error:
        problems.append(f"{error.filename}: {error.strerror}")
        return []
    if len(found) == 1:
        return _read(folder, *found[0], problems)
    if found:
        names = ", ".join(f"{form.name} ({files[0].relative_to(folder)})" for form, files in found)
        problems.append(f"{folder}: labels in more than one format; keep one: {names}")
    else:
        looked = "; ".join(f"{form.name} ({form.layout})" for form in FORMATS)
        problems.append(f"{folder}: no labels found; looked for {looked}")
    return []


def _read(
    folder: Path, form: LabelFormat, files: list[Path], problems: list[str]
) -> list[ImageLabels]:
    """Returns the labels; boxes of other classes than plates are only counted."""
    labels, classes = form.read(folder, files, problems)
    plates = plate_classes(classes)
    if classes and not plates:
        problems.append(
            f"{folder}: none of the classes {', '.join(sorted(classes))} is a plate; "
            f"rename the class of plates to plate in {form.classes}"
        )
    return [
        replace(
            each,
            boxes=tuple(box for box in each.boxes if box.name in plates),
            other_classes=tuple(box.name for box in each.boxes if box.name not in plates),
        )
        for each in labels
    ]
