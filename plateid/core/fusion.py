"""Many reads of one plate become one reading.

Each read is aligned with what is fused so far by the cheapest edit path, as in ROVER (Fiscus, ASRU
1997), and its slots' log-probabilities are added to those of the slots they belong to, weighted by
how well the crop shows them.
"""

import itertools
import math
from collections import Counter

import numpy as np
from numpy.typing import NDArray

from plateid.core.records import PlateRead
from plateid.core.text import CHARSET, NO_CHARACTER, Slots, edit_distance, slots_text

FLOOR = 0.005
"""Of each read this much is spread evenly: no read is sure enough to veto all others."""
GAP = 0.75
"""Cost of a slot that one side lacks; exchanging characters that share nothing costs 1."""
LEAST_MISSED, MOST_MISSED = 0.02, 0.5
"""How likely a read leaves out a character, by how sure it is of the others."""
INVENTED = 0.03
"""How likely a reader shows a character where there is none."""
CORRELATION = 0.5
"""Frames of one pass err alike: n equally good reads count as n to this power."""
GOOD_HEIGHT = 24.0
"""Plates of this height and more get full weight, in pixels."""
ILLEGIBLE_HEIGHT, LEGIBLE_HEIGHT = 6.0, 16.0
"""Below the first, in pixels, a plate shows almost nothing, whatever a reader says of it; from the
second on nothing is taken off."""
KEPT_TEXTS = 64
Logs = NDArray[np.float64]
"""Sums of the reads' log-probabilities, a row for each slot."""


class Fusion:
    """The fused reads of one pass, or of the cuts of one picture."""

    def __init__(self, *, doubts: bool = False) -> None:
        """Starts without a read.

        Args:
            doubts: Whether it matters what reads may have left out. In a pass some read shows it,
                and the doubts of all would draw its characters apart.
        """
        self._doubts = doubts
        self._logs: Logs = np.zeros((0, 1 + len(CHARSET)))
        self._absent_logs: Logs = np.zeros(1 + len(CHARSET))
        self._weight = 0.0
        self._squared_weight = 0.0
        self._texts: Counter[str] = Counter()
        self.reads = 0

    def add(self, read: PlateRead) -> None:
        """Fuses one more read; a read without a text only counts."""
        self.reads += 1
        if not (text := slots_text(read.probabilities)):
            return
        self._remember(text)
        slots = read.probabilities
        if not self._doubts:
            slots = slots[slots.argmax(axis=1) != NO_CHARACTER]
        weight, doubt = read_weight(read), _doubt(read.height)
        logs = np.log(_floored(slots, doubt)) * weight
        absent_logs = np.log(_absent(slots)) * weight
        self._logs = self._merged(logs, slots, absent_logs, weight)
        self._absent_logs = self._absent_logs + absent_logs
        self._weight += weight
        self._squared_weight += weight**2

    def slots(self) -> Slots:
        """The fused distribution of each slot, likeliest text left in `slots_text` of it."""
        if not self._weight:
            return np.zeros((0, 1 + len(CHARSET)), dtype=np.float32)
        return self._together(self._logs).astype(np.float32)

    def agreeing(self, text: str, *, edits: int = 0) -> int:
        """How many reads said `text`, or something at most so many edits away."""
        if not edits:
            return self._texts[text]
        return sum(n for said, n in self._texts.items() if edit_distance(said, text) <= edits)

    def _together(self, logs: Logs) -> Logs:
        """Probabilities from the sums of the reads' log-probabilities; rows sum to 1."""
        effective_reads = self._weight**2 / self._squared_weight
        return _softmax(logs / self._weight * effective_reads**CORRELATION)

    def _remember(self, text: str) -> None:
        self._texts[text] += 1
        if len(self._texts) > 2 * KEPT_TEXTS:
            self._texts = Counter(dict(self._texts.most_common(KEPT_TEXTS)))

    def _merged(self, logs: Logs, slots: Slots, absent_logs: Logs, weight: float) -> Logs:
        if not self._weight:
            return logs
        rows = []
        for old, new in align(self.slots(), slots, doubts=self._doubts):
            if old is None:
                rows.append(self._absent_logs + _perhaps_invented(logs[new], weight))
            elif new is None:
                rows.append(_perhaps_invented(self._logs[old], self._weight) + absent_logs)
            else:
                rows.append(self._logs[old] + logs[new])
        return np.stack(rows)


