"""Reads each labelled picture once, and checks its labels against what is seen."""

import hashlib
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track

from plateid.capture.images import read_image
from plateid.core.records import Box, Image
from plateid.errors import SourceError
from train.dataset.formats import ImageLabels, labels_csv, read_labels
from train.dataset.labelled_images import LabelledImage, group_of
from train.dataset.perceptual_hash import fingerprint
from train.train_error import TrainError

SMALLEST = 10
"""Pixels a side; ultralytics leaves out what is smaller without a word."""
SLACK = 1.0
"""Pixels by which a box may lie outside without being counted: labels are rounded."""
EXIF = "; its EXIF orientation was not heeded: remove that, or label it upright"
BLACK = 3
TOLD = 20
"""Problems that are told one by one."""


def read_images(folder: Path) -> list[LabelledImage]:
    """Reads a data set: labels.csv, COCO, YOLO or Pascal VOC.

    This checks each picture by itself; `train.dataset.splits.checked_pictures` also compares them.

    Raises:
        TrainError: Of a line for each thing that is wrong.
    """
    problems: list[str] = []
    pictures = look_at(read_labels(folder, problems), problems)
    refuse(problems)
    return pictures


def read_tables(folders: Sequence[Path]) -> list[LabelledImage]:
    """Reads each folder's labels.csv; a picture without corners is a plate that is cut out.

    Raises:
        TrainError: Of a line for each thing that is wrong.
    """
    problems: list[str] = []
    files = [(folder, [folder / "labels.csv"]) for folder in folders]
    labels = [
        each for found in files for each in labels_csv.read(*found, problems, cut_out=True)[0]
    ]
    pictures = look_at(labels, problems)
    refuse(problems)
    return pictures


def refuse(problems: Sequence[str]) -> None:
    """Raises a TrainError that tells the problems, if there are any."""
    more = [f"and {len(problems) - TOLD} more"] if len(problems) > TOLD else []
    if problems:
        raise TrainError("\n".join([*problems[:TOLD], *more]))


def look_at(labels: Sequence[ImageLabels], problems: list[str]) -> list[LabelledImage]:
    """Reads pictures on all processors; those that cannot be used become problems."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = track(
            pool.map(_attempt, labels),
            "Reading pictures",
            total=len(labels),
            console=Console(stderr=True),
            transient=True,
            disable=not sys.stderr.isatty(),
        )
        looks = list(results)
    problems += [look for look in looks if isinstance(look, str)]
    return [look for look in looks if isinstance(look, LabelledImage)]


def _attempt(labels: ImageLabels) -> LabelledImage | str:
    try:
        return _look(labels)
    except (TrainError, SourceError) as error:
        return str(error)


def _look(labels: ImageLabels) -> LabelledImage:
    """Reads one picture as the device does.

    Raises:
        SourceError: It cannot be read.
        TrainError: It is too small or of another size than its labels say, or a box has no size or
            lies outside.
    """
    picture = read_image(labels.path)
    width, height = picture.width, picture.height
    _check_size(labels, width, height)
    wide, high = (width, height) if labels.relative else (1, 1)
    corners = (each.xyxy for each in labels.boxes)
    drawn = [(x1 * wide, y1 * high, x2 * wide, y2 * high) for x1, y1, x2, y2 in corners]
    boxes = tuple(_clipped(labels, box, width, height) for box in drawn)
    moved = np.abs(np.subtract(drawn, boxes)).reshape(-1, 4).max(axis=1)
    return LabelledImage(
        labels=labels,
        boxes=boxes,
        group=group_of(labels.folder, labels.row),
        width=width,
        height=height,
        clipped=int((moved > SLACK).sum()),
        digest=hashlib.sha256(labels.path.read_bytes()).digest(),
        looks=fingerprint(picture.luma(width, height), boxes),
        is_turned=is_turned(picture.resized(width, height)),
    )


def _check_size(labels: ImageLabels, width: int, height: int) -> None:
    if min(width, height) < SMALLEST:
        raise TrainError(f"{labels.path}: smaller than {SMALLEST} pixels")
    if labels.size in {None, (width, height)}:
        return
    said, seen = "{} x {}".format(*labels.size or ()), f"{width} x {height} pixels"
    hint = EXIF if labels.size == (height, width) else ""
    raise TrainError(f"{labels.source}: says {said}, but {labels.path} is {seen}{hint}")


def _clipped(labels: ImageLabels, box: Box, width: int, height: int) -> Box:
    x1, y1, x2, y2 = box
    inside = max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height))
    where = f"{labels.source}: {labels.path.name}: box {x1:.1f} {y1:.1f} {x2:.1f} {y2:.1f}"
    if x2 <= x1 or y2 <= y1:
        raise TrainError(f"{where}: a box of no size")
    if inside[2] <= inside[0] or inside[3] <= inside[1]:
        raise TrainError(f"{where}: outside the picture of {width} x {height} pixels")
    return inside


def is_turned(image: Image) -> bool:
    """Whether two or more corners are black, in a picture that is not dark."""
    ends = slice(8), slice(-8, None)
    corners = (image[y, x].max(axis=2) for y in ends for x in ends)
    black = sum(bool(np.median(corner) <= BLACK) for corner in corners)
    return black > 1 and float(image.max(axis=2).mean()) > 40
