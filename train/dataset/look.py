"""Reads each labelled picture once, and checks its labels against what is seen."""

import hashlib
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from rich.console import Console
from rich.progress import track

from plateid.core.records import Box, Image
from train.dataset.fingerprint import Fingerprint, fingerprint
from train.dataset.formats import Labelled
from train.errors import TrainError

SMALLEST = 10
"""Pixels a side; ultralytics leaves out what is smaller without a word."""
SLACK = 1.0
"""Pixels by which a box may lie outside without being counted: labels are rounded."""
EXIF = "; its EXIF orientation was not heeded: remove that, or label it upright"
BLACK = 3


@dataclass(frozen=True)
class Look:
    """What reading a picture has shown.

    Attributes:
        labels: What its labels say.
        width: In pixels, upright.
        height: In pixels, upright.
        boxes: (x1, y1, x2, y2) of each plate in pixels, cut at the picture's border.
        clipped: How many boxes were cut.
        digest: Of the file.
        looks: What the picture looks like.
        is_turned: Whether an exporter seems to have turned it.
    """

    labels: Labelled
    width: int
    height: int
    boxes: tuple[Box, ...]
    clipped: int
    digest: bytes
    looks: Fingerprint
    is_turned: bool


def look_at(labels: Sequence[Labelled], problems: list[str]) -> list[Look]:
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
    problems += [str(look) for look in looks if isinstance(look, TrainError)]
    return [look for look in looks if isinstance(look, Look)]


def _attempt(labels: Labelled) -> Look | TrainError:
    try:
        return _look(labels)
    except TrainError as error:
        return error


def _look(labels: Labelled) -> Look:
    """Reads one picture.

    Raises:
        TrainError: It cannot be read, is of another size than its labels say, or a box has no size
            or lies outside.
    """
    content, image = _decoded(labels.path)
    height, width = image.shape[:2]
    _check_size(labels, width, height)
    wide, high = (width, height) if labels.relative else (1, 1)
    drawn = [(x1 * wide, y1 * high, x2 * wide, y2 * high) for x1, y1, x2, y2 in labels.boxes]
    boxes = tuple(_clipped(labels, box, width, height) for box in drawn)
    moved = np.abs(np.subtract(drawn, boxes)).reshape(-1, 4).max(axis=1)
    grey = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8)
    return Look(
        labels=labels,
        width=width,
        height=height,
        boxes=boxes,
        clipped=int((moved > SLACK).sum()),
        digest=hashlib.sha256(content).digest(),
        looks=fingerprint(grey, boxes),
        is_turned=is_turned(image),
    )


def _decoded(path: Path) -> tuple[bytes, Image]:
    """A file and its picture, upright: OpenCV applies the orientation of EXIF."""
    try:
        content = path.read_bytes()
        # Refuses a JPEG that is cut short; imread fills the rest of it with grey.
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    except (OSError, cv2.error) as error:
        raise TrainError(
            f"{path}: not a readable picture: {' '.join(str(error).split())}"
        ) from error
    if image is None:
        raise TrainError(f"{path}: not a readable picture, or cut short")
    if min(image.shape[:2]) < SMALLEST:
        raise TrainError(f"{path}: smaller than {SMALLEST} pixels")
    return content, np.asarray(image, np.uint8)


def _check_size(labels: Labelled, width: int, height: int) -> None:
    if labels.size in {None, (width, height)}:
        return
    said, seen = "{} x {}".format(*labels.size or ()), f"{width} x {height} pixels"
    hint = EXIF if labels.size == (height, width) else ""
    raise TrainError(f"{labels.source}: says {said}, but {labels.path} is {seen}{hint}")


def _clipped(labels: Labelled, box: Box, width: int, height: int) -> Box:
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
