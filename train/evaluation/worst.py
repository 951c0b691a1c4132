"""What a detector did worst."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from plateid.core.geometry import iou
from plateid.core.records import Box
from train.evaluation.judge import Judged
from train.evaluation.metrics import NONE, Floats, match
from train.evaluation.threshold import LOWEST

LIMIT = 40
LOOSE_IOU = 0.7
"""A plate that is found with less is worth a look."""
Kind = Literal["missed", "false box", "loose box"]
KINDS: tuple[Kind, ...] = ("missed", "false box", "loose box")
"""Worst first."""


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong.

    Attributes:
        kind: What.
        weight: How bad, among those of its kind: height of a missed plate in judge.REFERENCE,
            score of a false box, missing IoU of a loose one.
        box: Where, in pixels of the picture.
        about: In words.
    """

    kind: Kind
    weight: float
    box: Box
    about: str

    @property
    def rank(self) -> tuple[int, float]:
        """The worst is the least."""
        return KINDS.index(self.kind), -self.weight


@dataclass(frozen=True, eq=False)
class Bad:
    """A picture and what is wrong with it, worst first; never nothing."""

    judged: Judged
    faults: tuple[Fault, ...]


def worst(judged: Iterable[Judged], threshold: float, limit: int = LIMIT) -> list[Bad]:
    """The worst pictures: missed plates, then false boxes, then loose ones.

    Of each second of a clip only the worst frame is taken.
    """
    bad = [Bad(each, found) for each in judged if (found := faults(each, threshold))]
    bad.sort(key=lambda each: each.faults[0].rank)
    by_moment: dict[tuple[Path, int], Bad] = {}
    for each in bad:
        shot = each.judged.shot
        by_moment.setdefault((shot.path, int(shot.media_time_s)), each)
    return list(by_moment.values())[:limit]


def faults(judged: Judged, threshold: float) -> tuple[Fault, ...]:
    """What is wrong in one picture at a threshold, worst first."""
    matches = match(judged.sample())
    sure = judged.scores[matches.boxes] >= threshold
    boxes, truths, overlaps = matches.boxes[sure], matches.truths[sure], matches.overlaps[sure]
    found = [
        *(_missed(judged, truth) for truth in range(len(judged.truths)) if truth not in truths),
        *(_false(judged, box) for box in boxes[truths == NONE]),
        *(
            _loose(judged, truth, overlap)
            for truth, overlap in zip(truths, overlaps.tolist(), strict=True)
            if truth != NONE and overlap < LOOSE_IOU
        ),
    ]
    return tuple(sorted(found, key=lambda fault: fault.rank))


def _missed(judged: Judged, truth: int) -> Fault:
    box = judged.truths[truth]
    height = float(box[3] - box[1])
    seen = judged.scores >= LOWEST
    overlaps = iou(box[None], judged.boxes[seen])[0]
    nearest = "no box near it"
    if overlaps.any():
        score = judged.scores[seen][overlaps.argmax()]
        nearest = f"nearest box has score {score:.2f}, IoU {overlaps.max():.2f}"
    about = f"missed plate, {height:.0f} px high: {nearest}"
    return Fault("missed", height * judged.scale, box_of(box), about)


def _false(judged: Judged, box: int) -> Fault:
    score = float(judged.scores[box])
    best = float(iou(judged.boxes[box][None], judged.truths).max(initial=0))
    where = f"IoU {best:.2f} with a plate" if best else "no plate is labelled there"
    doubt = ", but others may be there" if judged.is_open and not best else ""
    about = f"false box, score {score:.2f}: {where}{doubt}"
    return Fault("false box", score, box_of(judged.boxes[box]), about)


def _loose(judged: Judged, truth: int, overlap: float) -> Fault:
    about = f"loose box, IoU {overlap:.2f}"
    return Fault("loose box", 1 - overlap, box_of(judged.truths[truth]), about)


def box_of(row: Floats) -> Box:
    """A row of boxes."""
    x1, y1, x2, y2 = row.tolist()
    return x1, y1, x2, y2
