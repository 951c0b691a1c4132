"""Whether a confidence means what it says: of reads at 0.9, nine in ten are right.

And the temperature that makes it so: one number that flattens or sharpens what the network says
(Guo et al., "On Calibration of Modern Neural Networks", ICML 2017). Here the loss is of the whole
read as it is published, with n-best and syntax, not of single characters.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar

from train.evaluation.metrics import Doubles, Flags
from train.evaluation.reading import Answer, end_to_end, on_crops
from train.evaluation.results import Transcribed
from train.train_error import TrainError

BINS = 10
FEWEST = 10
"""Reads of a bin, as long as there are so many at all."""
LEVELS = (0.7, 0.9, 0.95)
NEVER = 1e-4
"""Confidences have four places: none is nearer to 0 or 1 for the logarithm."""
LOWEST, HIGHEST = 0.2, 10.0
"""Bounds of the temperature, in parts of the one that the bundle has."""
STEPS = 9
"""Of a coarse search before the fine one: the loss need not have one valley only."""
RULE = (
    "the temperature with the least negative log-likelihood of which reads are right, "
    "given the confidence that is published"
)


@dataclass(frozen=True)
class Bin:
    """Reads of about one confidence: its mean, and the share of them that is right."""

    confidence: float
    right: float
    reads: int


@dataclass(frozen=True)
class Level:
    """What acting on this confidence and more gives.

    Attributes:
        confidence: At least.
        kept: Share of all plates.
        right: Share of those that are kept; None where none is.
    """

    confidence: float
    kept: float
    right: float | None


@dataclass(frozen=True)
class Calibration:
    """Confidences against what is right.

    Attributes:
        plates: All, also those that were not found or not legible.
        reads: Those that have a text.
        error: Expected calibration error: the mean distance of confidence and share right over the
            bins, by their reads; None without reads.
        loss: Mean negative log-likelihood of what was right; None without reads.
        bins: Of equally many reads, rising.
        levels: One for each of LEVELS; empty without plates.
    """

    plates: int
    reads: int
    error: float | None
    loss: float | None
    bins: tuple[Bin, ...]
    levels: tuple[Level, ...]


@dataclass(frozen=True)
class Temperature:
    """A temperature that was fitted.

    Attributes:
        value: For `reader.temperature` of the bundle.
        factor: Of it, over that which the bundle has.
        before: With the bundle's.
        after: With `value`.
    """

    value: float
    factor: float
    before: Calibration
    after: Calibration


def judged(plates: Sequence[Transcribed], threshold: float, factor: float = 1.0) -> list[Answer]:
    """What confidence is judged by: reads of found plates; of true boxes without any picture."""
    return end_to_end(plates, threshold, factor) or on_crops(plates, factor)


def fit(plates: Sequence[Transcribed], threshold: float, *, current: float) -> Temperature:
    """Finds the temperature of RULE between LOWEST and HIGHEST times the current one.

    Raises:
        TrainError: No read is right, or none is wrong: nothing can be told from that.
    """
    before = judged(plates, threshold)
    right = [each.is_right for each in before if each.reading.plate]
    if len(set(right)) < 2:
        raise TrainError(
            f"--calibrate: {sum(right)} of {len(right)} reads are right: it takes right and wrong "
            "ones to tell what confidence means"
        )

    def loss(log_factor: float) -> float:
        return calibration(judged(plates, threshold, float(np.exp(log_factor)))).loss or 0.0

    grid = np.linspace(np.log(LOWEST), np.log(HIGHEST), STEPS)
    best = int(np.argmin([loss(each) for each in grid]))
    around = grid[max(0, best - 1)], grid[min(STEPS - 1, best + 1)]
    fine = minimize_scalar(loss, bounds=around, method="bounded", options={"xatol": 0.005})
    log_factor = min((0.0, float(grid[best]), float(fine.x)), key=loss)  # not smooth, not convex
    value = round(current * float(np.exp(log_factor)), 3)
    after = calibration(judged(plates, threshold, value / current))
    return Temperature(value, value / current, calibration(before), after)


def calibration(answers: Sequence[Answer]) -> Calibration:
    """Of what is published; right is what is right when folded."""
    reads = [each for each in answers if each.reading.plate]
    confidences = np.array([each.reading.confidence for each in reads], np.float64)
    right = np.array([each.is_right for each in reads], bool)
    bins = tuple(_bins(confidences, right))
    gaps = [abs(each.confidence - each.right) * each.reads for each in bins]
    return Calibration(
        plates=len(answers),
        reads=len(reads),
        error=sum(gaps) / len(reads) if reads else None,
        loss=log_loss(confidences, right) if reads else None,
        bins=bins,
        levels=tuple(_level(confidences, right, level, len(answers)) for level in LEVELS)
        if answers
        else (),
    )


def log_loss(confidences: Doubles, right: Flags) -> float:
    """Mean negative log-likelihood of which reads are right; there must be reads."""
    said = np.clip(confidences, NEVER, 1 - NEVER)
    return float(-np.log(np.where(right, said, 1 - said)).mean())


def _bins(confidences: Doubles, right: Flags) -> Iterator[Bin]:
    order = np.argsort(confidences, kind="stable")
    count = min(BINS, max(1, len(order) // FEWEST))
    for part in np.array_split(order, count) if len(order) else ():
        yield Bin(float(confidences[part].mean()), float(right[part].mean()), len(part))


def _level(confidences: Doubles, right: Flags, level: float, plates: int) -> Level:
    kept = right[confidences >= level]
    return Level(level, len(kept) / plates, float(kept.mean()) if len(kept) else None)
