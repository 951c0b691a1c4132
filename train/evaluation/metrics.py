"""Detector metrics as COCO defines them (pycocotools' COCOeval), on plain arrays.

One class, at most 100 boxes a picture, greedy matching by score, precision interpolated at 101
recalls.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plateid.core.geometry import Boxes, iou

IOU_THRESHOLDS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
RECALLS = np.linspace(0, 1, 101)
MAX_BOXES = 100
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Flags = NDArray[np.bool_]
NONE = -1


@dataclass(frozen=True, eq=False)
class Sample:
    """What was found in one picture, and what is there.

    Attributes:
        boxes: Shape (N, 4), of the detector, in any order.
        scores: Shape (N,).
        truths: Shape (M, 4).
        boxes_ignored: Shape (N,); such a box is not false where it covers nothing.
        truths_ignored: Shape (M,); such a plate need not be found, nor does a box that covers it
            count.
    """

    boxes: Boxes
    scores: Floats
    truths: Boxes
    boxes_ignored: Flags = field(default_factory=lambda: np.zeros(0, bool))
    truths_ignored: Flags = field(default_factory=lambda: np.zeros(0, bool))

    def __post_init__(self) -> None:
        """Nothing is ignored unless it is said."""
        for name, items in (("boxes_ignored", self.boxes), ("truths_ignored", self.truths)):
            if not len(getattr(self, name)):
                object.__setattr__(self, name, np.zeros(len(items), bool))


@dataclass(frozen=True, eq=False)
class Matches:
    """The boxes of one picture, surest first.

    Attributes:
        boxes: Shape (K,), their indices in the sample.
        truths: Shape (K,), index of the plate that each covers, or NONE.
        overlaps: Shape (K,), IoU with that plate, or 0.
    """

    boxes: NDArray[np.intp]
    truths: NDArray[np.intp]
    overlaps: Floats


@dataclass(frozen=True)
class Counts:
    """Plates and boxes at one threshold; a share of nothing is None."""

    plates: int
    found: int
    false_boxes: int
    mean_iou: float | None

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
class Ranking:
    """The boxes of all pictures that count, surest first.

    Attributes:
        scores: Shape (K,).
        right: Shape (K,), whether each covers a plate of its own.
        overlaps: Shape (K,), with what IoU.
        plates: How many there are to find.
    """

    scores: Floats
    right: Flags
    overlaps: Floats
    plates: int

    def curve(self) -> Doubles:
        """Shape (101,): the best precision that can be had with each of RECALLS; 0 past the last.

        Without plates all are 0.
        """
        found = np.cumsum(self.right)
        precision = found / np.arange(1, len(found) + 1)
        best = np.maximum.accumulate(precision[::-1])[::-1]
        places = np.searchsorted(found / max(1, self.plates), RECALLS, side="left")
        return np.append(best, 0.0)[places] if self.plates else np.zeros(len(RECALLS))

    def average_precision(self) -> float | None:
        """None without plates."""
        return float(self.curve().mean()) if self.plates else None

    def at(self, threshold: float) -> Counts:
        """What boxes with at least this score amount to."""
        kept = self.scores >= threshold
        found = self.overlaps[kept & self.right]
        return Counts(
            plates=self.plates,
            found=len(found),
            false_boxes=int(np.count_nonzero(kept & ~self.right)),
            mean_iou=float(found.mean()) if len(found) else None,
        )


def match(sample: Sample, iou_threshold: float = IOU_THRESHOLDS[0]) -> Matches:
    """Gives each box, surest first, the plate that it covers best and that no surer box covers."""
    order = np.argsort(-sample.scores, kind="stable")[:MAX_BOXES]
    truths = np.full(len(order), NONE, np.intp)
    overlaps = np.zeros(len(order), np.float32)
    free = np.ones(len(sample.truths), bool)
    boxes: Any = sample.boxes[order].astype(float)  # in float32, 0.8 may be 0.79999995
    for row, overlap in enumerate(iou(boxes, sample.truths)):
        # A plate that counts is preferred to one that is ignored.
        for group in (~sample.truths_ignored, sample.truths_ignored):
            open_to = np.flatnonzero(free & group & (overlap >= iou_threshold))
            if len(open_to):
                best = open_to[overlap[open_to].argmax()]
                truths[row], overlaps[row], free[best] = best, overlap[best], False
                break
    return Matches(order, truths, overlaps)


def rank(samples: Sequence[Sample], iou_threshold: float = IOU_THRESHOLDS[0]) -> Ranking:
    """Matches every picture and puts the boxes in one order."""
    rows = np.concatenate([np.zeros((0, 3)), *(_rows(each, iou_threshold) for each in samples)])
    rows = rows[np.argsort(-rows[:, 0], kind="stable")]
    return Ranking(
        scores=rows[:, 0].astype(np.float32),
        right=rows[:, 1] > 0,
        overlaps=rows[:, 2].astype(np.float32),
        plates=sum(int(np.count_nonzero(~sample.truths_ignored)) for sample in samples),
    )


def _rows(sample: Sample, iou_threshold: float) -> Doubles:
    """Shape (K, 3): score, whether it is right, and IoU of the boxes of a picture that count."""
    matches = match(sample, iou_threshold)
    right = matches.truths != NONE
    ignored = sample.boxes_ignored[matches.boxes]
    ignored[right] = sample.truths_ignored[matches.truths[right]]
    rows = np.column_stack([sample.scores[matches.boxes], right, matches.overlaps])
    return np.asarray(rows[~ignored], np.float64)


def mean_average_precision(samples: Sequence[Sample]) -> float | None:
    """The mean over IOU_THRESHOLDS; None without plates."""
    each = [rank(samples, threshold).average_precision() for threshold in IOU_THRESHOLDS]
    values = [value for value in each if value is not None]
    return float(np.mean(values)) if values else None
