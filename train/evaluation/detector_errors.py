"""Finds the images with the worst detector errors, and draws them."""

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from plateid.capture.images import read_image
from plateid.core.drawing import FONT, encode_jpeg
from plateid.core.geometry import iou
from plateid.core.records import Box
from train.evaluation.coco_metrics import NONE, match
from train.evaluation.detector_accuracy import LOWEST
from train.evaluation.image_results import ImageResult, box_of

LIMIT = 40
"""Images that a report shows."""
WIDTH = 800
"""Maximum width of a drawn image, pixels."""
TRUTH, FOUND, WEAK = (235, 130, 20), (0, 120, 255), (90, 190, 255)
"""BGR colours: labelled plates, boxes at the threshold, and boxes below it."""
MISSED, FALSE = "missed", "false box"
"""Kinds of errors."""


@dataclass(frozen=True)
class DetectorError:
    """One error."""

    kind: str  # MISSED or FALSE
    weight: float  # height of a missed plate in image_results.REFERENCE, or score of a false box
    box: Box  # in image pixels
    about: str

    @property
    def rank(self) -> tuple[bool, float]:
        """Sort key, worst first."""
        return self.kind != MISSED, -self.weight


@dataclass(frozen=True, eq=False)
class ErroneousImage:
    """An image and its errors, worst first; at least one."""

    result: ImageResult
    errors: list[DetectorError]


def worst_images(results: Iterable[ImageResult], threshold: float) -> list[ErroneousImage]:
    """Returns the LIMIT worst images."""
    wrong = [ErroneousImage(each, found) for each in results if (found := errors(each, threshold))]
    return sorted(wrong, key=lambda each: each.errors[0].rank)[:LIMIT]


def errors(result: ImageResult, threshold: float) -> list[DetectorError]:
    """Returns the errors of one image at a threshold, worst first."""
    pairs = [pair for pair in match(result.of_height()) if result.scores[pair[0]] >= threshold]
    found = {truth for _, truth in pairs}
    missed = [_missed(result, truth) for truth in range(len(result.truths)) if truth not in found]
    false = []
    for box in (box for box, truth in pairs if truth == NONE):
        score = float(result.scores[box])
        best = float(iou(result.boxes[box][None], result.truths).max(initial=0))
        where = f"IoU {best:.2f} with a plate" if best else "no plate is labelled there"
        about = f"false box, score {score:.2f}: {where}"
        false.append(DetectorError(FALSE, score, box_of(result.boxes[box]), about))
    return sorted([*missed, *false], key=lambda error: error.rank)


def _missed(result: ImageResult, truth: int) -> DetectorError:
    box = result.truths[truth]
    height = float(box[3] - box[1])
    overlaps = np.where(result.scores >= LOWEST, iou(box[None], result.boxes)[0], 0)
    nearest = "no box near it"
    if overlaps.any():
        score = result.scores[overlaps.argmax()]
        nearest = f"nearest box has score {score:.2f}, IoU {overlaps.max():.2f}"
    about = f"missed plate, {height:.0f} px high: {nearest}"
    return DetectorError(MISSED, height * result.scale, box_of(box), about)


def draw_errors(erroneous: ErroneousImage, threshold: float) -> bytes:
    """Returns a JPEG of the image with its errors; raises SourceError if the file is gone."""
    result = erroneous.result
    image = read_image(result.path)
    scale = min(1.0, WIDTH / image.width)
    size = round(image.width * scale), max(1, round(image.height * scale))
    drawing = image.resized(*size).copy()
    missed = {error.box for error in erroneous.errors if error.kind == MISSED}
    for truth in result.truths:
        line = 5 if box_of(truth) in missed else 1
        x1, y1, x2, y2 = map(round, box_of(truth * scale))
        cv2.rectangle(drawing, (x1, y1), (x2, y2), TRUTH, line, cv2.LINE_AA)
    for box, score in zip(result.boxes, result.scores.tolist(), strict=True):
        if score >= LOWEST:
            colour = FOUND if score >= threshold else WEAK
            x1, y1, x2, y2 = map(round, box_of(box * scale))
            cv2.rectangle(drawing, (x1, y1), (x2, y2), colour, 2, cv2.LINE_AA)
            above = (x1, y1 - 3 if y1 > 12 else y2 + 12)
            cv2.putText(drawing, f"{score:.2f}", above, FONT, 0.4, colour, 1, cv2.LINE_AA)
    return encode_jpeg(drawing, 82)
