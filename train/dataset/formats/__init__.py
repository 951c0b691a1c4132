"""Label files as they come: this project's labels.csv, COCO, YOLO and Pascal VOC.

What is wrong with them is added to `problems`, a line each, so that all of it is reported at once.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from train.dataset.formats import coco, table, voc, yolo
from train.dataset.formats.labelled import Labelled, pictures_below

__all__ = ["Labelled", "pictures_below", "read_labels"]


class Format(NamedTuple):
    """How to find a format's label files in a folder, and how to read them."""

    name: str
    looks: str
    find: Callable[[Path], list[Path]]
    read: Callable[[Path, list[Path], list[str]], list[Labelled]]


FORMATS = (
    Format("labels.csv", "labels.csv with images/", table.find, table.read),
    Format("COCO", "COCO (a .json of images, annotations and categories)", coco.find, coco.read),
    Format("YOLO", "YOLO (data.yaml, labels/, or .txt beside pictures)", yolo.find, yolo.read),
    Format("VOC", "Pascal VOC (.xml in annotations/ or beside pictures)", voc.find, voc.read),
)


def read_labels(folder: Path, problems: list[str]) -> list[Labelled]:
    """Reads a data set in whatever of the formats it is; empty where there is a problem."""
    if not folder.is_dir():
        problems.append(f"{folder}: no such folder")
        return []
    found = [(form, files) for form in FORMATS if (files := form.find(folder))]
    if len(found) == 1:
        ((form, files),) = found
        return form.read(folder, files, problems)
    if found:
        names = ", ".join(f"{form.name} ({_short(folder, files)})" for form, files in found)
        problems.append(f"{folder}: labels in more than one format, keep one: {names}")
    else:
        looked = "; ".join(form.looks for form in FORMATS)
        problems.append(f"{folder}: no labels found; looked for {looked}")
    return []


def _short(folder: Path, files: list[Path]) -> str:
    more = f" and {len(files) - 1} more" if len(files) > 1 else ""
    return f"{files[0].relative_to(folder)}{more}"
