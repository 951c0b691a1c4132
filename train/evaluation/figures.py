"""The figures of a bundle, of all pictures and by source, by height of the plate, by light."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from train.evaluation.judge import Judged
from train.evaluation.metrics import mean_average_precision, rank
from train.evaluation.threshold import LOWEST

Band = tuple[float, float]
EVERY: Band = (0, np.inf)
HEIGHTS: dict[str, Band] = {
    "< 12 px": (0, 12),
    "12-20 px": (12, 20),
    "20-40 px": (20, 40),
    "> 40 px": (40, np.inf),
}
"""Of plates, in a picture that is scaled to fit into judge.REFERENCE."""
NIGHT_LUMA = 55
"""Pictures with a lower mean brightness count as night. It parts the street scenes of the training
sources as a person would, but it also takes a car before a black wall for a night."""


@dataclass(frozen=True)
class Figures:
    """The figures of a part of the pictures; a share of nothing is None.

    Attributes:
        name: Of the part.
        pictures: Where plates of some heights count, those that hold one.
        found: Recall at the bundle's threshold: plates that a box of their own covers with an IoU
            of at least 0.5.
        found_at_lowest: The same at the score threshold.LOWEST.
        mean_iou: Of the plates found.
        texts: Plates that were transcribed.
        exact: Share of them that were found and read as they are.
        folded: The same, with O as 0 and I as 1.
        is_open: Plates may be there unlabelled: precision and mAP are lower bounds.
    """

    name: str
    pictures: int
    plates: int
    found: float | None
    found_at_lowest: float | None
    precision: float | None
    missed: int
    false_boxes: int
    map50: float | None
    map50_95: float | None
    mean_iou: float | None
    texts: int
    exact: float | None
    folded: float | None
    is_open: bool


def fold(text: str) -> str:
    """O and I as the digits that they cannot be told from."""
    return text.replace("O", "0").replace("I", "1")


def parts(judged: Sequence[Judged], threshold: float) -> dict[str, list[Figures]]:
    """The figures of "all", and by "source", "height" and "light"; of sources in their order."""
    sources = list(dict.fromkeys(each.source for each in judged))
    lights = {
        "day": [each for each in judged if each.luma >= NIGHT_LUMA],
        "night": [each for each in judged if each.luma < NIGHT_LUMA],
    }
    return {
        "all": [figures("all", judged, threshold)],
        "source": [
            figures(name, [each for each in judged if each.source == name], threshold)
            for name in sources
        ],
        "height": [figures(name, judged, threshold, band=band) for name, band in HEIGHTS.items()],
        "light": [figures(name, part, threshold) for name, part in lights.items()],
    }


def figures(
    name: str, judged: Sequence[Judged], threshold: float, *, band: Band = EVERY
) -> Figures:
    """The figures of these pictures; only plates and false boxes of some heights count."""
    samples = [each.sample(band) for each in judged]
    counts, at_lowest = (rank(samples).at(score) for score in (threshold, LOWEST))
    texts = [pair for each in judged for pair in _texts(each, band)]
    return Figures(
        name=name,
        pictures=sum(band == EVERY or bool(each.within(band).any()) for each in judged),
        plates=counts.plates,
        found=counts.recall,
        found_at_lowest=at_lowest.recall,
        precision=counts.precision,
        missed=counts.plates - counts.found,
        false_boxes=counts.false_boxes,
        map50=rank(samples).average_precision(),
        map50_95=mean_average_precision(samples),
        mean_iou=counts.mean_iou,
        texts=len(texts),
        exact=_share(text == read for text, read in texts),
        folded=_share(fold(text) == fold(read) for text, read in texts),
        is_open=any(each.is_open for each in judged),
    )


def _texts(judged: Judged, band: Band) -> list[tuple[str, str]]:
    """What each transcribed plate says, and what was read of it."""
    lines = zip(judged.texts, judged.reads, judged.within(band), strict=True)
    return [(text, read) for text, read, counts in lines if text and counts]


def _share(right: Iterable[bool]) -> float | None:
    each = list(right)
    return sum(each) / len(each) if each else None
