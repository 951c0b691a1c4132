"""Decides whether a plate moves or is stationary, and for how long."""

import math
from datetime import datetime

from plateid.core.geometry import centre
from plateid.core.records import Box

STATIONARY_S = 4.0
"""Seconds after which a plate that has not moved counts as stationary. It is the time in which a
clock overlay shows itself: in each third of it another text is the most frequent one."""
MAX_STEP = 1.0
"""Distance of the centre from where the plate stopped at which it has moved, in plate heights."""
MAX_GROWTH = 1.4
"""Factor by which the height changes when a plate moves towards the camera or away from it."""
MIN_DETECTIONS = 2
"""Consecutive detections that must agree that the plate has moved, because boxes jitter."""


class Movement:
    """Where a plate is, and since when it has not moved.

    Attributes:
        box: The last box.
        moved: Whether the plate has ever moved.
    """

    def __init__(self, box: Box, now: datetime) -> None:
        """Starts with the first detection."""
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
        """Returns for how long the plate has been where it is, in seconds."""
        return (now - self._since).total_seconds()

    def longest_stationary_s(self, now: datetime) -> float:
        """Returns the longest time that the plate has been stationary anywhere, in seconds."""
        return max(self._longest_s, self.stationary_s(now))

    def _move(self, box: Box, now: datetime) -> None:
        self._longest_s = self.longest_stationary_s(now)
        self._anchor, self._since, self._detections_away, self.moved = box, now, 0, True

    def _is_away(self, box: Box) -> bool:
        (x, y), (ax, ay) = centre(box), centre(self._anchor)
        height, before = box[3] - box[1], self._anchor[3] - self._anchor[1]
        grown = not 1 / MAX_GROWTH < height / max(before, 1e-6) < MAX_GROWTH
        return grown or math.hypot(x - ax, y - ay) > MAX_STEP * before
