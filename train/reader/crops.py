"""Crops of real plates: their texts, a split without leakage, and small differences."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from plateid.capture.images import read_image
from plateid.core.geometry import expanded
from plateid.core.records import Box, Image
from train.dataset.formats.image_labels import LabelledBox
from train.dataset.image_reading import read_tables
from train.dataset.labelled_images import LabelledImage, grouped, split
from train.synth.appearance import AppearanceLimits
from train.synth.camera_effects import CropGeometry, simulate_camera
from train.synth.rendering import CAPS, LabelledCrop
from train.train_error import TrainError

LEFT_OUT = {"partial", "unreadable", "mirrored", "notplate"}
NO_PLATE = "notplate"
"""Legibility of a box that shows no plate: the reader learns to say nothing there. What is called
unreadable is left out, since much of that can be read, and the reader would learn not to."""
UNKNOWN = "?"
"""A country that nobody said: of all real plates. With those of one country told (us-crops), the
network took every real plate of America for that country's, 41 of 43 Brazilian ones."""
WORSE = 0.4
"""Share of the real plates that a worse camera sees."""
OFF, FARTHEST = (0.015, 0.045), (-0.08, 0.13)
"""How far a side of a crop is off, in parts of the plate: mean and deviation, least and most."""
STRIP = 0.25
"""Heights of a plate that a strip beside it has at least."""
CAP = 0.55
"""Of a crop's height, that of its characters."""


@dataclass(frozen=True)
class Plate:
    """A transcribed plate: the picture around it, and its box there."""

    image: Image
    box: Box
    text: str
    source: str


def read_plates(folders: Sequence[Path], *, two_lines: bool) -> tuple[list[Plate], list[Plate]]:
    """The plates that have a text, and boxes of what is no plate, with an empty one.

    Args:
        folders: Of labelled pictures, or of plates that are cut out.
        two_lines: Whether plates of two lines are wanted as well.

    Returns:
        Those of the training side and those of the validation side, as the detector parts them.

    Raises:
        TrainError: Of a line for each thing that is wrong with labels.csv, texts.csv or a picture;
            or no plate of the training side has a text.
    """
    pictures = grouped(read_tables(folders))
    train, validation = (
        [plate for picture in side for plate in _plates(picture, two_lines=two_lines)]
        for side in split(pictures)
    )
    if not any(plate.text for plate in train):
        raise TrainError(f"{', '.join(map(str, folders))}: no plate to train with has a text")
    return train, validation


def by_source(plates: Iterable[Plate]) -> list[list[Plate]]:
    """A list for each source, sorted by its name."""
    groups = defaultdict(list)
    for plate in plates:
        groups[plate.source].append(plate)
    return [groups[source] for source in sorted(groups)]


def _plates(picture: LabelledImage, *, two_lines: bool) -> Iterator[Plate]:
    image = read_image(picture.path).resized(picture.width, picture.height)
    for xyxy, said in zip(picture.boxes, picture.labels.boxes, strict=True):
        if (two_lines or said.lines == "1") and _usable(said):
            source = picture.labels.folder.resolve().name
            yield Plate(*_surroundings(image, xyxy), said.text, source)


def _usable(said: LabelledBox) -> bool:
    legibility = said.legibility.lower()
    return legibility not in LEFT_OUT if said.text else legibility == NO_PLATE


def appearance_of(folders: Sequence[Path]) -> AppearanceLimits:
    """How the plates of the training side look.

    Raises:
        TrainError: As `read_plates`.
    """
    plates, _ = read_plates(folders, two_lines=True)
    return AppearanceLimits.measured_on(
        framed(plate, margin_x=0, margin_y=0) for plate in plates if plate.text
    )


def background(rng: np.random.Generator, plate: Plate) -> LabelledCrop:
    """A strip above or below a plate, of about its shape; the plate itself where there is none."""
    height = plate.image.shape[0]
    x1, y1, x2, y2 = (round(value) for value in plate.box)
    columns = slice(x1, max(x1 + 1, x2))
    strips = [plate.image[: max(0, y1), columns], plate.image[min(height, y2) :, columns]]
    high = [strip for strip in strips if len(strip) >= max(1, STRIP * (y2 - y1))]
    if not high:
        return augmented(rng, plate)
    return _sample(_seen(rng, high[rng.integers(len(high))]), "")


def _surroundings(image: Image, box: Box) -> tuple[Image, Box]:
    """Half a plate of picture around the box; the rest of a picture need not be kept."""
    x1, y1, x2, y2 = box
    left, top = max(0, int(x1 - (x2 - x1) / 4)), max(0, int(y1 - (y2 - y1) / 2))
    right, bottom = int(x2 + (x2 - x1) / 4), int(y2 + (y2 - y1) / 2)
    part = image[top : bottom + 1, left : right + 1].copy()
    return part, (x1 - left, y1 - top, x2 - left, y2 - top)


def augmented(rng: np.random.Generator, plate: Plate) -> LabelledCrop:
    """A real plate, tilted, cut out a little differently, often by a worse camera."""
    height, width = plate.image.shape[:2]
    turn = cv2.getRotationMatrix2D(
        (width / 2, height / 2), rng.normal(0, 2.5), rng.uniform(0.95, 1.05)
    )
    turn[0, 1] += rng.normal(0, 0.05)
    seen = cv2.warpAffine(plate.image, turn, (width, height), borderMode=cv2.BORDER_REPLICATE)
    crop = _cut_out(rng, np.asarray(seen, np.uint8), plate.box)
    return _sample(_seen(rng, crop) if rng.random() < WORSE else crop, plate.text)


def _cut_out(rng: np.random.Generator, image: Image, box: Box) -> Image:
    """The box cut out, each side off as far as our detector's are."""
    x1, y1, x2, y2 = box
    off = np.clip(rng.normal(*OFF, 4), *FARTHEST) * ([x2 - x1, 1.5 * (y2 - y1)] * 2)
    left, top = (max(0, round(value)) for value in (x1 - off[0], y1 - off[1]))
    right, bottom = max(left + 1, round(x2 + off[2])), max(top + 1, round(y2 + off[3]))
    return image[top:bottom, left:right]


def _seen(rng: np.random.Generator, crop: Image) -> Image:
    """The crop from farther away, through another camera."""
    cap = CAP * crop.shape[0]
    farther = float(np.exp(rng.uniform(np.log(min(CAPS[0], cap)), np.log(cap))))
    return simulate_camera(rng, crop, CropGeometry(cap / farther, farther))


def _sample(image: Image, text: str) -> LabelledCrop:
    """Where the characters of real plates are, nobody said either."""
    return LabelledCrop(image, text, np.zeros((0, 2), np.float32), (), UNKNOWN)


def framed(plate: Plate, *, margin_x: float, margin_y: float) -> Image:
    """The plate's box cut out with the margins of a bundle."""
    x1, y1, x2, y2 = expanded(plate.box, x=margin_x, y=margin_y)
    rows = slice(max(0, round(y1)), max(1, round(y2)))
    columns = slice(max(0, round(x1)), max(1, round(x2)))
    return plate.image[rows, columns]
