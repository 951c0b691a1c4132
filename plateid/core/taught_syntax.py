"""The syntax that labels teach: which shapes a reader's plates have, as soft evidence."""

import functools
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plateid.core.format_tables import TO_SHAPE
from plateid.core.text import BLANK, CHARSET, COLUMN_TEXTS, Positions

MAX_SHAPES = 24
"""Largest number of shapes that a bundle holds. Each is searched for in each read."""
LEAST_FACTOR = 0.05
"""Least factor of a shape that no label has: its text wins where it is 20 times as probable. Chosen
on rendered plates with learnt readers: 0.02 reads no more of the taught country, and loses more
plates of other formats (see the training log)."""
COLUMNS = {"D": slice(1, 11), "L": slice(11, 1 + len(CHARSET))}
"""Columns of the digits and of the letters."""
TINY = 1e-12
"""Least probability that has a logarithm."""
Columns = NDArray[np.int64]
"""The column of each position."""


@dataclass(frozen=True)
class TaughtSyntax:
    """Shapes, such as `DDDDDDDDDD` for ten digits, and the number of labelled vehicles of each."""

    counts: tuple[tuple[str, int], ...] = ()

    @classmethod
    def of(cls, texts: Iterable[str]) -> "TaughtSyntax":
        """Returns the syntax of plates, one of each vehicle: the commonest shapes."""
        shapes = Counter(text.translate(TO_SHAPE) for text in texts)
        taught = cls(tuple(shapes.most_common(MAX_SHAPES)))
        return taught if taught._new < taught._most else NO_SYNTAX

    def factor(self, text: str) -> float:
        """Returns the prior probability factor of a text: that of the commonest shape is 1.

        All other shapes have the probability of a new one: the share of the vehicles whose shape no
        other has (Good, 1953), with one more such vehicle.
        """
        count = max(self._new, self._counts.get(text.translate(TO_SHAPE), 0))
        return min(1.0, max(LEAST_FACTOR, count / self._most))

    def weighed(self, positions: Positions) -> Positions:
        """Returns the positions with the most likely text in the light of the shapes.

        If that is another text than before, only the positions in which they differ change.
        """
        if not (likely := [shape for shape, count in self.counts if count > self._new]):
            return positions
        before = positions.argmax(axis=1)
        others = [_best_columns(positions, shape) for shape in likely if len(shape) <= len(before)]
        weights = [self._weight(positions, columns) for columns in (before, *others)]
        best = int(np.argmax(weights))
        if not best:
            return positions
        factors = [self.factor(_text(columns)) for columns in (before, others[best - 1])]
        rows = np.flatnonzero(others[best - 1] != before)
        places = rows, others[best - 1][rows]
        changed = positions.copy()
        changed[rows] *= factors[0] / factors[1]
        changed[places] = positions[places]
        return np.asarray(changed / changed.sum(axis=1, keepdims=True), dtype=np.float32)

    def without(self, text: str) -> "TaughtSyntax":
        """Returns what the other vehicles teach."""
        shape = text.translate(TO_SHAPE)
        fewer = ((each, count - (each == shape)) for each, count in self.counts)
        return TaughtSyntax(tuple((each, count) for each, count in fewer if count))

    def _weight(self, positions: Positions, columns: Columns) -> float:
        chosen = positions[np.arange(len(columns)), columns]
        return float(chosen.prod(dtype=np.float64)) * self.factor(_text(columns))

    @functools.cached_property
    def _counts(self) -> dict[str, int]:
        return dict(self.counts)

    @functools.cached_property
    def _most(self) -> int:
        return max(self._counts.values(), default=1)

    @functools.cached_property
    def _new(self) -> int:
        """The count of a new shape: that of the shapes of one vehicle only, and one."""
        return 1 + sum(count == 1 for count in self._counts.values())


def _text(columns: Columns) -> str:
    return "".join(COLUMN_TEXTS[column] for column in columns.tolist())


def _best_columns(positions: Positions, shape: str) -> Columns:
    """Returns the columns of the most likely text of a shape (Viterbi).

    Each position is blank or the next character. There must be as many positions as characters.
    """
    logs = np.log(np.maximum(positions, TINY, dtype=np.float64))
    gains = np.stack([logs[:, COLUMNS[kind]].max(axis=1) for kind in shape], axis=1)
    best, is_taken = np.append(0.0, np.full(len(shape), -np.inf)), []
    for blank, gain in zip(logs[:, BLANK], gains, strict=True):
        taken = np.append(-np.inf, best[:-1] + gain)
        is_taken.append(taken > best + blank)
        best = np.maximum(taken, best + blank)
    columns, left = np.full(len(positions), BLANK), len(shape)
    for position in range(len(positions) - 1, -1, -1):
        if is_taken[position][left]:
            left -= 1
            kind = COLUMNS[shape[left]]
            columns[position] = kind.start + positions[position, kind].argmax()
    return columns


NO_SYNTAX = TaughtSyntax()
"""That of a reader without one: all texts are equally likely."""
