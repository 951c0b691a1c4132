"""The charset, and how the reader's output becomes character positions and candidate texts."""

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
"""Characters that a reader distinguishes, in the order of its classes."""
BLANK = 0
"""Column of "no character", which is the CTC blank; CHARSET[i] is column i + 1."""
COLUMN_TEXTS = ("", *CHARSET)
"""The text of each column."""

CTC_ROWS = 2
"""Rows of steps in a reader's output: PlateNet has one for each line of a plate."""
MIN_HIDDEN = 0.05
"""Minimum probability of a character in a run of blanks at which the run keeps a position, called a
low-probability blank. Of rendered plates read at 0.9 and more, 98.4 % were right with this rule and
97.2 % without (platenet-0.1)."""
LONG_RUN, MIN_GAP = 1.4, 0.1
"""A run of at least `LONG_RUN` times the median length, with a blank of at least `MIN_GAP` inside,
is a double character. On rendered plates this corrects 25 of 44 missing characters, and breaks 3 of
19,343 correct plates."""
SHORT_RUN = 0.8
"""Two adjacent runs with together at most this many times the median length are one character. On
rendered plates this corrects 51 of 112 surplus characters, and breaks none of 9,257 others."""
COLUMNS_PER_POSITION = 4
"""Characters that `n_best` tries at each position."""

TO_LATIN = str.maketrans("АВЕКМНОРСТУХІΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "ABEKMHOPCTYXIABEZHIKMNOPTYX")  # noqa: RUF001
"""Cyrillic and Greek letters of plates, and the Latin letters that they look like."""
CONFUSABLE_PAIRS = (
    *(("O", "0", 0.99), ("I", "1", 0.99)),
    *((*pair, 0.05) for pair in ("B8", "S5", "Z2", "G6", "D0", "Q0")),
)
"""Confusable characters, and the minimum share of one's probability that the other gets.

Many plate fonts draw O as 0 and I as 1: twelve of them must not cost more than
`formats.LENIENT_MISMATCH_PRIOR`. The others differ in a good crop: they get less than
`formats.MISMATCH_PRIOR`. A share of 0.3 broke 16 of the 745 plates of us-crops."""
DISTINCT_SHARE = 0.05
"""The share of every pair where fonts distinguish O from 0 and I from 1."""

Positions = NDArray[np.float32]
"""Probabilities of the character positions, shape (L, 1 + len(CHARSET)); each row sums to 1."""


def normalise(text: str) -> str:
    """Returns letters and digits without accents; similar Cyrillic and Greek ones become Latin."""
    plain = unicodedata.normalize("NFKD", text).upper().translate(TO_LATIN)
    return re.sub(f"[^{CHARSET}]", "", plain)


def tempered(probabilities: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    """Returns calibrated probabilities (temperature scaling, Guo et al., ICML 2017).

    They are raised to 1 / temperature and normalised, so that a temperature above 1 lowers the
    confidence. Shape (..., columns); the most likely column stays the same.
    """
    if temperature == 1.0:
        return probabilities
    floored = np.maximum(probabilities, 1e-12)
    powers = (floored / floored.max(axis=-1, keepdims=True)) ** (1 / temperature)
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True), dtype=np.float32)


def ctc_positions(probabilities: NDArray[np.float32]) -> Positions:
    """Collapses a CTC output to one row per character of the best path and per uncertain blank.

    The row of a character is the step of its run with the highest probability. A run of blanks
    gives a row when a character has at least `MIN_HIDDEN` in one of its steps; the characters of
    the adjacent runs do not count there, because they may only be wider than their runs. The shape
    of `probabilities` is (T, 1 + len(CHARSET)); column 0 is the blank.
    """
    best = _best_path(probabilities)
    steps = np.arange(len(best))
    peaks = probabilities[steps, best].tolist()
    blanks = probabilities.copy()
    blanks[1:][steps[:-1], best[:-1]] = blanks[:-1][steps[:-1], best[1:]] = 0
    blanks[:, BLANK] = 1 - blanks[:, 1:].sum(axis=1)
    hidden = blanks[:, 1:].max(axis=1).tolist()
    rows = []
    for start, end in _runs(best):
        if best[start] != BLANK:
            rows.append(probabilities[max(range(start, end), key=peaks.__getitem__)])
        elif max(hidden[start:end]) >= MIN_HIDDEN:
            rows.append(blanks[max(range(start, end), key=hidden.__getitem__)])
    return np.array(rows, dtype=np.float32).reshape(-1, probabilities.shape[1])


def ctc_margins(probabilities: NDArray[np.float32]) -> tuple[float, float]:
    """Returns the blank share of a CTC output left and right of the text, 0 to 1.

    The steps are `CTC_ROWS` rows from left to right, or one if their number is odd. Without a text,
    both are 0.
    """
    shown = probabilities.argmax(axis=1) != BLANK
    rows = shown.reshape(1 if len(shown) % CTC_ROWS else CTC_ROWS, -1)
    columns = np.flatnonzero(rows.any(axis=0)).tolist()
    if not columns:
        return 0.0, 0.0
    return columns[0] / rows.shape[1], 1 - (columns[-1] + 1) / rows.shape[1]


