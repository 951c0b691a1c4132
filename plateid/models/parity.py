"""Numerical parity: whether a backend finds the boxes and reads the texts that the CPU does.

Scores are not compared: those of bfloat16 differ by up to 0.08, though it reads the same plates.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from plateid.core.geometry import iou
from plateid.core.records import Box, Detection, LazyImage

MIN_IOU = 0.9
"""Minimum IoU of a plate's box with that of the CPU."""
MIN_SAME_TEXTS = 0.995
"""Minimum share of crops (0-1) that are read as on the CPU."""
CLEAR_SCORE = 0.1
"""A box is compared if its score (0-1) exceeds the detector's threshold by this. Below, rounding
decides whether there is a box, and which of two overlapping ones."""


@dataclass(frozen=True)
class Sample:
    """An image, whether its plates are to be detected, and boxes to be read, in pixels."""

    image: LazyImage
    detects: bool
    boxes: Sequence[Box]


Outputs = tuple[Sequence[Detection], Sequence[str]]
"""The detections in a sample, and the text of each box."""


@dataclass
class Parity:
    """The outputs that were compared so far; `iou` is the minimum of all plates."""

    iou: float = 1.0
    crops: int = 0
    same_texts: int = 0

    def add(self, got: Outputs, expected: Outputs, *, threshold: float) -> None:
        """Compares the outputs of one sample; `threshold` is the detector's (score, 0-1)."""
        (found, texts), (wanted, wanted_texts) = got, expected
        clear = threshold + CLEAR_SCORE
        self.iou = min(self.iou, _min_iou(found, wanted, clear), _min_iou(wanted, found, clear))
        self.crops += len(texts)
        self.same_texts += sum(map(str.__eq__, texts, wanted_texts))

    @property
    def passed(self) -> bool:
        """Whether boxes and texts are the same within the tolerances."""
        return self.iou >= MIN_IOU and self.same_texts >= MIN_SAME_TEXTS * self.crops

    def __str__(self) -> str:
        return f"IoU {self.iou:.2f} or more, {self.same_texts} of {self.crops} texts"


def _min_iou(boxes: Sequence[Detection], matches: Sequence[Detection], clear: float) -> float:
    """Returns the minimum over the clear boxes of the IoU with their best match; 1 without any."""
    kept = [each for each in boxes if each.score >= clear]
    sides = [np.array([d.box for d in side], np.float32).reshape(-1, 4) for side in (kept, matches)]
    return float(iou(*sides).max(axis=1, initial=0.0).min(initial=1.0))
