"""Crops of real plates: their texts, a split without leakage, and small differences."""

import csv
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from plateid.core.records import Box, Image
from plateid.core.text import normalise
from train.dataset.pictures import group_of
from train.errors import TrainError
from train.synth import Crop, camera, jittered

LEGIBLE = {"clear", "hard", ""}
ILLEGIBLE = {"unreadable", "notplate"}
"""These have no text to read, and the reader learns to say so."""


@dataclass(frozen=True)
class Plate:
    """A transcribed plate: the picture around it, its box there, and the group it belongs to."""

    image: Image
    box: Box
    text: str
    source: str
    group: str


def read_plates(folder: Path) -> list[Plate]:
    """The one-line plates of a folder that have a text, and what is illegible, with an empty one.

    Raises:
        TrainError: No labels, or a picture is missing.
    """
    labels = next((folder / n for n in ("texts.csv", "labels.csv") if (folder / n).is_file()), None)
    if labels is None:
        raise TrainError(f"{folder}: neither texts.csv nor labels.csv")
    with labels.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row.get("lines", "1") != "2"]
    return [_plate(folder, row) for row in rows if _usable(row)]


def _usable(row: dict[str, str]) -> bool:
    legibility = row.get("legibility", "")
    boxed = bool(row.get("x1", "whole"))
    return boxed and (legibility in LEGIBLE if row["text"] else legibility in ILLEGIBLE)


def background(rng: np.random.Generator, plate: Plate) -> Crop:
    """A strip above or below a plate, of about its shape."""
    height = plate.image.shape[0]
    x1, y1, x2, y2 = (round(value) for value in plate.box)
    above, below = plate.image[: max(1, y1), x1:x2], plate.image[min(height - 1, y2) :, x1:x2]
    return Crop(camera(rng, above if rng.random() < 0.5 else below), "")


def _plate(folder: Path, row: dict[str, str]) -> Plate:
    path = folder / "images" / row["image"]
    image = cv2.imread(str(path))
    if image is None:
        raise TrainError(f"{path}: not a readable picture")
    height, width = image.shape[:2]
    x1, y1, x2, y2 = (
        float(row.get(key, default))
        for key, default in zip(("x1", "y1", "x2", "y2"), (0, 0, width, height), strict=True)
    )
    around, box = _surroundings(image, (x1, y1, x2, y2))
    return Plate(around, box, normalise(row["text"]), folder.name, group_of(folder, row))


def _surroundings(image: Image, box: Box) -> tuple[Image, Box]:
    """Half a plate of picture around the box; the rest of a picture need not be kept."""
    x1, y1, x2, y2 = box
    left, top = max(0, int(x1 - (x2 - x1) / 4)), max(0, int(y1 - (y2 - y1) / 2))
    right, bottom = int(x2 + (x2 - x1) / 4), int(y2 + (y2 - y1) / 2)
    part = image[top : bottom + 1, left : right + 1].copy()
    return part, (x1 - left, y1 - top, x2 - left, y2 - top)


def augmented(rng: np.random.Generator, plate: Plate) -> Crop:
    """A real plate, tilted, cut out a little differently, half of the time by a worse camera."""
    height, width = plate.image.shape[:2]
    turn = cv2.getRotationMatrix2D(
        (width / 2, height / 2), rng.normal(0, 2.5), rng.uniform(0.95, 1.05)
    )
    turn[0, 1] += rng.normal(0, 0.05)
    seen = cv2.warpAffine(plate.image, turn, (width, height), borderMode=cv2.BORDER_REPLICATE)
    crop = jittered(rng, np.asarray(seen, np.uint8), plate.box)
    return Crop(camera(rng, crop) if rng.random() < 0.5 else crop, plate.text)


def framed(plate: Plate, *, margin_x: float, margin_y: float) -> Image:
    """The plate's box cut out with the margins of a bundle."""
    x1, y1, x2, y2 = plate.box
    dx, dy = margin_x * (x2 - x1), margin_y * (y2 - y1)
    rows = slice(max(0, round(y1 - dy)), max(1, round(y2 + dy)))
    columns = slice(max(0, round(x1 - dx)), max(1, round(x2 + dx)))
    return plate.image[rows, columns]
