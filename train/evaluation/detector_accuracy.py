"""Accuracy of a detector: on all images, by source, by plate height and by light."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from train.evaluation.coco_metrics import mean_average_precision, rank
from train.evaluation.image_results import ImageResult

Band = tuple[float, float]
ALL: Band = (0, np.inf)
"""The band of all heights."""
HEIGHTS: dict[str, Band] = {
    "< 12 px": (0, 12),
    "12-20 px": (12, 20),
    "20-40 px": (20, 40),
    "> 40 px": (40, np.inf),
}
"""Bands of plate height, in an image that is scaled to fit image_results.REFERENCE."""
LOWEST = 0.05
"""Score below which boxes are noise. Plates found at it are those that the detector can find."""
NIGHT_LUMA = 55
"""Mean brightness (0-255) below which an image counts as night. It separates the street scenes of
the training sources correctly, but counts a car in front of a black wall as night."""


@dataclass(frozen=True)
class DetectorAccuracy:
    """Accuracy on some images at the score threshold. A ratio without a denominator is None."""

    name: str
    images: int  # in a height band, those with such a plate
    plates: int
    missed: int
    false_boxes: int
    recall: float | None  # share of the plates with a box of their own, at an IoU of 0.5 or more
    recall_at_05: float | None  # the same at a score of LOWEST
    precision: float | None
    mAP50: float | None  # noqa: N815 - the standard term
    mAP50_95: float | None  # noqa: N815 - the standard term
    curve: tuple[float, ...]  # precision at coco_metrics.RECALLS


def light(luma: float) -> str:
    """Returns the light of an image of this mean brightness: "day" or "night"."""
    return "night" if luma < NIGHT_LUMA else "day"


def grouped_detector_accuracy(
    results: Sequence[ImageResult], threshold: float
) -> dict[str, list[DetectorAccuracy]]:
    """Returns the accuracy of "all", and by "source", "height" and "light"."""
    sources = dict.fromkeys(each.source for each in results)

    def of(name: str, part: Iterable[ImageResult], band: Band = ALL) -> DetectorAccuracy:
        images = [each.of_height(band) for each in part]
        ranked = rank(images)
        counts = ranked.at(threshold)
        return DetectorAccuracy(
            name=name,
            images=sum(band == ALL or not each.truths_ignored.all() for each in images),
            plates=counts.plates,
            missed=counts.plates - counts.found,
            false_boxes=counts.false_boxes,
            recall=counts.recall,
            recall_at_05=ranked.at(LOWEST).recall,
            precision=counts.precision,
            mAP50=ranked.average_precision(),
            mAP50_95=mean_average_precision(images),
            curve=tuple(ranked.curve().tolist()),
        )

    return {
        "all": [of("all", results)],
        "source": [of(name, (each for each in results if each.source == name)) for name in sources],
        "height": [of(name, results, band) for name, band in HEIGHTS.items()],
        "light": [
            of(name, (each for each in results if light(each.luma) == name))
            for name in ("day", "night")
        ],
    }
