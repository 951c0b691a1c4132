"""Fuses many reads of one plate into one.

Reads are aligned along the cheapest edit path, as in ROVER (Fiscus, ASRU 1997). Log-probabilities
of aligned positions are added, weighted by the quality of the crop.
"""

import itertools
import math
from collections import Counter

import numpy as np
from numpy.typing import NDArray

from plateid.core.records import PlateRead
from plateid.core.taught_syntax import NO_SYNTAX
from plateid.core.text import BLANK, CHARSET, Positions, best_text, edit_distance

FLOOR = 0.005
"""Share of each read's probability that is spread evenly, so that no read can veto the others."""
GAP = 0.75
"""Cost of a position that one side lacks; substituting a character costs at most 1."""
MIN_MISSED, MAX_MISSED = 0.02, 0.5
"""Limits of the probability that a read misses a character."""
INVENTED = 0.03
"""Probability that a reader shows a character where there is none."""
CORRELATION = 0.5
"""Frames of one pass share their errors: n equally good reads count as n to this power."""
GOOD_HEIGHT = 24.0
"""Minimum height of a plate with full weight, in pixels."""
ILLEGIBLE_HEIGHT, LEGIBLE_HEIGHT = 6.0, 16.0
"""Heights in pixels between which the probabilities of the reader become trustworthy."""
MAX_TEXTS = 64
"""Number of different texts whose counts are kept."""
Logs = NDArray[np.float64]
"""Sums of weighted log-probabilities, a row for each position."""
Path = list[tuple[int | None, int | None]]
"""Pairs of aligned positions; None where one side has none."""


class Fusion:
    """The fused reads of one pass, or of the crops of one image; `reads` is their number.

    `syntax` is what their reader was taught.
    """

    def __init__(self, *, keep_blanks: bool = False) -> None:
        """Starts without reads.

        `keep_blanks` keeps low-probability blanks as positions. A pass does not need it: other
        reads show a missed character, and many uncertain blanks would misalign it.
        """
        self._keep_blanks = keep_blanks
        self._logs: Logs = np.zeros((0, 1 + len(CHARSET)))
        self._absent_logs: Logs = np.zeros(1 + len(CHARSET))
        self._weight = 0.0
        self._squared_weight = 0.0
        self._texts: Counter[str] = Counter()
        self.reads = 0
        self.syntax = NO_SYNTAX

    def add(self, read: PlateRead) -> None:
        """Fuses one more read; a read without text only counts."""
        self.reads += 1
        self.syntax = read.syntax
        weighed = read.syntax.weighed(read.probabilities)
        if not (text := best_text(weighed)):
            return
        self._texts[text] += 1
        if len(self._texts) > 2 * MAX_TEXTS:
            self._texts = Counter(dict(self._texts.most_common(MAX_TEXTS)))
        positions = read.probabilities
        if not self._keep_blanks:
            positions = weighed[weighed.argmax(axis=1) != BLANK]
        weight = read_weight(read)
        logs = np.log(_floored(positions, read.height)) * weight
        absent_logs = np.log(_absent(positions)) * weight
        self._logs = self._merged(logs, positions, absent_logs, weight)
        self._absent_logs = self._absent_logs + absent_logs
        self._weight += weight
        self._squared_weight += weight**2

    def positions(self) -> Positions:
        """Returns the fused probabilities of each position."""
        if not self._weight:
            return np.zeros((0, 1 + len(CHARSET)), dtype=np.float32)
        effective_reads = self._weight**2 / self._squared_weight
        logs = self._logs / self._weight * effective_reads**CORRELATION
        return _softmax(logs).astype(np.float32)

    def agreeing(self, text: str, *, edits: int = 0) -> int:
        """Returns the number of reads whose text is at most `edits` edits from `text`."""
        if not edits:
            return self._texts[text]
        return sum(n for other, n in self._texts.items() if edit_distance(other, text) <= edits)

    def _merged(self, logs: Logs, positions: Positions, absent_logs: Logs, weight: float) -> Logs:
        if not self._weight:
            return logs
        rows = []
        for old, new in align(self.positions(), positions, keep_blanks=self._keep_blanks):
            if old is None:
                rows.append(self._absent_logs + _perhaps_invented(logs[new], weight))
            elif new is None:
                rows.append(_perhaps_invented(self._logs[old], self._weight) + absent_logs)
            else:
                rows.append(self._logs[old] + logs[new])
        return np.stack(rows)