def read_weight(read: PlateRead) -> float:
    """What a read counts: small and blurred crops less, in 0.05 to 1."""
    return max(0.05, min(read.height / GOOD_HEIGHT, 1.0) * (0.3 + 0.7 * read.sharpness))


def align(a: Slots, b: Slots, *, doubts: bool = False) -> list[tuple[int | None, int | None]]:
    """The cheapest edit path between two reads: pairs of slots, None where one side has none.

    With `doubts`, a slot that is perhaps no character costs less to leave out. Without, those of
    `b` are characters, and one of `a` counts by how likely it is one: what a single read invented
    costs little to leave out, or later reads would be divided between it and its neighbour.
    """
    exchange = 1.0 - a @ b.T
    gap_a, gap_b = (np.minimum(1.0 - slots[:, NO_CHARACTER], GAP) for slots in (a, b))
    if not doubts:
        none = a[:, NO_CHARACTER, np.newaxis]
        exchange -= (1.0 - GAP) * none
        gap_a, gap_b = GAP * (1.0 - none[:, 0]), np.full(len(b), GAP)
    return _cheapest(exchange.tolist(), gap_a.tolist(), gap_b.tolist())  # lists: numpy is slow here


def _cheapest(
    exchange: list[list[float]], gap_a: list[float], gap_b: list[float]
) -> list[tuple[int | None, int | None]]:
    costs = [[0.0, *itertools.accumulate(gap_b)]]
    for i, gap in enumerate(gap_a):
        above = costs[-1]
        row = [above[0] + gap]
        for j, other_gap in enumerate(gap_b):
            row.append(min(above[j] + exchange[i][j], above[j + 1] + gap, row[j] + other_gap))
        costs.append(row)
    return _path(costs, exchange, gap_a, gap_b)


def _path(
    costs: list[list[float]],
    exchange: list[list[float]],
    gap_a: list[float],
    gap_b: list[float],
) -> list[tuple[int | None, int | None]]:
    """Back from the last corner, by the step that cost least."""
    i, j = len(gap_a), len(gap_b)
    path: list[tuple[int | None, int | None]] = []
    while i or j:
        both = costs[i - 1][j - 1] + exchange[i - 1][j - 1] if i and j else math.inf
        only_a = costs[i - 1][j] + gap_a[i - 1] if i else math.inf
        only_b = costs[i][j - 1] + gap_b[j - 1] if j else math.inf
        if both <= min(only_a, only_b):
            i, j = i - 1, j - 1
            path.append((i, j))
        elif only_a <= only_b:
            i -= 1
            path.append((i, None))
        else:
            j -= 1
            path.append((None, j))
    return path[::-1]


def _doubt(height: float) -> float:
    """The part of a read's probabilities that is spread evenly, by the height of its crop."""
    legible = (height - ILLEGIBLE_HEIGHT) / (LEGIBLE_HEIGHT - ILLEGIBLE_HEIGHT)
    return 1.0 - (1.0 - FLOOR) * min(max(legible, 0.1), 1.0)


def _floored(probabilities: Slots, doubt: float = FLOOR) -> Logs:
    floored: Logs = probabilities.astype(np.float64)
    floored *= 1 - doubt
    floored += doubt / floored.shape[1]
    return floored


def _perhaps_invented(row: Logs, weight: float) -> Logs:
    """A slot that other reads lack: no character is at least so likely there."""
    least = row.max() + weight * math.log(INVENTED)
    changed = row.copy()
    changed[NO_CHARACTER] = max(row[NO_CHARACTER], least)
    return changed


def _absent(slots: Slots) -> Logs:
    """How likely a read shows nothing where each character is, and where there is none.

    A reader leaves out more than it invents, and more of a crop that it is not sure of.
    """
    missed = min(max(1.0 - float(slots.max(axis=1).mean()), LEAST_MISSED), MOST_MISSED)
    row = np.full(slots.shape[1], missed)
    row[NO_CHARACTER] = 1.0 - missed
    return row


def _softmax(logs: Logs) -> Logs:
    shifted = np.exp(logs - logs.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))
