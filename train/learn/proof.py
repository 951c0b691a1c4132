"""The proof: is the new network better on plates that it was not trained on?"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from train.learn.candidates import Candidate
from train.learn.reads import Reads

RESAMPLES = 2000
"""Bootstrap samples."""
MAX_P = 0.1
"""Largest p of a gain: the gate is one-sided, at 90 %."""
QUANTILE = NormalDist().inv_cdf(0.975)
"""Of a 95 % interval."""
Interval = tuple[float, float]


@dataclass(frozen=True)
class Accuracy:
    """Share of correct reads before and after, each with its 95 % interval (Wilson)."""

    before: float
    after: float
    before_ci: Interval
    after_ci: Interval


@dataclass(frozen=True)
class Proof:
    """The paired test on held-out plates."""

    count: int
    vehicles: int
    exact: Accuracy
    folded: Accuracy
    gain: float  # of the mean log-probability of the label per character
    p: float  # one-sided: probability of such a gain if there is none


def prove(before: Reads, after: Reads, vehicles: Sequence[str]) -> Proof:
    """Compares two networks on the same plates. A vehicle is resampled as a whole."""
    gains = after.label_logs - before.label_logs
    return Proof(
        count=len(vehicles),
        vehicles=len(set(vehicles)),
        exact=_accuracy(before.exact, after.exact),
        folded=_accuracy(before.folded, after.folded),
        gain=float(gains.mean()),
        p=paired_bootstrap(gains, vehicles),
    )


def paired_bootstrap(
    gains: NDArray[np.float32], vehicles: Sequence[str], *, seed: int = 0
) -> float:
    """Returns the share of resamples without a gain (Efron and Tibshirani, 1993)."""
    _, numbers = np.unique(np.array(vehicles), return_inverse=True)
    sums, counts = np.bincount(numbers, gains), np.bincount(numbers)
    drawn = np.random.default_rng(seed).integers(len(sums), size=(RESAMPLES, len(sums)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    return float((means <= 0).mean())


def refusals(proof: Proof, chosen: Candidate) -> list[str]:
    """Returns why the gate refuses the new network; empty if it passes."""
    reasons = [
        f"forgot {each.name}: {each.before:.1%} before, {each.after:.1%} after, of {each.count}"
        for each in chosen.forgets
    ]
    if proof.gain <= 0 or proof.p > MAX_P:
        exact = proof.exact
        reasons.append(
            f"no proven gain on {proof.count} held-out plates: {exact.before:.1%} read before, "
            f"{exact.after:.1%} after (p = {proof.p:.2f}, at most {MAX_P} is needed)"
        )
    return reasons


def wilson(right: int, count: int) -> Interval:
    """Returns the 95 % interval of a share (Wilson, 1927)."""
    share, square = right / count, QUANTILE**2
    middle = (share + square / (2 * count)) / (1 + square / count)
    spread = share * (1 - share) / count + square / (4 * count**2)
    half = QUANTILE * spread**0.5 / (1 + square / count)
    return max(0.0, middle - half), min(1.0, middle + half)


def _accuracy(before: NDArray[np.bool_], after: NDArray[np.bool_]) -> Accuracy:
    count, (old, new) = len(before), (int(each.sum()) for each in (before, after))
    return Accuracy(old / count, new / count, wilson(old, count), wilson(new, count))
