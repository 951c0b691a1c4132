"""Labelled pictures: read, split without leakage, laid out for ultralytics."""

import csv
import hashlib
import shutil
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import cv2

from train.errors import TrainError

BLOCK_S = 60
VALIDATION = 6
"""One group in so many is held out."""
NOT_A_BOX = {"notplate", "mirrored"}


@dataclass(frozen=True)
class Picture:
    """One labelled picture.

    Attributes:
        path: The picture file.
        boxes: (x1, y1, x2, y2) of each plate in pixels; empty: a negative.
        group: Pictures of one group (one scene, or one minute of one ride) stay on one side of a
            split.
    """

    path: Path
    boxes: tuple[tuple[float, float, float, float], ...]
    group: str


def read_pictures(folder: Path) -> list[Picture]:
    """Reads `folder/labels.csv` and the pictures it names in `folder/images`.

    Raises:
        TrainError: No labels, a row without its picture, or a box that is not four numbers in
            order.
    """
    labels = folder / "labels.csv"
    if not labels.is_file():
        raise TrainError(f"{labels}: no such file")
    rows: dict[str, list[dict[str, str]]] = defaultdict(list)
    with labels.open(newline="") as file:
        for row in csv.DictReader(file):
            rows[row["image"]].append(row)
    return [_picture(folder, image, plates) for image, plates in sorted(rows.items())]


def _picture(folder: Path, image: str, plates: list[dict[str, str]]) -> Picture:
    path = folder / "images" / image
    if not path.is_file():
        raise TrainError(f"{folder / 'labels.csv'}: {image}: no such picture")
    boxed = [p for p in plates if p["x1"] and p.get("legibility") not in NOT_A_BOX]
    return Picture(
        path=path,
        boxes=tuple(_box(folder, plate) for plate in boxed),
        group=group_of(folder, plates[0]),
    )


def _box(folder: Path, plate: dict[str, str]) -> tuple[float, float, float, float]:
    try:
        x1, y1, x2, y2 = (float(plate[key]) for key in ("x1", "y1", "x2", "y2"))
    except ValueError as error:
        raise TrainError(f"{folder / 'labels.csv'}: {plate['image']}: {error}") from error
    if x2 <= x1 or y2 <= y1:
        raise TrainError(f"{folder / 'labels.csv'}: {plate['image']}: a box of no size")
    return x1, y1, x2, y2


def group_of(folder: Path, plate: dict[str, str]) -> str:
    """What a row of labels must not be parted from: its minute, scene or picture."""
    if "video" in plate:
        return f"{folder.name}/{plate['video']}/{int(float(plate['t'])) // BLOCK_S}"
    return f"{folder.name}/{plate.get('scene') or plate['image']}"


def held_out(group: str) -> bool:
    """Whether a group belongs to the validation part: by a hash, so that it stays as data grows."""
    return hashlib.sha256(group.encode()).digest()[0] % VALIDATION == 0


def split(pictures: list[Picture]) -> tuple[list[Picture], list[Picture]]:
    """Train and validation parts; a group goes to one side whole, by a hash of its name."""
    sides: tuple[list[Picture], list[Picture]] = ([], [])
    for picture in pictures:
        sides[held_out(picture.group)].append(picture)
    return sides


def write_yolo(sides: tuple[list[Picture], list[Picture]], root: Path) -> Path:
    """Links the two parts into the layout of ultralytics and returns its `data.yaml`."""
    shutil.rmtree(root, ignore_errors=True)
    for side, pictures in zip(("train", "val"), sides, strict=True):
        for kind in ("images", "labels"):
            (root / kind / side).mkdir(parents=True, exist_ok=True)
        for picture in pictures:
            name = f"{picture.group.split('/')[0]}_{picture.path.name}"
            link = root / "images" / side / name
            link.symlink_to(picture.path.resolve())
            (root / "labels" / side / name).with_suffix(".txt").write_text(_yolo_lines(picture))
    data = root / "data.yaml"
    data.write_text(
        f"path: {root.resolve()}\ntrain: images/train\nval: images/val\nnames: {{0: plate}}\n"
    )
    return data


def _yolo_lines(picture: Picture) -> str:
    image = cv2.imread(str(picture.path))
    if image is None:
        raise TrainError(f"{picture.path}: not a readable picture")
    height, width = image.shape[:2]
    lines = []
    for x1, y1, x2, y2 in picture.boxes:
        left, right = max(x1, 0) / width, min(x2, width) / width
        top, bottom = max(y1, 0) / height, min(y2, height) / height
        values = (left + right) / 2, (top + bottom) / 2, right - left, bottom - top
        lines.append("0 " + " ".join(f"{value:.6f}" for value in values))
    return "\n".join(lines)
