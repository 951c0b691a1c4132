"""Picks a detector's threshold: a missed plate costs more than a false box.

The reader and the fusion throw out boxes without a text, so a false box costs time; a plate that
the detector drops is gone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from train.evaluation.metrics import Floats, Ranking
from train.train_error import TrainError

LOWEST = 0.05
"""Below it a score says next to nothing: "what the detector can find at all" is found here."""
KEPT = 0.99
"""Share of the plates found at LOWEST that the threshold must keep."""
FALSE_BOXES = 0.02
"""A frame without plates should not give more, as long as enough plates are kept."""
CANDIDATES = tuple(round(float(value), 2) for value in np.arange(LOWEST, 0.955, 0.01))
AROUND = (-0.1, -0.05, 0.0, 0.05, 0.1)
RULE = (
    f"the lowest that gives at most {FALSE_BOXES} false boxes a frame without plates and keeps "
    f"{KEPT:.0%} of the plates found at {LOWEST}; or else the highest that keeps them"
)


@dataclass(frozen=True)
class Point:
    """What a threshold gives; `false_per_frame` is None where there are no negatives."""

    threshold: float
    recall: float | None
    precision: float | None
    false_per_frame: float | None


@dataclass(frozen=True)
class Choice:
    """A threshold, and those around it, LOWEST and the bundle's, in order."""

    threshold: float
    table: tuple[Point, ...]


def choose(
    ranking: Ranking, negatives: Sequence[Floats], others: Sequence[Floats], *, current: float
) -> Choice:
    """Applies RULE.

    Args:
        ranking: Of the validation part.
        negatives: The scores of the boxes of each frame without plates; may be empty.
        others: The same of frames that take no part in the choice, for the table.
        current: The bundle's threshold, for the table.

    Raises:
        TrainError: No plate is found at LOWEST.
    """
    if not ranking.at(LOWEST).found:
        raise TrainError(f"--choose-threshold: no plate was found, even at {LOWEST}")
    enough = KEPT * ranking.at(LOWEST).found
    keeping = [t for t in CANDIDATES if ranking.at(t).found >= enough]
    quiet = [t for t in keeping if negatives and per_frame(negatives, t) <= FALSE_BOXES]
    threshold = min(quiet) if quiet else max(keeping)
    around = (round(threshold + step, 2) for step in AROUND)
    shown = sorted({LOWEST, current, *(t for t in around if LOWEST <= t < 1)})
    return Choice(threshold, tuple(_point(ranking, others, t) for t in shown))


def per_frame(negatives: Sequence[Floats], threshold: float) -> float:
    """False boxes a frame; there must be frames."""
    return sum(int(np.count_nonzero(scores >= threshold)) for scores in negatives) / len(negatives)


def _point(ranking: Ranking, negatives: Sequence[Floats], threshold: float) -> Point:
    counts = ranking.at(threshold)
    false_per_frame = per_frame(negatives, threshold) if negatives else None
    return Point(threshold, counts.recall, counts.precision, false_per_frame)
