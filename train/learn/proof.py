"""The proof: is the new network better on your plates that it was not trained on?"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from train.evaluation.coco_metrics import ImageBoxes, mean_average_precision
from train.learn.candidates import Candidate

RESAMPLES, BOX_RESAMPLES = 2000, 200
"""Bootstrap samples of plates, and of images, whose mAP takes longer."""
MAX_P = 0.1
"""Largest p of a gain: the gate is one-sided, at 90 %."""
Interval = tuple[float, float]
Scores = NDArray[np.float64]
"""A score of all data, then of each resample."""


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


def p_of_chosen(gains: Scores, chosen: int) -> float:
    """Returns p of a candidate that was chosen for its gain (White's reality check, 2000).

    `gains` are those of each candidate: of all data, then of the resamples. p is the share of the
    resamples in which any candidate is worse than on all data by the gain of the chosen one.
    """
    luck = (gains[:, :1] - gains[:, 1:]).max(axis=0)
    return float((luck >= gains[chosen, 0]).mean())


def paired_bootstrap(gains: NDArray[np.float64], vehicles: Sequence[str]) -> float:
    """Returns p of a gain: a vehicle is resampled as a whole (Efron and Tibshirani, 1993)."""
    return p_of_chosen(resampled_means(gains, vehicles)[None], 0)


def resampled_means(values: NDArray[np.float64], vehicles: Sequence[str]) -> Scores:
    """Returns the mean of the values, and those of resamples; shape (1 + RESAMPLES,)."""
    weights = resamples(vehicles)
    return np.array([values.mean(), *(weights @ values / weights.sum(axis=1))])


def resampled_precisions(images: Sequence[ImageBoxes], scenes: Sequence[str]) -> Scores:
    """Returns mAP50-95 of all images, and of resamples; shape (1 + BOX_RESAMPLES,)."""
    weights = [np.ones(len(scenes), np.int64), *resamples(scenes)[:BOX_RESAMPLES]]
    drawn = ([i for i, n in zip(images, w, strict=True) for _ in range(n)] for w in weights)
    return np.array([mean_average_precision(each) or 0.0 for each in drawn])


def resamples(vehicles: Sequence[str], *, seed: int = 0) -> NDArray[np.int64]:
    """Draws vehicles with replacement. Returns how often each plate is drawn, (RESAMPLES, N)."""
    names, numbers = np.unique(np.array(vehicles), return_inverse=True)
    rng = np.random.default_rng(seed)
    return rng.multinomial(len(names), np.full(len(names), 1 / len(names)), RESAMPLES)[:, numbers]


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


def shares_of(correct: Sequence[int], count: int) -> Accuracy:
    """Returns the shares of correct ones before and after, each with Wilson's interval (1927)."""
    before, after = correct
    intervals = [binomtest(n, count).proportion_ci(method="wilson") for n in correct]
    return Accuracy(before / count, after / count, *((i.low, i.high) for i in intervals))


def means_of(scores: Scores) -> Accuracy:
    """Returns scores before and after (two rows), with the intervals of their resamples."""
    intervals = np.percentile(scores[:, 1:], (2.5, 97.5), axis=1).T.tolist()
    return Accuracy(*scores[:, 0].tolist(), *map(tuple, intervals))
