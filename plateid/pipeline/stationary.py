"""Decides whether a plate moves or is stationary, and whether it is a clock overlay.

A time that the camera writes into the image looks like a parked plate. Its text changes while it
stays in one place. An overlay that never changes, such as a camera name, cannot be distinguished
from a parked vehicle: it gives one event. A mask hides it.
"""

import math
from collections import Counter
from datetime import datetime
from itertools import permutations

from plateid.core.geometry import centre, same_place
from plateid.core.records import Box

STATIONARY_S = 4.0
"""Time without movement after which a plate is stationary, and a clock is detected, seconds."""
MAX_STEP = 1.0
"""Distance of a plate's centre from its anchor at which it has moved, plate heights."""
MAX_GROWTH = 1.4
"""Factor between a plate's height and its anchor's at which it has moved."""
MIN_DETECTIONS = 2
"""Consecutive detections away from the anchor that count as movement, because boxes jitter."""
MAX_OVERLAYS = 16
"""Maximum number of overlays that are remembered per camera. The oldest is forgotten first."""
MAX_SHARE_ELSEWHERE = 0.6
"""Maximum count of a clock's text in another third of the time, relative to its own third. A text
that spans the border of two thirds is half as frequent in one of them."""
MAX_TEXTS = 240
"""Number of kept texts at which every other one is deleted."""


class Movement:
    """Where a plate is, whether it ever `moved`, and since when it is at its anchor."""

    def __init__(self, box: Box, now: datetime) -> None:
        self.box = box
        self.moved = False
        self._anchor, self._since = box, now
        self._detections_away = 0
        self._longest_s = 0.0

    def update(self, box: Box, now: datetime) -> None:
        """Adds a detection."""
        self.box = box
        self._detections_away = self._detections_away + 1 if self._is_away(box) else 0
        if self._detections_away >= MIN_DETECTIONS:
            self._move(box, now)

    def continue_with(self, later: "Movement", now: datetime) -> None:
        """Appends the movement of the same plate after it was lost and found again."""
        if self._is_away(later.box):
            self._move(later.box, now)
        self.moved = self.moved or later.moved
        self.box = later.box

    def stationary_s(self, now: datetime) -> float:
        """Returns the time since the plate last moved, seconds."""
        return (now - self._since).total_seconds()

    def longest_stationary_s(self, now: datetime) -> float:
        """Returns the longest time without movement during the pass, seconds."""
        return max(self._longest_s, self.stationary_s(now))

    def _move(self, box: Box, now: datetime) -> None:
        self._longest_s = self.longest_stationary_s(now)
        self._anchor, self._since, self._detections_away, self.moved = box, now, 0, True

    def _is_away(self, box: Box) -> bool:
        (x, y), (ax, ay) = centre(box), centre(self._anchor)
        height, before = box[3] - box[1], self._anchor[3] - self._anchor[1]
        grown = not 1 / MAX_GROWTH < height / max(before, 1e-6) < MAX_GROWTH
        return grown or math.hypot(x - ax, y - ay) > MAX_STEP * before


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
