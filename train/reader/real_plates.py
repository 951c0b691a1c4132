"""Real plates with their texts: reads them, splits them without leakage, and augments them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from pathlib import Path

import cv2
import numpy as np

from plateid.capture.images import read_image
from plateid.core.geometry import expanded
from plateid.core.records import Box, Image
from train.dataset.formats.image_labels import LabelledBox
from train.dataset.labelled_image import LabelledImage
from train.dataset.splits import load_crops
from train.synth.camera_effects import CropGeometry, simulate_camera
from train.synth.rendering import CAPS, LabelledCrop
from train.train_error import TrainError

NO_PLATE = "notplate"
"""Legibility of a box that shows no plate. The reader learns to return an empty text for it."""
LEFT_OUT = {"partial", "unreadable", "mirrored", NO_PLATE}
"""Legibilities of texts that are not trained on. Many boxes that are labelled unreadable can be
read: as examples of an empty text they would teach the reader to stay silent."""
NO_REGION = "?"
"""Region of real plates, in contact sheets."""
WORSE = 0.4
"""Share of the real plates that are re-photographed by a worse simulated camera."""
SIDE_ERROR, SIDE_LIMITS = (0.015, 0.045), (-0.08, 0.13)
"""Error of each side of a crop, relative to the plate: mean and standard deviation, and limits.
Measured on the detector's boxes."""
STRIP = 0.25
"""Minimum height of a background strip, relative to the plate."""
CAP = 0.55
"""Height of the characters, relative to the crop."""


@dataclass(frozen=True)
class RealPlate:
    """A transcribed plate: the image around it, and its box in that image."""

    image: Image
    box: Box
    text: str
    source: str
    lines: int = 1


def whole_crop(image: Image, text: str, source: str) -> RealPlate:
    """Returns a plate whose image shows nothing else."""
    height, width = image.shape[:2]
    return RealPlate(image, (0, 0, width, height), text, source)


def read_plates(folders: Sequence[Path]) -> tuple[list[RealPlate], list[RealPlate]]:
    """Reads the plates that have a text, and the boxes without a plate (with an empty text).

    Returns the training part and the held-out part, split as for the detector. Raises TrainError if
    the data is wrong (one line for each fault), or the training part has no text.
    """
    train, held_out = (
        [plate for image in part for _, plate in plates_of(image)] for part in load_crops(folders)
    )
    if not any(plate.text for plate in train):
        raise TrainError(f"{', '.join(map(str, folders))}: the training part has no plate text")
    return train, held_out


def by_source(plates: Iterable[RealPlate]) -> list[list[RealPlate]]:
    """Returns one list per source, sorted by the source's name."""
    source = attrgetter("source")
    return [list(group) for _, group in groupby(sorted(plates, key=source), key=source)]


def plates_of(labelled: LabelledImage) -> Iterator[tuple[LabelledBox, RealPlate]]:
    """Yields the plates of an image that can be trained on, each with its label."""
    image = read_image(labelled.path).resized(labelled.width, labelled.height)
    source = labelled.labels.folder.resolve().name
    for xyxy, label in zip(labelled.boxes, labelled.labels.boxes, strict=True):
        legibility = label.legibility.lower()
        if legibility not in LEFT_OUT if label.text else legibility == NO_PLATE:
            lines = 2 if label.lines == "2" else 1
            yield label, RealPlate(*_surroundings(image, xyxy), label.text, source, lines)


def background(rng: np.random.Generator, plate: RealPlate) -> LabelledCrop:
    """Returns a strip above or below the plate, or the plate itself if there is no room."""
    height = plate.image.shape[0]
    x1, y1, x2, y2 = (round(value) for value in plate.box)
    columns = slice(x1, max(x1 + 1, x2))
    strips = [plate.image[: max(0, y1), columns], plate.image[min(height, y2) :, columns]]
    tall = [strip for strip in strips if len(strip) >= max(1, STRIP * (y2 - y1))]
    if not tall:
        return augmented(rng, plate)
    strip = _rephotographed(rng, tall[rng.integers(len(tall))])
    return LabelledCrop(strip, region=NO_REGION)


def _surroundings(image: Image, box: Box) -> tuple[Image, Box]:
    """Cuts out the box with half a plate around it, so that the whole image need not be kept."""
    x1, y1, x2, y2 = box
    left, top = max(0, int(x1 - (x2 - x1) / 4)), max(0, int(y1 - (y2 - y1) / 2))
    right, bottom = int(x2 + (x2 - x1) / 4), int(y2 + (y2 - y1) / 2)
    part = image[top : bottom + 1, left : right + 1].copy()
    return part, (x1 - left, y1 - top, x2 - left, y2 - top)


def augmented(rng: np.random.Generator, plate: RealPlate) -> LabelledCrop:
    """Rotates a real plate, shifts the sides of its crop, and often worsens the camera."""
    height, width = plate.image.shape[:2]
    middle = width / 2, height / 2
    turn = cv2.getRotationMatrix2D(middle, rng.normal(0, 2.5), rng.uniform(0.95, 1.05))
    turn[0, 1] += rng.normal(0, 0.05)
    turned = cv2.warpAffine(plate.image, turn, (width, height), borderMode=cv2.BORDER_REPLICATE)
    crop = _cropped(rng, np.asarray(turned, np.uint8), plate.box)
    crop = _rephotographed(rng, crop) if rng.random() < WORSE else crop
    return LabelledCrop(crop, plate.text, region=NO_REGION)


def _cropped(rng: np.random.Generator, image: Image, box: Box) -> Image:
    """Cuts out the box, each side off by as much as the detector's are."""
    x1, y1, x2, y2 = box
    off = np.clip(rng.normal(*SIDE_ERROR, 4), *SIDE_LIMITS) * ([x2 - x1, 1.5 * (y2 - y1)] * 2)
    left, top = (max(0, round(value)) for value in (x1 - off[0], y1 - off[1]))
    right, bottom = max(left + 1, round(x2 + off[2])), max(top + 1, round(y2 + off[3]))
    return image[top:bottom, left:right]


def _rephotographed(rng: np.random.Generator, crop: Image) -> Image:
    """Simulates the crop from farther away, through another camera."""
    cap = CAP * crop.shape[0]
    farther = float(np.exp(rng.uniform(np.log(min(CAPS[0], cap)), np.log(cap))))
    return simulate_camera(rng, crop, CropGeometry(cap / farther, farther))


def framed(plate: RealPlate, *, margin_x: float, margin_y: float) -> Image:
    """Cuts out the plate's box with the margins of a bundle."""
    x1, y1, x2, y2 = expanded(plate.box, x=margin_x, y=margin_y)
    rows = slice(max(0, round(y1)), max(1, round(y2)))
    columns = slice(max(0, round(x1)), max(1, round(x2)))
    return plate.image[rows, columns]
