"""Lists of known plates, and the entry that matches a plate despite a misread character."""

import functools
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from plateid.core.records import ListKind, ListMatch
from plateid.core.text import CONFUSABLE_PAIRS, edit_distance

GAPS = re.compile(r"[\s.·-]")
"""Characters that people write between the parts of a plate."""
PRECEDENCE: tuple[ListKind, ...] = ("deny", "watch", "allow")
"""Order of the kinds among equally near entries: the strictest one wins."""
CONFUSABLE_COST = 0.25
"""Cost of substituting a confusable character; any other edit costs 1."""
FOLDED = str.maketrans({one: other for one, other, _ in CONFUSABLE_PAIRS})
"""Translation that makes texts equal which differ only in confusable characters."""
CONFUSABLE = frozenset(
    pair for one, other, _ in CONFUSABLE_PAIRS for pair in ((one, other), (other, one))
)
"""Pairs of confusable characters, in both orders."""


@dataclass(frozen=True)
class ListEntry:
    """One row of a list."""

    plate: str  # upper-case letters and digits
    kind: ListKind
    name: str  # of the vehicle or its owner; by default the plate as it was written
    note: str = ""  # free text, which the JSON API returns
    valid_from: datetime | None = None  # local time, inclusive; None: no limit
    valid_to: datetime | None = None
    cameras: frozenset[str] = frozenset()  # empty: all

    def is_valid(self, camera: str, at: datetime) -> bool:
        """Returns whether the entry is valid for a camera at an aware time."""
        local = at.astimezone().replace(tzinfo=None)
        return (
            (not self.cameras or camera in self.cameras)
            and (self.valid_from is None or self.valid_from <= local)
            and (self.valid_to is None or local <= self.valid_to)
        )

    def overlaps(self, other: "ListEntry") -> bool:
        """Returns whether both are valid for one camera at one time."""
        return (
            not (self.cameras and other.cameras and self.cameras.isdisjoint(other.cameras))
            and not (self.valid_to and other.valid_from and self.valid_to < other.valid_from)
            and not (other.valid_to and self.valid_from and other.valid_to < self.valid_from)
        )


@dataclass(frozen=True)
class Lists:
    """The entries of a file in order, and the maximum `distance` of a plate that matches one."""

    entries: tuple[ListEntry, ...] = ()
    max_distance: float = 0.5

    @functools.cached_property
    def _by_piece(self) -> dict[str, set[int]]:
        """Indices of the entries by piece: n edits leave one of n + 1 pieces unchanged."""
        pieces: dict[str, set[int]] = defaultdict(set)
        count = int(self.max_distance) + 1
        for number, entry in enumerate(self.entries):
            folded = entry.plate.translate(FOLDED)
            ends = [len(folded) * n // count for n in range(count + 1)]
            for start, end in pairwise(ends):
                pieces[folded[start:end]].add(number)
        return dict(pieces)

    def match(self, plate: str, *, camera: str, at: datetime) -> ListMatch | None:
        """Returns the nearest entry that is valid for `camera` at the time `at`, if any."""
        found = [
            (apart, PRECEDENCE.index(entry.kind), number, entry)
            for number, (apart, entry) in enumerate(self.near(plate))
            if entry.is_valid(camera, at)
        ]
        if not found:
            return None
        entry = min(found)[-1]
        return ListMatch(entry.name, entry.kind, edit_distance(plate, entry.plate))

    def near(self, plate: str) -> Iterator[tuple[float, ListEntry]]:
        """Yields distance and entry of all matches, whether they are valid or not."""
        for entry in self._candidates(plate):
            apart = distance(plate, entry.plate, at_most=self.max_distance)
            if apart <= self.max_distance:
                yield apart, entry

    def _candidates(self, plate: str) -> Iterator[ListEntry]:
        """Yields the entries that share a piece with the plate, in their order."""
        folded = plate.translate(FOLDED)
        ends = range(len(folded) + 1)
        parts = {folded[start:end] for end in ends for start in range(end + 1)}
        numbers = set().union(*(self._by_piece.get(part, ()) for part in parts))
        return (self.entries[number] for number in sorted(numbers))


def distance(a: str, b: str, *, at_most: float = float("inf")) -> float:
    """Returns the Levenshtein distance with `CONFUSABLE_COST`; infinite above `at_most`."""
    if a == b:
        return 0.0
    row = [float(j) for j in range(len(b) + 1)]
    for i, left in enumerate(a, 1):
        diagonal, row[0] = row[0], float(i)
        for j, right in enumerate(b, 1):
            cost = CONFUSABLE_COST if (left, right) in CONFUSABLE else float(left != right)
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + cost)
        if min(row) > at_most:
            return float("inf")
    return row[-1]


def compact(text: str) -> str:
    """Returns a plate as people write it, in upper case and without gaps."""
    return GAPS.sub("", text).upper()
