"""What an image holds, and what the networks found and read in it."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from plateid.core.geometry import Boxes
from plateid.core.records import Box, PlateRead
from plateid.core.text import tempered
from train.dataset.formats.image_labels import LabelledBox
from train.evaluation.coco_metrics import Bools, Floats, ImageBoxes

REFERENCE = (640, 384)
"""Plate heights are given for an image that is scaled to fit into this size. They do not depend on
the bundle's input size, so that bundles can be compared."""
CHARACTER = 0.65
"""Height of the characters, relative to the plate's height per line. It is 0.6 to 0.75 on European
plates (75 of 110 mm) and less on American ones: there this is an upper bound."""
BoxReads = tuple[PlateRead, ...]
"""The read of a box, followed by those of its cuts for test-time augmentation."""


@dataclass(frozen=True, eq=False)
class LabelledPlate:
    """A plate with a known text, and what the reader returned for it."""

    source: str
    path: Path
    labels: LabelledBox
    box: Box  # in image pixels
    luma: float  # mean brightness of the image, 0 to 255
    moment: tuple[str, float] | None  # name of the video and second in it, if the labels have them
    crop: BoxReads  # in the true box
    found: BoxReads | None = None  # in the detector's box; None if no box covers the plate
    score: float = 0.0  # of the detector's box
    is_crop: bool = False  # the image is a plate crop, on which no detector runs

    @property
    def text(self) -> str:
        """Its true text."""
        return self.labels.text

    @property
    def lines(self) -> int:
        """Number of text lines."""
        return 2 if self.labels.lines == "2" else 1

    @property
    def character_height(self) -> float:
        """Estimated height of its characters, in image pixels."""
        return CHARACTER * (self.box[3] - self.box[1]) / self.lines

    def detected_at(self, threshold: float) -> "LabelledPlate":
        """Returns the plate as the device finds it at a score threshold."""
        return replace(self, found=self.found if self.score >= threshold else None)

    def tempered(self, factor: float) -> "LabelledPlate":
        """Returns the plate as the device reads it if the bundle's temperature is multiplied."""
        if factor == 1.0:
            return self
        found = self.found and _tempered(self.found, factor)
        return replace(self, crop=_tempered(self.crop, factor), found=found)


def _tempered(reads: BoxReads, factor: float) -> BoxReads:
    return tuple(replace(r, probabilities=tempered(r.probabilities, factor)) for r in reads)


@dataclass(frozen=True, eq=False)
class ImageResult:
    """One image or video frame, and what the networks found in it."""

    source: str
    path: Path
    luma: float  # mean brightness, 0 to 255
    scale: float  # pixels of REFERENCE per image pixel
    boxes: Boxes  # detected, highest score first
    scores: Floats  # `predictor.MIN_SCORE` or more
    truths: Boxes  # labelled
    plates: tuple[LabelledPlate, ...] = ()  # those with a text

    def of_height(self, band: tuple[float, float] = (0, np.inf)) -> ImageBoxes:
        """Returns the boxes for metrics. Plates and false boxes outside of the band are ignored."""

        def outside(boxes: Boxes) -> Bools:
            heights = (boxes[:, 3] - boxes[:, 1]) * self.scale
            return np.asarray((heights < band[0]) | (heights >= band[1]))

        ignored = outside(self.boxes), outside(self.truths)
        return ImageBoxes(self.boxes, self.scores, self.truths, *ignored)


def box_of(row: Floats) -> Box:
    """Converts a row of boxes to a tuple."""
    x1, y1, x2, y2 = row.tolist()
    return x1, y1, x2, y2
