"""Detector metrics as COCO defines them (pycocotools' COCOeval), on numpy arrays.

One class, at most 100 boxes per image, greedy matching by score, precision interpolated at 101
recalls.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from plateid.core.geometry import Boxes, iou

IOU_THRESHOLDS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
"""mAP50-95 is the mean over these."""
RECALLS = np.linspace(0, 1, 101)
"""Recalls at which precision is interpolated."""
MAX_BOXES = 100
"""Boxes of an image that count, highest score first."""
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Bools = NDArray[np.bool_]
NONE = -1
"""Index of the plate that a false box covers."""


@dataclass(frozen=True, eq=False)
class ImageBoxes:
    """The N detected (in any order) and the M labelled boxes of one image.

    An ignored box is not false if it covers no plate. An ignored plate need not be found, and a box
    that covers it does not count.
    """

    boxes: Boxes
    scores: Floats
    truths: Boxes
    boxes_ignored: Bools
    truths_ignored: Bools


@dataclass(frozen=True)
class DetectionCounts:
    """Plates and boxes at one threshold. A ratio of nothing is None."""

    plates: int
    found: int
    false_boxes: int

    @property
    def recall(self) -> float | None:
        """Share of the plates that were found."""
        return self.found / self.plates if self.plates else None

    @property
    def precision(self) -> float | None:
        """Share of the boxes that cover a plate."""
        boxes = self.found + self.false_boxes
        return self.found / boxes if boxes else None


@dataclass(frozen=True, eq=False)
class RankedBoxes:
    """The boxes of all images that count, highest score first."""

    scores: Floats
    correct: Bools  # whether a box covers a plate of its own
    plates: int  # the labelled ones

    def curve(self) -> Doubles:
        """Returns the interpolated precision at each of RECALLS, shape (101,)."""
        found = np.cumsum(self.correct)
        precision = found / np.arange(1, len(found) + 1)
        best = np.maximum.accumulate(precision[::-1])[::-1]
        places = np.searchsorted(found / max(1, self.plates), RECALLS, side="left")
        return np.append(best, 0.0)[places] if self.plates else np.zeros(len(RECALLS))

    def average_precision(self) -> float | None:
        """Returns AP, or None without plates."""
        return float(self.curve().mean()) if self.plates else None

    def at(self, threshold: float) -> DetectionCounts:
        """Counts the boxes with at least this score."""
        kept = self.scores >= threshold
        found, false_boxes = np.sum(kept & self.correct), np.sum(kept & ~self.correct)
        return DetectionCounts(self.plates, int(found), int(false_boxes))


@lru_cache(maxsize=20_000)
def match(image: ImageBoxes, iou_threshold: float = IOU_THRESHOLDS[0]) -> list[tuple[int, int]]:
    """Pairs each box, highest score first, with the free plate that it covers best, or NONE."""
    order = np.argsort(-image.scores, kind="stable")[:MAX_BOXES]
    free = np.ones(len(image.truths), bool)
    boxes = image.boxes[order].astype(float)  # in float32, an IoU of 0.8 may be 0.79999995
    pairs = []
    for box, overlap in zip(order.tolist(), iou(boxes, image.truths), strict=True):
        truth = NONE
        # A plate that counts is preferred to an ignored one.
        for group in (~image.truths_ignored, image.truths_ignored):
            candidates = np.flatnonzero(free & group & (overlap >= iou_threshold))
            if len(candidates):
                truth = int(candidates[overlap[candidates].argmax()])
                free[truth] = False
                break
        pairs.append((box, truth))
    return pairs


def rank(images: Sequence[ImageBoxes], iou_threshold: float = IOU_THRESHOLDS[0]) -> RankedBoxes:
    """Matches the boxes of every image and sorts all of them by score."""
    counted = [
        (image.scores[box], truth != NONE)
        for image in images
        for box, truth in match(image, iou_threshold)
        if not (image.boxes_ignored[box] if truth == NONE else image.truths_ignored[truth])
    ]
    rows = np.array(sorted(counted, key=lambda row: -row[0]), np.float64).reshape(-1, 2)
    return RankedBoxes(
        scores=rows[:, 0].astype(np.float32),
        correct=rows[:, 1] > 0,
        plates=sum(int(np.count_nonzero(~image.truths_ignored)) for image in images),
    )


def mean_average_precision(images: Sequence[ImageBoxes]) -> float | None:
    """Returns the mean AP over IOU_THRESHOLDS, or None without plates."""
    each = [rank(images, threshold).average_precision() for threshold in IOU_THRESHOLDS]
    values = [value for value in each if value is not None]
    return float(np.mean(values)) if values else None
