"""Calibration: of the reads at a confidence of 0.9, nine in ten should be correct.

A temperature makes it so: one number that flattens or sharpens the network's probabilities (Guo et
al., "On Calibration of Modern Neural Networks", ICML 2017). The loss is that of the published
reading, with n-best and plate formats, not of single characters.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar

from train.evaluation.coco_metrics import Bools, Doubles
from train.evaluation.image_results import LabelledPlate
from train.evaluation.reader_accuracy import ReadResult, end_to_end, in_true_boxes
from train.train_error import TrainError

BINS = 10
"""Maximum number of bins of the reliability diagram."""
BIN_SIZE = 10
"""Minimum number of reads in a bin, if there are as many."""
MARGIN = 1e-4
"""Distance of a confidence from 0 and 1 in the logarithm. Confidences have four decimal places."""
LOWEST, HIGHEST = 0.2, 10.0
"""Bounds of the fitted temperature, relative to the bundle's."""
GRID = 9
"""Points of the coarse search before the fine one: the loss may have several minima."""
RULE = (
    "the temperature with the least negative log-likelihood of which reads are correct, as the "
    "mean over the sources"
)
"""How the temperature is fitted, for reports."""


@dataclass(frozen=True)
class ConfidenceBin:
    """Reads of similar confidence: their mean confidence, and the share that is correct."""

    confidence: float
    correct: float
    reads: int


@dataclass(frozen=True)
class Calibration:
    """Confidence of the reads that have a text, compared with correctness (folded)."""

    reads: int
    error: float | None  # expected calibration error: mean distance of the two over the bins
    loss: float | None  # mean negative log-likelihood of correctness
    bins: tuple[ConfidenceBin, ...]  # of equally many reads, by rising confidence


@dataclass(frozen=True)
class FittedTemperature:
    """A fitted `reader.temperature`, its factor on the bundle's, and the calibration with each."""

    value: float
    factor: float
    before: Calibration
    after: Calibration


def reads_to_judge(plates: Sequence[LabelledPlate]) -> list[ReadResult]:
    """Returns the reads end to end, or those in true boxes if there are plate crops only."""
    return end_to_end(plates) or in_true_boxes(plates)


def fit_temperature(plates: Sequence[LabelledPlate], *, current: float) -> FittedTemperature:
    """Finds the temperature of RULE; raises TrainError if all reads are correct, or all wrong."""
    before = reads_to_judge(plates)
    correct = [each.is_folded_match for each in before if each.reading.plate]
    if len(set(correct)) < 2:
        raise TrainError(
            f"--calibrate: {sum(correct)} of {len(correct)} reads are correct; the fit needs both "
            "correct and wrong ones"
        )

    def calibrated(factor: float) -> Calibration:
        return calibration(reads_to_judge([plate.tempered(factor) for plate in plates]))

    def loss(log_factor: float) -> float:
        factor = float(np.exp(log_factor))
        return _mean_loss(reads_to_judge([plate.tempered(factor) for plate in plates]))

    grid = np.linspace(np.log(LOWEST), np.log(HIGHEST), GRID)
    best = int(np.argmin([loss(each) for each in grid]))
    around = grid[max(0, best - 1)], grid[min(GRID - 1, best + 1)]
    fine = minimize_scalar(loss, bounds=around, method="bounded", options={"xatol": 0.005})
    log_factor = min((0.0, float(grid[best]), float(fine.x)), key=loss)  # not smooth, not convex
    value = round(current * float(np.exp(log_factor)), 3)
    factor = value / current
    return FittedTemperature(value, factor, calibration(before), calibrated(factor))


def calibration(results: Sequence[ReadResult]) -> Calibration:
    """Compares the published confidences with correctness."""
    reads = [each for each in results if each.reading.plate]
    confidences = np.array([each.reading.confidence for each in reads], np.float64)
    correct = np.array([each.is_folded_match for each in reads], bool)
    if not reads:
        return Calibration(0, None, None, ())
    order = np.argsort(confidences, kind="stable")
    bins = tuple(
        ConfidenceBin(float(confidences[part].mean()), float(correct[part].mean()), len(part))
        for part in np.array_split(order, min(BINS, max(1, len(order) // BIN_SIZE)))
    )
    gaps = [abs(each.confidence - each.correct) * each.reads for each in bins]
    return Calibration(len(reads), sum(gaps) / len(reads), log_loss(confidences, correct), bins)


def _mean_loss(results: Sequence[ReadResult]) -> float:
    """Returns the mean of the losses of all sources: a large one must not outvote the others."""
    sources = defaultdict(list)
    for each in results:
        sources[each.plate.source].append(each)
    losses = [loss for part in sources.values() if (loss := calibration(part).loss) is not None]
    return sum(losses) / len(losses)


def log_loss(confidences: Doubles, correct: Bools) -> float:
    """Returns the mean negative log-likelihood of correctness. There must be reads."""
    clipped = np.clip(confidences, MARGIN, 1 - MARGIN)
    return float(-np.log(np.where(correct, clipped, 1 - clipped)).mean())
