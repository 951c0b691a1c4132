"""The proof: is the new network better on your plates that it was not trained on?"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from train.evaluation.coco_metrics import ImageBoxes, mean_average_precision, rank
from train.learn.candidates import Candidate
from train.learn.reads import Reads

RESAMPLES, BOX_RESAMPLES = 2000, 400
"""Bootstrap samples of plates, and of images, whose mAP takes longer."""
MAX_P = 0.1
"""Largest p of a gain: the gate is one-sided, at 90 %."""
QUANTILE = NormalDist().inv_cdf(0.975)
"""Of a 95 % interval."""
Interval = tuple[float, float]
Weights = NDArray[np.int64]
"""How often each plate or image is in each resample, shape (RESAMPLES, N)."""


@dataclass(frozen=True)
class Accuracy:
    """A measure (0-1) before and after, each with its 95 % interval."""

    before: float
    after: float
    before_ci: Interval
    after_ci: Interval


@dataclass(frozen=True)
class Proof:
    """The paired test on held-out plates or images."""

    unit: str  # what is counted
    count: int
    vehicles: int
    measures: dict[str, Accuracy]  # the report begins with the first
    gain: float  # of what the gate judges
    p: float  # one-sided: probability of such a gain if there is none

    @property
    def headline(self) -> tuple[str, Accuracy]:
        """The first measure and its name."""
        return next(iter(self.measures.items()))


def prove(before: Reads, after: Reads, vehicles: Sequence[str]) -> Proof:
    """Compares two readers on the same plates. A vehicle is resampled as a whole."""
    gains = after.label_logs - before.label_logs
    return Proof(
        unit="plates",
        count=len(vehicles),
        vehicles=len(set(vehicles)),
        measures={
            "exact": _accuracy(before.exact.sum(), after.exact.sum(), len(vehicles)),
            "folded": _accuracy(before.folded.sum(), after.folded.sum(), len(vehicles)),
        },
        gain=float(gains.mean()),
        p=paired_bootstrap(gains, vehicles),
    )


def prove_boxes(
    before: Sequence[ImageBoxes],
    after: Sequence[ImageBoxes],
    scenes: Sequence[str],
    thresholds: tuple[float, float],
) -> Proof:
    """Compares two detectors on the same images. A scene is resampled as a whole."""
    weights = np.vstack([np.ones(len(scenes), np.int64), resamples(scenes)[:BOX_RESAMPLES]])
    old, new = (mean_precisions(each, weights) for each in (before, after))
    counts = [rank(each).at(at) for each, at in zip((before, after), thresholds, strict=True)]
    return Proof(
        unit="images",
        count=len(scenes),
        vehicles=len(set(scenes)),
        measures={
            "mAP50-95": Accuracy(old[0], new[0], _middle(old[1:]), _middle(new[1:])),
            "recall": _accuracy(counts[0].found, counts[1].found, counts[0].plates),
        },
        gain=float(new[0] - old[0]),
        p=float((new[1:] - old[1:] <= 0).mean()),
    )


def paired_bootstrap(gains: NDArray[np.float32], vehicles: Sequence[str]) -> float:
    """Returns the share of resamples without a gain (Efron and Tibshirani, 1993)."""
    return float((resamples(vehicles) @ gains <= 0).mean())


def resamples(vehicles: Sequence[str], *, seed: int = 0) -> Weights:
    """Draws vehicles with replacement."""
    names, numbers = np.unique(np.array(vehicles), return_inverse=True)
    rng = np.random.default_rng(seed)
    return rng.multinomial(len(names), np.full(len(names), 1 / len(names)), RESAMPLES)[:, numbers]


def mean_precisions(images: Sequence[ImageBoxes], weights: Weights) -> NDArray[np.float64]:
    """Returns mAP50-95 of each resample of the images, shape (len(weights),)."""
    drawn = ([i for i, n in zip(images, w, strict=True) for _ in range(n)] for w in weights)
    return np.array([mean_average_precision(each) or 0.0 for each in drawn])


def refusals(proof: Proof, chosen: Candidate) -> list[str]:
    """Returns why the gate refuses the new network; empty if it passes."""
    reasons = [
        f"forgot {each.name}: {each.before:.1%} before, {each.after:.1%} after, of {each.count}"
        for each in chosen.forgets
    ]
    if proof.gain <= 0 or proof.p > MAX_P:
        name, value = proof.headline
        reasons.append(
            f"no proven gain on {proof.count} held-out {proof.unit}: {name} {value.before:.1%} "
            f"before, {value.after:.1%} after (p = {proof.p:.2f}, at most {MAX_P} is needed)"
        )
    return reasons


def wilson(right: int, count: int) -> Interval:
    """Returns the 95 % interval of a share (Wilson, 1927)."""
    share, square = right / count, QUANTILE**2
    middle = (share + square / (2 * count)) / (1 + square / count)
    spread = share * (1 - share) / count + square / (4 * count**2)
    half = QUANTILE * spread**0.5 / (1 + square / count)
    return max(0.0, middle - half), min(1.0, middle + half)


def _accuracy(before: int, after: int, count: int) -> Accuracy:
    """Returns the shares of correct ones before and after."""
    return Accuracy(before / count, after / count, wilson(before, count), wilson(after, count))


def _middle(values: NDArray[np.float64]) -> Interval:
    least, greatest = np.percentile(values, (2.5, 97.5)).tolist()
    return least, greatest
