"""The proof: is the new network better on your plates that it was not trained on?"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from train.evaluation.coco_metrics import ImageBoxes, mean_average_precision
from train.evaluation.evaluation_tables import Table, number

RESAMPLES = 2000
"""Number of bootstrap samples."""
TINY = 1e-12
"""Standard deviation of gains that do not vary."""
Interval = tuple[float, float]
Draws = NDArray[np.int64]
"""How often each of N plates or images counts, shape (1 + resamples, N)."""
Scores = NDArray[np.float64]
"""A score of all data, then of each resample."""


@dataclass(frozen=True)
class Accuracy:
    """A measure (0-1) before and after, each with its 95 % interval."""

    before: float
    after: float
    before_ci: Interval
    after_ci: Interval


def p_of_chosen(gains: Scores, chosen: int) -> float:
    """Returns p of a candidate that was chosen for its gain (Hansen, 2005).

    `gains` are those of each candidate: of all data, then of the resamples. p is the share of the
    resamples in which any candidate is worse than on all data by the gain of the chosen one. Both
    count in standard deviations, or a candidate that varies much would hide the gain of others.
    """
    deviations = np.maximum(gains[:, 1:].std(axis=1), TINY)
    luck = ((gains[:, :1] - gains[:, 1:]) / deviations[:, None]).max(axis=0)
    return float((luck >= gains[chosen, 0] / deviations[chosen]).mean())


def paired_bootstrap(gains: NDArray[np.float64], vehicles: Sequence[str]) -> float:
    """Returns p of a gain: a vehicle is resampled as a whole (Efron and Tibshirani, 1993)."""
    return p_of_chosen(weighted_means(gains, resamples(vehicles))[None], 0)


def resamples(vehicles: Sequence[str], count: int = RESAMPLES) -> Draws:
    """Returns how often each plate counts: each once, then as its vehicle is drawn."""
    names, numbers = np.unique(np.array(vehicles), return_inverse=True)
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), count)
    return np.vstack([np.ones((1, len(numbers)), int), drawn[:, numbers]])


def weighted_means(values: NDArray[np.float64], weights: Draws) -> Scores:
    """Returns the mean of the values in each row of the weights."""
    return np.asarray(weights @ values / weights.sum(axis=1))


def mean_precisions(images: Sequence[ImageBoxes], weights: Draws) -> Scores:
    """Returns mAP50-95 of the images in each row of the weights."""
    drawn = ([i for i, n in zip(images, w, strict=True) for _ in range(n)] for w in weights)
    return np.array([mean_average_precision(each) or 0.0 for each in drawn])


def shares_of(shares: Sequence[float], count: int) -> Accuracy:
    """Returns the shares before and after, each with its Wilson interval (1927) for `count`."""
    before, after = shares
    tests = [binomtest(round(share * count), count) for share in shares]
    intervals = [test.proportion_ci(method="wilson") for test in tests]
    return Accuracy(before, after, *((each.low, each.high) for each in intervals))


def means_of(scores: Scores) -> Accuracy:
    """Returns scores before and after (two rows), with the intervals of their resamples."""
    intervals = np.percentile(scores[:, 1:], (2.5, 97.5), axis=1).T.tolist()
    return Accuracy(*scores[:, 0].tolist(), *map(tuple, intervals))


def compared(
    what: str, sides: Sequence[Any], groups: Sequence[str], measures: dict[str, str]
) -> Table:
    """Returns the accuracy before and after, by group."""
    rows = []
    for pair in zip(*([each for name in groups for each in s[name]] for s in sides), strict=True):
        both = [getattr(each, "crops", each) for each in pair]
        values = (number(getattr(each, name)) for name in measures.values() for each in both)
        rows.append((pair[0].name, str(both[0].plates), *values))
    headings = (heading for name in measures for heading in (f"{name} before", "after"))
    return Table(f"Your {what}, held out", ("", "plates", *headings), rows)
