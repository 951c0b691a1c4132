"""Reads each labelled image once and checks its labels against it."""

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from plateid.capture.images import read_image
from plateid.core.records import Box, Image
from plateid.errors import SourceError, printable
from train.dataset.formats import ImageLabels, plateid_csv, read_labels
from train.dataset.grouping import group_of
from train.dataset.labelled_image import LabelledImage
from train.dataset.perceptual_hash import perceptual_hash
from train.progress import tracked
from train.train_error import TrainError

MIN_SIDE_PX = 10
"""Minimum side of an image, pixels: ultralytics silently leaves out smaller ones."""
TOLERANCE_PX = 1.0
"""Pixels by which a box may be outside without being counted as clipped: labels are rounded."""
EXIF = "; the labels ignore its EXIF orientation: remove that, or label the upright image"
"""Hint in the error for labels whose image size has width and height swapped."""
BLACK = 3
"""Grey level (0-255) up to which a corner counts as black."""
DARK = 40
"""Mean grey level (0-255) up to which an image is too dark to judge its corners."""
MAX_PROBLEMS = 20
"""Number of problems that are listed."""


def read_images(folder: Path) -> list[LabelledImage]:
    """Reads a data set: labels.csv, COCO, YOLO or Pascal VOC.

    Each image is checked by itself; `train.dataset.splits.load_split` also compares them. A
    TrainError has one line for each problem.
    """
    problems: list[str] = []
    images = read_labelled(read_labels(folder, problems), problems)
    raise_problems(problems)
    return images


def read_tables(folders: Sequence[Path]) -> list[LabelledImage]:
    """Reads each folder's labels.csv; an image without corners is a cropped plate."""
    problems: list[str] = []
    files = [(folder, [folder / "labels.csv"]) for folder in folders]
    labels = [e for found in files for e in plateid_csv.read(*found, problems, crops=True)[0]]
    images = read_labelled(labels, problems)
    raise_problems(problems)
    return images


def raise_problems(problems: Sequence[str]) -> None:
    """Raises a TrainError that lists the problems, if there are any."""
    more = [f"and {len(problems) - MAX_PROBLEMS} more"] if len(problems) > MAX_PROBLEMS else []
    if problems:
        raise TrainError("\n".join([*map(printable, problems[:MAX_PROBLEMS]), *more]))


def read_labelled(labels: Sequence[ImageLabels], problems: list[str]) -> list[LabelledImage]:
    """Reads images on all cores; one that cannot be used becomes a problem."""

    def try_to_read(each: ImageLabels) -> LabelledImage | str:
        try:
            return _read(each)
        except (TrainError, SourceError) as error:
            return str(error)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(tracked(pool.map(try_to_read, labels), "Reading images", total=len(labels)))
    problems += [result for result in results if isinstance(result, str)]
    return [result for result in results if isinstance(result, LabelledImage)]


def is_rotated(image: Image) -> bool:
    """Whether two or more corners are black in an image that is not dark."""
    ends = slice(8), slice(-8, None)
    corners = (image[y, x].max(axis=2) for y in ends for x in ends)
    black = sum(bool(np.median(corner) <= BLACK) for corner in corners)
    return black > 1 and float(image.max(axis=2).mean()) > DARK


def _read(labels: ImageLabels) -> LabelledImage:
    picture = read_image(labels.path)
    width, height = picture.width, picture.height
    _check_size(labels, width, height)
    sx, sy = (width, height) if labels.is_normalised else (1, 1)
    corners = (each.xyxy for each in labels.boxes)
    labelled = [(x1 * sx, y1 * sy, x2 * sx, y2 * sy) for x1, y1, x2, y2 in corners]
    boxes = tuple(_clipped(labels, box, width, height) for box in labelled)
    moved_px = np.abs(np.subtract(labelled, boxes)).reshape(-1, 4).max(axis=1)
    return LabelledImage(
        labels=labels,
        boxes=boxes,
        group=group_of(labels.folder, labels.row),
        width=width,
        height=height,
        clipped=int((moved_px > TOLERANCE_PX).sum()),
        digest=hashlib.sha256(labels.path.read_bytes()).digest(),
        perceptual_hash=perceptual_hash(picture.luma(width, height), boxes),
        is_rotated=is_rotated(picture.resized(width, height)),
    )


def _check_size(labels: ImageLabels, width: int, height: int) -> None:
    if min(width, height) < MIN_SIDE_PX:
        raise TrainError(f"{labels.path}: smaller than {MIN_SIDE_PX} pixels")
    if labels.size in {None, (width, height)}:
        return
    said, actual = "{} x {}".format(*labels.size or ()), f"{width} x {height} pixels"
    hint = EXIF if labels.size == (height, width) else ""
    raise TrainError(f"{labels.source}: says {said}, but {labels.path} is {actual}{hint}")


def _clipped(labels: ImageLabels, box: Box, width: int, height: int) -> Box:
    x1, y1, x2, y2 = box
    inside = max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height))
    where = f"{labels.source}: {labels.path.name}: box {x1:.1f} {y1:.1f} {x2:.1f} {y2:.1f}"
    if x2 <= x1 or y2 <= y1:
        raise TrainError(f"{where}: is empty")
    if inside[2] <= inside[0] or inside[3] <= inside[1]:
        raise TrainError(f"{where}: is outside of the image ({width} x {height} pixels)")
    return inside