def read_weight(read: PlateRead) -> float:
    """Returns the weight of a read, 0.05 to 1: small and blurred crops count less."""
    return max(0.05, min(read.height / GOOD_HEIGHT, 1.0) * (0.3 + 0.7 * read.sharpness))


def align(a: Positions, b: Positions, *, keep_blanks: bool = False) -> Path:
    """Returns the cheapest edit path between two reads.

    With `keep_blanks`, a position costs less to leave out the more likely it is blank. Without, all
    positions of `b` are characters, and those of `a` count by the probability that they are one:
    else later reads would be divided between an invented character and its neighbour.
    """
    substitution = 1.0 - a @ b.T
    gap_a, gap_b = (np.minimum(1.0 - each[:, BLANK], GAP) for each in (a, b))
    if not keep_blanks:
        blank = a[:, BLANK, np.newaxis]
        substitution -= (1.0 - GAP) * blank
        gap_a, gap_b = GAP * (1.0 - blank[:, 0]), np.full(len(b), GAP)
    # lists: numpy is slow for single elements
    steps = _cheapest_steps(substitution.tolist(), gap_a.tolist(), gap_b.tolist())
    left, right = itertools.count(), itertools.count()
    return [
        (next(left) if step != "b" else None, next(right) if step != "a" else None)
        for step in steps
    ]


def _cheapest_steps(substitution: list[list[float]], gap_a: list[float], gap_b: list[float]) -> str:
    """Returns the cheapest path's steps: "a" or "b" for a gap, "x" for aligned positions."""
    row = [(cost, "b" * j) for j, cost in enumerate([0.0, *itertools.accumulate(gap_b)])]
    for costs, gap in zip(substitution, gap_a, strict=True):
        above, row = row, [(row[0][0] + gap, row[0][1] + "a")]
        for j, (cost, other_gap) in enumerate(zip(costs, gap_b, strict=True)):
            both, only_a, only_b = above[j][0] + cost, above[j + 1][0] + gap, row[j][0] + other_gap
            if both <= min(only_a, only_b):
                row.append((both, above[j][1] + "x"))
            elif only_a <= only_b:
                row.append((only_a, above[j + 1][1] + "a"))
            else:
                row.append((only_b, row[j][1] + "b"))
    return row[-1][1]


def _floored(probabilities: Positions, height: float) -> Logs:
    """Spreads a share of a read's probability evenly, by the height of its plate."""
    legible = (height - ILLEGIBLE_HEIGHT) / (LEGIBLE_HEIGHT - ILLEGIBLE_HEIGHT)
    floor = 1.0 - (1.0 - FLOOR) * min(max(legible, 0.1), 1.0)
    floored: Logs = probabilities.astype(np.float64)
    floored *= 1 - floor
    floored += floor / floored.shape[1]
    return floored


def _perhaps_invented(row: Logs, weight: float) -> Logs:
    """Raises the blank of a position that the other side lacks: it may not exist."""
    changed = row.copy()
    changed[BLANK] = max(row[BLANK], row.max() + weight * math.log(INVENTED))
    return changed


def _absent(positions: Positions) -> Logs:
    """Returns the probabilities of each character at a place where this read shows nothing.

    A reader misses more characters than it invents, and misses more when it is less sure.
    """
    missed = min(max(1.0 - float(positions.max(axis=1).mean()), MIN_MISSED), MAX_MISSED)
    row = np.full(positions.shape[1], missed)
    row[BLANK] = 1.0 - missed
    return row


def _softmax(logs: Logs) -> Logs:
    shifted = np.exp(logs - logs.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))
