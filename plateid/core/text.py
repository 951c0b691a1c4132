"""The charset, and how a reader's output becomes slots, text and candidates."""

import functools
import heapq
import itertools
import math
import re
import statistics
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CHARSET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
NO_CHARACTER = 0
"""Column of the slots that says "no character here"; CHARSET[i] is column i + 1."""
SHOWN = ("", *CHARSET)
"""What each column stands for."""

DOUBTFUL = 0.05
"""Where a reader left out a character that was at least so likely, its slot is kept. Of rendered
plates read once at .9 and more, .984 were right with it and .972 without (platenet-0.1)."""
LONG, NEARLY_BLANK = 1.4, 0.1
"""A run of so many times the usual length, with so much blank inside, is a character twice. That
parts 25 of 44 that were one too few, and 3 of 19,343 that were right (rendered plates)."""
SHORT = 0.8
"""Two runs in a row that together have so many times the usual length at most are one character.
That joins 51 of 112 pairs that were one too many, and none of 9,257 that were right."""
CHOICES = 4
"""Characters that are tried in each slot when looking for other texts."""

LATIN = str.maketrans("АВЕКМНОРСТУХІΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "ABEKMHOPCTYXIABEZHIKMNOPTYX")  # noqa: RUF001
"""Letters of other alphabets that plates have, and what they look like."""
LOOK_ALIKES = (
    *(("O", "0", 0.9), ("I", "1", 0.9)),
    *((*pair, 0.05) for pair in ("B8", "S5", "Z2", "G6", "D0", "Q0")),
)
"""Pairs, and the share of the one's probability that the other has at least.

Many plate fonts draw O as 0 and I as 1. The others differ where a crop shows them well: their share
is below `formats.MISFIT`, so that soft syntax does not overrule a sure reader (0.3 spoilt 16 of the
745 plates of us-crops)."""

Slots = NDArray[np.float32]
"""Shape (L, 1 + len(CHARSET)); each row sums to 1."""


def normalise(text: str) -> str:
    """Letters and digits of `text` as readers tell them, in order; everything else is dropped.

    An umlaut is its letter, and a Cyrillic or Greek letter of plates the Latin one that it looks
    like.
    """
    plain = unicodedata.normalize("NFKD", text).upper().translate(LATIN)
    return re.sub(f"[^{CHARSET}]", "", plain)


def tempered(probabilities: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    """Calibrated probabilities: raised to 1 / temperature, and brought back to a sum of 1.

    Temperature scaling (Guo et al., On Calibration of Modern Neural Networks, ICML 2017); above 1
    it makes a network less sure. The likeliest column stays the likeliest.

    Args:
        probabilities: Shape (..., columns).
        temperature: Above 0; fitted on held-out plates.
    """
    if temperature == 1.0:
        return probabilities
    floored = np.maximum(probabilities, 1e-12)
    powers = (floored / floored.max(axis=-1, keepdims=True)) ** (1 / temperature)
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True), dtype=np.float32)


def ctc_slots(probabilities: NDArray[np.float32]) -> Slots:
    """Collapses a CTC output to one row for each character of its best path, and each doubt.

    A character's row is the sharpest step of its run. Where a run of blanks may hide a character
    that is at least DOUBTFUL, that step makes a row as well. A step beside a run may be one more
    of it: it is no doubt.

    Args:
        probabilities: Shape (T, 1 + len(CHARSET)), column 0 is the blank.
    """
    best = _best_path(probabilities)
    steps = np.arange(len(best))
    peaks = probabilities[steps, best].tolist()
    doubts = probabilities.copy()
    doubts[1:][steps[:-1], best[:-1]] = doubts[:-1][steps[:-1], best[1:]] = 0
    doubts[:, NO_CHARACTER] = 1 - doubts[:, 1:].sum(axis=1)
    hidden = doubts[:, 1:].max(axis=1).tolist()
    rows = []
    for start, end in _runs(best):
        if best[start] != NO_CHARACTER:
            rows.append(probabilities[max(range(start, end), key=peaks.__getitem__)])
        elif max(hidden[start:end]) >= DOUBTFUL:
            rows.append(doubts[max(range(start, end), key=hidden.__getitem__)])
    return np.array(rows, dtype=np.float32).reshape(-1, probabilities.shape[1])


