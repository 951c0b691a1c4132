"""ByteTrack (Zhang et al., ECCV 2022) for plates: constant velocity, IoU matching in two stages.

Two changes, because plates are small and frame rates low. Time is in seconds, not frames, so that
a dropped frame costs nothing. Boxes are expanded before they are compared (C-BIoU, Yang et al.,
WACV 2023), because a plate moves by more than its own height between two frames.
"""

import itertools
from dataclasses import dataclass, replace
from datetime import datetime

from plateid.core.geometry import box_iou, expanded
from plateid.core.records import Box, Detection

HIGH_SCORE, LOW_SCORE = 0.4, 0.1
"""Score thresholds (0-1). Detections from `HIGH_SCORE` start tracks and are matched first. Those
between the thresholds only continue tracks."""
MIN_IOU = 0.2
"""Minimum IoU of two expanded boxes that match, in both stages."""
EXPAND = {"x": 0.6, "y": 1.5}
"""Margins that are added on each side before boxes are compared, box widths and heights."""
LOST_S = 2.0
"""Default time without a detection after which a track ends, seconds."""
MAX_FRAME_GAP_S = 5.0
"""Longest gap between two frames that a track survives, seconds: another vehicle may come."""
Vector = tuple[float, float, float, float]
"""Centre, width and height of a box in pixels, or per second; numpy is slow for few numbers."""


@dataclass(frozen=True)
class Track:
    """One plate over frames: its current detection, and the number of detections (`hits`)."""

    id: int
    detection: Detection
    hits: int


@dataclass
class _State:
    """A track's motion model: an alpha-beta filter of centre, width and height."""

    track: Track
    position: Vector
    seen_at: datetime
    velocity: Vector = (0.0, 0.0, 0.0, 0.0)

    def predicted(self, now: datetime) -> Vector:
        return _add(self.position, self.velocity, (now - self.seen_at).total_seconds())

    def correct(self, detection: Detection, now: datetime) -> None:
        elapsed_s = max((now - self.seen_at).total_seconds(), 1e-3)
        predicted = self.predicted(now)
        residual = _add(_to_vector(detection.box), predicted, -1)
        beta = 1.0 if self.track.hits == 1 else 0.4  # the second detection alone sets the velocity
        self.position = _add(predicted, residual, 0.85)
        vx, vy, growth_x, growth_y = _add(self.velocity, residual, beta / elapsed_s)
        # the residual of the size is mostly noise
        self.velocity = vx, vy, 0.5 * growth_x, 0.5 * growth_y
        self.seen_at = now
        self.track = replace(self.track, detection=detection, hits=self.track.hits + 1)

    def stop(self, now: datetime) -> None:
        self.seen_at = now
        self.velocity = 0.0, 0.0, 0.0, 0.0


class Tracker:
    """Tracks the plates of one camera."""

    def __init__(self, *, high_score: float = HIGH_SCORE, lost_s: float = LOST_S) -> None:
        """Starts without tracks; a track ends after `lost_s` seconds without a detection."""
        self._high_score = high_score
        self._lost_s = lost_s
        self._states: list[_State] = []
        self._ids = itertools.count(1)
        self._updated_at: datetime | None = None

    def update(
        self, detections: list[Detection], now: datetime, *, still: bool = False
    ) -> list[Track]:
        """Matches the detections of a frame, and returns the tracks that are in the frame.

        Scores below LOW_SCORE are ignored. `now` is the time of the frame, not earlier than in the
        last call. If the image is `still` as in that, undetected tracks stay.
        """
        before, self._updated_at = self._updated_at, now
        self._end_lost(now, max(self._lost_s, MAX_FRAME_GAP_S))
        high = [d for d in detections if d.score >= self._high_score]
        low = [d for d in detections if LOW_SCORE <= d.score < self._high_score]
        matched, unmatched, new = self._associate(self._states, high, now)
        continued, missed, _ = self._associate(unmatched, low, now)
        kept = [state for state in missed if still and state.seen_at == before]
        for state in kept:
            state.stop(now)
        started = [
            _State(Track(next(self._ids), each, hits=1), _to_vector(each.box), now) for each in new
        ]
        self._states.extend(started)
        self._end_lost(now, self._lost_s)
        return [state.track for state in (*matched, *continued, *kept, *started)]

    def keep(self, now: datetime) -> None:
        """Keeps the tracks of the last update in place, because the image has not changed."""
        for state in self._states:
            if state.seen_at == self._updated_at:
                state.stop(now)
        self._updated_at = now
        self._end_lost(now, self._lost_s)

    @property
    def misses_one(self) -> bool:
        """Whether a live track was not detected in the last update."""
        return any(state.seen_at != self._updated_at for state in self._states)

    def alive(self) -> set[int]:
        """Returns the ids of the tracks that may continue."""
        return {state.track.id for state in self._states}

    def _end_lost(self, now: datetime, lost_s: float) -> None:
        self._states = [s for s in self._states if (now - s.seen_at).total_seconds() <= lost_s]

    def _associate(
        self, states: list[_State], detections: list[Detection], now: datetime
    ) -> tuple[list[_State], list[_State], list[Detection]]:
        """Matches tracks and detections; returns matched tracks and the unmatched of both."""
        if not states or not detections:
            return [], states, detections
        predicted = [_to_box(state.predicted(now)) for state in states]
        pairs = self._best_pairs(predicted, [detection.box for detection in detections])
        for row, column in pairs.items():
            states[row].correct(detections[column], now)
        matched = [states[row] for row in pairs]
        others = [state for row, state in enumerate(states) if row not in pairs]
        taken = set(pairs.values())
        return matched, others, [d for column, d in enumerate(detections) if column not in taken]

    def _best_pairs(self, rows: list[Box], columns: list[Box]) -> dict[int, int]:
        """Pairs rows with columns greedily by overlap; each row and column occurs once.

        The IoU of the unexpanded boxes is added, so that the nearer box wins if the detector
        returns two for one plate.
        """
        wide_rows, wide_columns = (
            [expanded(b, **EXPAND) for b in each] for each in (rows, columns)
        )
        overlaps = (
            (-wide - box_iou(rows[row], columns[column]), row, column)
            for row, a in enumerate(wide_rows)
            for column, b in enumerate(wide_columns)
            if (wide := box_iou(a, b)) >= MIN_IOU
        )
        pairs: dict[int, int] = {}
        for _, row, column in sorted(overlaps):
            if row not in pairs and column not in pairs.values():
                pairs[row] = column
        return pairs


def _add(a: Vector, b: Vector, factor: float) -> Vector:
    (x, y, width, height), (dx, dy, dw, dh) = a, b
    return x + factor * dx, y + factor * dy, width + factor * dw, height + factor * dh


def _to_vector(box: Box) -> Vector:
    x1, y1, x2, y2 = box
    return (x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1


def _to_box(state: Vector) -> Box:
    x, y, width, height = state
    width, height = max(width, 1.0), max(height, 1.0)
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2
