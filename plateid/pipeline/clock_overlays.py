"""Detects clock overlays: a time that the camera writes into the image looks like a parked plate.

The text of a clock changes while it stays in one place. An overlay that never changes, such as a
camera name, cannot be distinguished from a parked vehicle: it gives one event. A mask hides it.
"""

from collections import Counter
from datetime import datetime
from itertools import permutations

from plateid.core.geometry import same_place
from plateid.core.records import Box
from plateid.pipeline.stationary import STATIONARY_S

MAX_OVERLAYS = 16
"""Maximum number of overlays that are remembered per camera. The oldest is forgotten first."""
MAX_SHARE_ELSEWHERE = 0.6
"""Maximum count of a clock's text in another third of the time, relative to its own third. A text
that spans the border of two thirds is half as frequent in one of them."""
MAX_TEXTS = 240
"""Number of kept texts at which every other one is deleted."""


class TextHistory:
    """The texts that were read from a plate while it was stationary."""

    def __init__(self, first_at: datetime) -> None:
        """Starts empty; `first_at` is the time of the first detection."""
        self._first_at = first_at
        self._texts: list[tuple[float, str]] = []
        self._keep_every = self._since_kept = 1

    def add(self, text: str, now: datetime) -> None:
        """Adds the text of one read; a long history keeps only every n-th text."""
        self._since_kept += 1
        if self._since_kept < self._keep_every:
            return
        self._since_kept = 0
        self._texts.append(((now - self._first_at).total_seconds(), text))
        if len(self._texts) > MAX_TEXTS:
            self._texts = self._texts[::2]
            self._keep_every *= 2

    def is_clock(self) -> bool:
        """Returns whether the text changes and does not change back, like that of a clock.

        In each third of the time another text is the most frequent one, and it is much rarer in
        the other two thirds. Misreads of a bad image alternate instead.
        """
        if not self._texts or self._texts[-1][0] < 0.9 * STATIONARY_S:
            return False
        third_s = self._texts[-1][0] / 3
        thirds = [Counter[str](), Counter[str](), Counter[str]()]
        for t, text in self._texts:
            thirds[min(2, int(t / third_s))][text] += 1
        return all(thirds) and all(
            other[text] <= MAX_SHARE_ELSEWHERE * count
            for own, other in permutations(thirds, 2)
            for text, count in own.most_common(1)
        )


class ClockOverlays:
    """The `boxes` in which one camera's clock overlays were detected."""

    def __init__(self) -> None:
        self.boxes: list[Box] = []

    def include(self, box: Box, texts: TextHistory, *, age_s: float) -> bool:
        """Returns whether a stationary plate is a clock, and remembers the place of a new one.

        At the place of a known clock, a pass that is too short to decide is one as well.
        """
        known = any(same_place(box, clock) for clock in self.boxes)
        if not texts.is_clock():
            return known and age_s < STATIONARY_S
        if not known:
            self.boxes = [*self.boxes, box][-MAX_OVERLAYS:]
        return True
