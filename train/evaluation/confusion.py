"""Which characters are taken for which."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plateid.core.text import CHARSET
from train.evaluation.reading import Answer

NOTHING = ""
"""Against a character: it was left out, or there was none."""
SYMBOLS = (*CHARSET, NOTHING)
TOP = 20
ALIKE = 0.5
"""Share of the characters that may be wrong: past it, alignment says nothing."""


@dataclass(frozen=True)
class Pair:
    """One mistake.

    Attributes:
        truth: What is there; NOTHING: the reader made it up.
        read: What was read; NOTHING: it was left out.
        count: How often.
        share: Of how often `truth` is there; None where it is NOTHING.
    """

    truth: str
    read: str
    count: int
    share: float | None


@dataclass(frozen=True, eq=False)
class Confusion:
    """The mistakes of a reader.

    Attributes:
        matrix: Shape (37, 37), how often each of SYMBOLS (row) was read as each of them (column);
            0 for nothing as nothing.
        texts: How many were compared.
        left_out: How many were too wrong for that.
    """

    matrix: NDArray[np.int64]
    texts: int
    left_out: int

    @property
    def wrong(self) -> NDArray[np.int64]:
        """The matrix less what was read right."""
        return np.where(np.eye(len(SYMBOLS), dtype=bool), 0, self.matrix)

    @property
    def pairs(self) -> list[Pair]:
        """The TOP mistakes, the most frequent first."""
        wrong = self.wrong
        order = np.argsort(-wrong, axis=None, kind="stable")[:TOP]
        places = (divmod(int(place), len(SYMBOLS)) for place in order)
        return [self._pair(row, column) for row, column in places if wrong[row, column]]

    def _pair(self, row: int, column: int) -> Pair:
        count, seen = int(self.matrix[row, column]), int(self.matrix[row].sum())
        share = count / seen if SYMBOLS[row] else None
        return Pair(SYMBOLS[row], SYMBOLS[column], count, share)


def confusion(answers: Iterable[Answer]) -> Confusion:
    """Counts characters by the edit paths from what plates say to what was read."""
    every = list(answers)
    alike = [each for each in every if each.edits <= ALIKE * len(each.plate.text)]
    counts = Counter(
        pair for each in alike for pair in edit_path(each.plate.text, each.reading.plate)
    )
    rows = [[counts[truth, read] for read in SYMBOLS] for truth in SYMBOLS]
    return Confusion(np.array(rows, np.int64), len(alike), len(every) - len(alike))


def edit_path(truth: str, read: str) -> list[tuple[str, str]]:
    """The cheapest edit path: pairs of characters, NOTHING where one side has none.

    Of several, that which exchanges characters as late as can be.
    """
    cost = np.zeros((len(truth) + 1, len(read) + 1), np.int64)
    cost[:, 0], cost[0, :] = np.arange(len(truth) + 1), np.arange(len(read) + 1)
    for i, there in enumerate(truth, 1):
        for j, said in enumerate(read, 1):
            exchange = cost[i - 1, j - 1] + (there != said)
            cost[i, j] = min(exchange, cost[i - 1, j] + 1, cost[i, j - 1] + 1)
    i, j, path = len(truth), len(read), []
    while i or j:
        if i and j and cost[i, j] == cost[i - 1, j - 1] + (truth[i - 1] != read[j - 1]):
            i, j = i - 1, j - 1
            path.append((truth[i], read[j]))
        elif i and cost[i, j] == cost[i - 1, j] + 1:
            i -= 1
            path.append((truth[i], NOTHING))
        else:
            j -= 1
            path.append((NOTHING, read[j]))
    return path[::-1]
