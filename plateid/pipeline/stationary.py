"""Does a plate stand still: a parked vehicle, or text that the camera writes into its picture?"""

import math
from collections import Counter
from datetime import datetime
from itertools import permutations

from plateid.core.records import Box
from plateid.core.view import centre

STEP = 1.0
"""A plate has moved when its centre is further than this from where it stood, in heights of it."""
GROWTH = 1.4
"""Or when it is higher by this factor, or lower: it came straight on."""
SIGHTS = 2
"""So many sights in a row have to say so: boxes jump at times."""
STILL_S = 4.0
"""Seconds that are needed to see a clock tick: in each third of them another text prevails."""
MUCH_RARER = 0.6
"""A second that falls on the border of two thirds is half as frequent in one of them."""
MAX_TEXTS = 240


class Standing:
    """Where a plate stands, since when, and whether its text stays the same.

    Attributes:
        box: Where it was last seen.
        moved: Whether it ever moved.
    """

    def __init__(self, box: Box, now: datetime) -> None:
        """First sight."""
        self.box = box
        self.moved = False
        self._first_at = now
        self._anchor, self._since = box, now
        self._away = 0
        self._longest_s = 0.0
        self._texts: list[tuple[float, str]] = []
        self._every = self._skipped = 1

    def follow(self, box: Box, now: datetime) -> None:
        """The plate is seen again."""
        self.box = box
        self._away = self._away + 1 if self._far(box) else 0
        if self._away >= SIGHTS:
            self._move(box, now)

    def add(self, text: str, now: datetime) -> None:
        """The plate was read."""
        self._skipped += 1
        if self.moved or self._skipped < self._every:
            return
        self._skipped = 0
        self._texts.append(((now - self._first_at).total_seconds(), text))
        if len(self._texts) > MAX_TEXTS:
            self._texts = self._texts[::2]
            self._every *= 2

    def go_on_as(self, later: "Standing", now: datetime) -> None:
        """The plate was lost from sight, and `later` is the same one found again."""
        if self._far(later.box):
            self._move(later.box, now)
        self.moved = self.moved or later.moved
        self.box = later.box

    def stood_s(self, now: datetime) -> float:
        """For how long it has stood where it is."""
        return (now - self._since).total_seconds()

    def longest_s(self, now: datetime) -> float:
        """The longest that it stood anywhere."""
        return max(self._longest_s, self.stood_s(now))

    def ticks(self) -> bool:
        """Whether it never moved, and its text changes and does not change back, as a clock's.

        In each third of the time another text prevails, and is much rarer in the other
        thirds. What a reader makes of a bad picture goes to and fro instead.
        """
        if self.moved or not self._texts or self._texts[-1][0] < 0.9 * STILL_S:
            return False
        third_s = self._texts[-1][0] / 3
        thirds = [Counter[str](), Counter[str](), Counter[str]()]
        for t, text in self._texts:
            thirds[min(2, int(t / third_s))][text] += 1
        return all(thirds) and all(
            other[text] <= MUCH_RARER * count
            for own, other in permutations(thirds, 2)
            for text, count in own.most_common(1)
        )

    def _move(self, box: Box, now: datetime) -> None:
        self._longest_s = self.longest_s(now)
        self._anchor, self._since, self._away, self.moved = box, now, 0, True

    def _far(self, box: Box) -> bool:
        (x, y), (ax, ay) = centre(box), centre(self._anchor)
        height, before = box[3] - box[1], self._anchor[3] - self._anchor[1]
        grown = not 1 / GROWTH < height / max(before, 1e-6) < GROWTH
        return grown or math.hypot(x - ax, y - ay) > STEP * before
