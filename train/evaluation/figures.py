"""The figures of a bundle, of all pictures and by source, by height of the plate, by light."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from train.evaluation.metrics import mean_average_precision, rank
from train.evaluation.results import Result
from train.evaluation.threshold import LOWEST

Band = tuple[float, float]
EVERY: Band = (0, np.inf)
HEIGHTS: dict[str, Band] = {
    "< 12 px": (0, 12),
    "12-20 px": (12, 20),
    "20-40 px": (20, 40),
    "> 40 px": (40, np.inf),
}
"""Of plates, in a picture that is scaled to fit into results.REFERENCE."""
NIGHT_LUMA = 55
"""Pictures with a lower mean brightness count as night. It parts the street scenes of the training
sources as a person would, but it also takes a car before a black wall for a night."""


def share(number: float | None) -> str:
    """As it is shown: three places, or a dash where there is nothing to have a share of."""
    return "-" if number is None else f"{number:.3f}"


@dataclass(frozen=True)
class Figures:
    """The figures of a part of the pictures; a share of nothing is None.

    Attributes:
        name: Of the part.
        pictures: Where plates of some heights count, those that hold one.
        recall: Plates that a box of their own covers with an IoU of at least 0.5, at the threshold.
        recall_at_05: The same at the score threshold.LOWEST.
        mean_iou: Of the plates found.
        curve: Precision at metrics.RECALLS.
    """

    name: str
    pictures: int
    plates: int
    recall: float | None
    recall_at_05: float | None
    precision: float | None
    missed: int
    false_boxes: int
    mAP50: float | None  # noqa: N815 - the field's word
    mAP50_95: float | None  # noqa: N815 - as above
    mean_iou: float | None
    curve: tuple[float, ...]


def parts(results: Sequence[Result], threshold: float) -> dict[str, list[Figures]]:
    """The figures of "all", and by "source", "height" and "light"; of sources in their order."""
    sources = dict.fromkeys(each.source for each in results)
    by_source = {name: [each for each in results if each.source == name] for name in sources}
    by_light = {
        "day": [each for each in results if each.luma >= NIGHT_LUMA],
        "night": [each for each in results if each.luma < NIGHT_LUMA],
    }
    return {
        "all": [figures("all", results, threshold)],
        "source": [figures(name, part, threshold) for name, part in by_source.items()],
        "height": [figures(name, results, threshold, band=band) for name, band in HEIGHTS.items()],
        "light": [figures(name, part, threshold) for name, part in by_light.items()],
    }


def figures(
    name: str, results: Sequence[Result], threshold: float, *, band: Band = EVERY
) -> Figures:
    """The figures of these pictures; only plates and false boxes of some heights count."""
    samples = [each.sample(band) for each in results]
    ranking = rank(samples)
    counts = ranking.at(threshold)
    return Figures(
        name=name,
        pictures=sum(band == EVERY or bool(each.within(band).any()) for each in results),
        plates=counts.plates,
        recall=counts.recall,
        recall_at_05=ranking.at(LOWEST).recall,
        precision=counts.precision,
        missed=counts.plates - counts.found,
        false_boxes=counts.false_boxes,
        mAP50=ranking.average_precision(),
        mAP50_95=mean_average_precision(samples),
        mean_iou=counts.mean_iou,
        curve=tuple(ranking.curve().tolist()),
    )
