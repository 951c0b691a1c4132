"""Chooses a detector's score threshold.

A missed plate is lost, while the reader and the fusion drop a false box that has no text. So the
rule prefers false boxes to missed plates.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from train.evaluation.coco_metrics import Floats, RankedBoxes
from train.train_error import TrainError

LOWEST = 0.05
"""Score below which boxes are noise. Plates found at it are those that the detector can find."""
KEPT = 0.99
"""Share of the plates found at LOWEST that the chosen threshold must keep."""
MAX_FALSE_BOXES = 0.02
"""False boxes per frame without plates that are acceptable."""
CANDIDATES = tuple(round(float(value), 2) for value in np.arange(LOWEST, 0.955, 0.01))
"""Thresholds to choose from."""
STEPS_SHOWN = (-0.1, -0.05, 0.0, 0.05, 0.1)
"""Offsets of the thresholds that the report shows beside the chosen one."""
RULE = (
    f"the lowest that gives at most {MAX_FALSE_BOXES} false boxes per frame without plates and "
    f"keeps {KEPT:.0%} of the plates found at {LOWEST}; if there is none, the highest that keeps "
    "them"
)
"""How the threshold is chosen, for reports and origins."""


@dataclass(frozen=True)
class ThresholdResult:
    """What a threshold gives. `false_per_frame` is None without negatives."""

    threshold: float
    recall: float | None
    precision: float | None
    false_per_frame: float | None


@dataclass(frozen=True)
class ThresholdChoice:
    """The chosen threshold, and the results of it, its neighbours, LOWEST and the bundle's."""

    threshold: float
    table: tuple[ThresholdResult, ...]


def choose_threshold(
    ranked: RankedBoxes, negatives: Sequence[Floats], others: Sequence[Floats], *, current: float
) -> ThresholdChoice:
    """Applies RULE to the held-out part; raises TrainError if no plate is found at LOWEST.

    `negatives` has the scores of each frame without plates. `others`, the same of frames that take
    no part in the choice, and the `current` threshold are for the table.
    """
    found = ranked.at(LOWEST).found
    if not found:
        raise TrainError(f"--choose-threshold: no plate was found, even at {LOWEST}")
    keeping = [t for t in CANDIDATES if ranked.at(t).found >= KEPT * found]
    quiet = [t for t in keeping if (false_per_frame(negatives, t) or 0) <= MAX_FALSE_BOXES]
    threshold = min(quiet) if negatives and quiet else max(keeping)
    around = (round(threshold + step, 2) for step in STEPS_SHOWN)
    results = []
    for t in sorted({LOWEST, current, *(t for t in around if LOWEST <= t < 1)}):
        counts = ranked.at(t)
        false = false_per_frame(others, t)
        results.append(ThresholdResult(t, counts.recall, counts.precision, false))
    return ThresholdChoice(threshold, tuple(results))


def false_per_frame(negatives: Sequence[Floats], threshold: float) -> float | None:
    """Returns the false boxes per frame, or None without frames."""
    if not negatives:
        return None
    return sum(int(np.count_nonzero(scores >= threshold)) for scores in negatives) / len(negatives)