def _best_path(probabilities: NDArray[np.float32]) -> list[int]:
    """Returns the most likely column of each step, corrected by the lengths of the runs.

    A long run with an almost blank step inside becomes two runs ("22"). Two short adjacent runs
    become one, because they are one ambiguous character ("0Q").
    """
    best: list[int] = probabilities.argmax(axis=1).tolist()
    blank = probabilities[:, BLANK].tolist()
    runs = _runs(best)
    lengths = [end - start for start, end in runs if best[start] != BLANK]
    median = statistics.median(lengths) if lengths else 0
    for start, end in runs:
        if best[start] != BLANK and end - start >= max(3, LONG_RUN * median):
            gap = max(range(start + 1, end - 1), key=blank.__getitem__)
            if blank[gap] >= MIN_GAP:
                best[gap] = BLANK
    for (start, _), (_, end) in itertools.pairwise(runs):
        if end - start <= SHORT_RUN * median and BLANK not in best[start:end]:
            peak = max(range(start, end), key=lambda step: probabilities[step, best[step]])
            best[start:end] = [best[peak]] * (end - start)
    return best


def _runs(best: list[int]) -> list[tuple[int, int]]:
    """Returns start and end of each run of equal columns."""
    changes = (step for step in range(1, len(best)) if best[step] != best[step - 1])
    return list(itertools.pairwise([0, *changes, len(best)]))


def with_confusables(positions: Positions, *, distinct: bool = False) -> Positions:
    """Returns the positions with each character's probability shared with its confusable ones.

    `distinct` says that fonts distinguish O from 0. The rows may then sum to more than 1.
    """
    most = DISTINCT_SHARE if distinct else 1.0
    shared = positions[:, :, None] * _shares(most)
    return np.asarray(shared.max(axis=1), dtype=np.float32)


def digits_only(positions: Positions) -> Positions:
    """Returns the positions without the probabilities of letters. The rows then sum to less."""
    digits = positions.copy()
    digits[:, 1 + CHARSET.index("A") :] = 0
    return digits


@functools.cache
def _shares(most: float) -> NDArray[np.float32]:
    shares = np.eye(1 + len(CHARSET), dtype=np.float32)
    for one, other, share in CONFUSABLE_PAIRS:
        columns = 1 + CHARSET.index(one), 1 + CHARSET.index(other)
        shares[columns] = shares[columns[::-1]] = min(share, most)
    return shares


def best_text(positions: Positions) -> str:
    """Returns the most likely character of each position, without blanks."""
    return "".join(COLUMN_TEXTS[column] for column in positions.argmax(axis=1).tolist())


@dataclass(frozen=True)
class Hypothesis:
    """One possible text, its probability, and the probability of each of its characters."""

    text: str
    probability: float
    characters: tuple[float, ...]


def n_best(positions: Positions, count: int, *, min_share: float = 0.0) -> list[Hypothesis]:
    """Returns the `count` most likely texts, best first, with `min_share` of the best at least."""
    totals: dict[str, float] = {}
    ways: dict[str, tuple[int, ...]] = {}
    for columns, probability in _best_choices(positions, 4 * count, min_share):
        text = "".join([COLUMN_TEXTS[column] for column in columns])
        totals[text] = totals.get(text, 0.0) + probability
        ways.setdefault(text, columns)
    best = sorted(totals, key=lambda text: -totals[text])[:count]
    return [
        Hypothesis(text, min(1.0, totals[text]), _characters(positions, ways[text]))
        for text in best
    ]


def _characters(positions: Positions, columns: tuple[int, ...]) -> tuple[float, ...]:
    chosen = positions[np.arange(len(positions)), columns].tolist()
    return tuple(p for p, column in zip(chosen, columns, strict=True) if column != BLANK)


def _best_choices(
    positions: Positions, count: int, min_share: float
) -> Iterator[tuple[tuple[int, ...], float]]:
    """Yields the `count` most likely choices of one column per position, by best-first search.

    Each choice is derived from exactly one better choice, whose last position that is not the
    best is one rank better.
    """
    best = np.argsort(-positions, axis=1)[:, :COLUMNS_PER_POSITION]
    best_costs = -np.log(np.maximum(np.take_along_axis(positions, best, axis=1), 1e-12))
    ranked, costs = best.tolist(), best_costs.tolist()  # lists: numpy is slow for single elements
    min_cost = math.fsum(cost[0] for cost in costs)
    max_cost = min_cost - math.log(min_share) if min_share else math.inf
    heap = [(min_cost, (0,) * len(positions), 0)]
    for _ in range(count):
        if not heap:
            return
        cost, ranks, last = heapq.heappop(heap)
        columns = tuple([of[rank] for of, rank in zip(ranked, ranks, strict=True)])
        yield columns, math.exp(-cost)
        for position in range(last, len(ranks)):
            rank = ranks[position] + 1
            if rank == COLUMNS_PER_POSITION:
                continue
            next_cost = cost + costs[position][rank] - costs[position][rank - 1]
            if next_cost <= max_cost:
                next_ranks = (*ranks[:position], rank, *ranks[position + 1 :])
                heapq.heappush(heap, (next_cost, next_ranks, position))


def fold(text: str) -> str:
    """Replaces the letters O and I by the digits 0 and 1, which look the same."""
    return text.replace("O", "0").replace("I", "1")


def edit_distance(a: str, b: str) -> int:
    """Returns the Levenshtein distance: insertions, deletions and substitutions."""
    if a == b:
        return 0
    row = list(range(len(b) + 1))
    for i, left in enumerate(a, 1):
        diagonal, row[0] = row[0], i
        for j, right in enumerate(b, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (left != right))
    return row[-1]