def _best_path(probabilities: NDArray[np.float32]) -> list[int]:
    """The likeliest column of each step, but runs are about as long as the read's others.

    A long one that nearly has a blank inside is a character twice ("22"), two short ones in a row
    are one character that may be either ("0Q").
    """
    best: list[int] = probabilities.argmax(axis=1).tolist()
    blank = probabilities[:, NO_CHARACTER].tolist()
    runs = _runs(best)
    lengths = [end - start for start, end in runs if best[start] != NO_CHARACTER]
    usual = statistics.median(lengths) if lengths else 0
    for start, end in runs:
        if best[start] != NO_CHARACTER and end - start >= max(3, LONG * usual):
            gap = max(range(start + 1, end - 1), key=blank.__getitem__)
            if blank[gap] >= NEARLY_BLANK:
                best[gap] = NO_CHARACTER
    for (start, _), (_, end) in itertools.pairwise(runs):
        if end - start <= SHORT * usual and NO_CHARACTER not in best[start:end]:
            sharpest = max(range(start, end), key=lambda step: probabilities[step, best[step]])
            best[start:end] = [best[sharpest]] * (end - start)
    return best


def _runs(best: list[int]) -> list[tuple[int, int]]:
    """Start and end of each stretch of one column."""
    changes = (step for step in range(1, len(best)) if best[step] != best[step - 1])
    return list(itertools.pairwise([0, *changes, len(best)]))


def with_look_alikes(slots: Slots) -> Slots:
    """The slots where each character has at least the share of its look-alikes.

    The reader may have given it nothing. Rows then sum to more than 1.
    """
    return np.asarray((slots[:, :, None] * _likeness()).max(axis=1), dtype=np.float32)


@functools.cache
def _likeness() -> NDArray[np.float32]:
    likeness = np.eye(1 + len(CHARSET), dtype=np.float32)
    for one, other, share in LOOK_ALIKES:
        columns = 1 + CHARSET.index(one), 1 + CHARSET.index(other)
        likeness[columns] = likeness[columns[::-1]] = share
    return likeness


def slots_text(slots: Slots) -> str:
    """The likeliest character of each slot; slots that hold none are left out."""
    return "".join(SHOWN[column] for column in slots.argmax(axis=1).tolist())


@dataclass(frozen=True)
class Hypothesis:
    """One text that slots may hold, its probability, and that of each of its characters."""

    text: str
    probability: float
    characters: tuple[float, ...]


def n_best(slots: Slots, count: int, *, least: float = 0.0) -> list[Hypothesis]:
    """The `count` likeliest texts of independent slots, best first; two ways to one text add up.

    Best-first search: each step exchanges one slot's character for its next best.

    Args:
        slots: What was read.
        count: At most so many texts.
        least: Choices less likely than this share of the likeliest are not tried.
    """
    totals: dict[str, float] = {}
    ways: dict[str, tuple[int, ...]] = {}
    for columns, probability in _likeliest(slots, 4 * count, least):
        text = "".join([SHOWN[column] for column in columns])
        totals[text] = totals.get(text, 0.0) + probability
        ways.setdefault(text, columns)
    best = sorted(totals, key=lambda text: -totals[text])[:count]
    return [Hypothesis(text, min(1.0, totals[text]), _held(slots, ways[text])) for text in best]


def _held(slots: Slots, columns: tuple[int, ...]) -> tuple[float, ...]:
    """The probability of each character of one choice of columns."""
    chosen = slots[np.arange(len(slots)), columns].tolist()
    return tuple(p for p, column in zip(chosen, columns, strict=True) if column != NO_CHARACTER)


def _likeliest(slots: Slots, count: int, least: float) -> Iterator[tuple[tuple[int, ...], float]]:
    """The `count` likeliest choices of one column for each slot, and their probabilities.

    A choice follows from the one with a better column in its last slot that has not the best.
    """
    best = np.argsort(-slots, axis=1)[:, :CHOICES]
    best_costs = -np.log(np.maximum(np.take_along_axis(slots, best, axis=1), 1e-12))
    ranked, costs = best.tolist(), best_costs.tolist()  # lists: numpy is slow one by one
    cheapest = math.fsum(cost[0] for cost in costs)
    dearest = cheapest - math.log(least) if least else math.inf
    heap = [(cheapest, (0,) * len(slots), 0)]
    for _ in range(count):
        if not heap:
            return
        cost, ranks, last = heapq.heappop(heap)
        columns = tuple([of[rank] for of, rank in zip(ranked, ranks, strict=True)])
        yield columns, math.exp(-cost)
        for slot in range(last, len(ranks)):
            rank = ranks[slot] + 1
            if rank == CHOICES:
                continue
            dearer = cost + costs[slot][rank] - costs[slot][rank - 1]
            if dearer <= dearest:
                heapq.heappush(heap, (dearer, (*ranks[:slot], rank, *ranks[slot + 1 :]), slot))


def edit_distance(a: str, b: str) -> int:
    """Levenshtein distance: insertions, deletions and exchanges."""
    if a == b:
        return 0
    row = list(range(len(b) + 1))
    for i, left in enumerate(a, 1):
        diagonal, row[0] = row[0], i
        for j, right in enumerate(b, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (left != right))
    return row[-1]
