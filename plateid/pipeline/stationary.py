"""Decides whether a plate moves or is stationary, and for how long."""

import math
from datetime import datetime

from plateid.core.geometry import centre
from plateid.core.records import Box

STATIONARY_S = 4.0
"""Time without movement after which a plate counts as stationary, seconds. It is also the time that
`clock_overlays` needs to detect a clock by its changing text."""
MAX_STEP = 1.0
"""Distance of a plate's centre from its anchor at which it has moved, plate heights."""
MAX_GROWTH = 1.4
"""Factor between a plate's height and its anchor's at which it has moved."""
MIN_DETECTIONS = 2
"""Consecutive detections away from the anchor that count as movement, because boxes jitter."""


class Movement:
    """Where a plate is, whether it ever `moved`, and since when it has not moved.

    The anchor is the box where it stopped.
    """

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
