"""ByteTrack (Zhang et al., ECCV 2022) for plates: constant velocity, IoU in two stages.

Two changes, since plates are small and boxes slow: time is in seconds, not frames, so that a
dropped frame costs nothing, and boxes are compared after both are widened (C-BIoU, Yang et al.,
WACV 2023), since a plate moves by more than its own height between two frames.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from plateid.core.geometry import box_iou, expanded
from plateid.core.records import Box, Detection, Track

HIGH_SCORE, LOW_SCORE = 0.4, 0.1
"""Detections at least so sure may start a track and are matched first; those between the two only
prolong one."""
MIN_IOU = 0.2
"""Of the widened boxes, in both stages."""
WIDEN = {"x": 0.6, "y": 1.5}
"""Each side of a box grows by so many of its widths and heights before it is compared."""
LOST_S = 2.0
LONGEST_GAP_S = 5.0
"""No frame for longer, as a stalled camera gives none: another vehicle may be where one was."""
Vector = tuple[float, float, float, float]
"""Centre x, centre y, width and height of a box, in pixels, or their changes in a second.

No arrays: a frame has few plates, and numpy is slow for few numbers.
"""


@dataclass
class _State:
    """A track's motion: a steady-state Kalman filter (alpha-beta) of centre, width and height."""

    track: Track
    position: Vector
    seen_at: datetime
    velocity: Vector = (0.0, 0.0, 0.0, 0.0)

    def predicted(self, now: datetime) -> Vector:
        return _plus(self.position, self.velocity, (now - self.seen_at).total_seconds())

    def correct(self, detection: Detection, now: datetime) -> None:
        elapsed_s = max((now - self.seen_at).total_seconds(), 1e-3)
        predicted = self.predicted(now)
        residual = _plus(_centred(detection.box), predicted, -1)
        beta = 1.0 if self.track.hits == 1 else 0.4  # the second sight alone sets the speed
        self.position = _plus(predicted, residual, 0.85)
        vx, vy, growth_x, growth_y = _plus(self.velocity, residual, beta / elapsed_s)
        # what the residual says of the size is mostly noise
        self.velocity = vx, vy, 0.5 * growth_x, 0.5 * growth_y
        self.seen_at = now
        self.track = replace(self.track, detection=detection, hits=self.track.hits + 1)

    def stand(self, now: datetime) -> None:
        self.seen_at = now
        self.velocity = 0.0, 0.0, 0.0, 0.0


class Tracker:
    """Follows the plates of one camera."""

    def __init__(self, *, high_score: float = HIGH_SCORE, lost_s: float = LOST_S) -> None:
        """Starts with no tracks.

        Args:
            high_score: What may start one, in place of HIGH_SCORE.
            lost_s: Seconds without a detection after which one ends; a gap between two frames may
                be longer.
        """
        self._high_score = high_score
        self._lost_s = lost_s
        self._states: list[_State] = []
        self._last_id = 0
        self._updated_at: datetime | None = None

    def update(
        self, detections: list[Detection], now: datetime, *, still: bool = False
    ) -> list[Track]:
        """Takes the detections of one frame and returns the tracks that one of them belongs to.

        Args:
            detections: After non-maximum suppression; those below LOW_SCORE are ignored.
            now: `captured_at` of the frame, not before that of the last call.
            still: Nothing moved since the last call: what that saw is there, detected or not.
        """
        before, self._updated_at = self._updated_at, now
        self._end_lost(now, max(self._lost_s, LONGEST_GAP_S))
        high = [d for d in detections if d.score >= self._high_score]
        low = [d for d in detections if LOW_SCORE <= d.score < self._high_score]
        matched, unmatched, new = self._associate(self._states, high, now)
        prolonged, missed, _ = self._associate(unmatched, low, now)
        held = [state for state in missed if still and state.seen_at == before]
        for state in held:
            state.stand(now)
        started = [self._start(detection, now) for detection in new]
        self._states.extend(started)
        self._end_lost(now, self._lost_s)
        return [state.track for state in (*matched, *prolonged, *held, *started)]

    def hold(self, now: datetime) -> None:
        """The scene is still: what the last update saw is where it was."""
        for state in self._states:
            if state.seen_at == self._updated_at:
                state.stand(now)
        self._updated_at = now
        self._end_lost(now, self._lost_s)

    @property
    def misses_one(self) -> bool:
        """Whether a track that may still go on was not seen by the last update."""
        return any(state.seen_at != self._updated_at for state in self._states)

    def alive(self) -> set[int]:
        """Ids of the tracks that may still go on."""
        return {state.track.id for state in self._states}

    def _end_lost(self, now: datetime, lost_s: float) -> None:
        self._states = [s for s in self._states if (now - s.seen_at).total_seconds() <= lost_s]

    def _associate(
        self, states: list[_State], detections: list[Detection], now: datetime
    ) -> tuple[list[_State], list[_State], list[Detection]]:
        """Corrects tracks by their detections; returns these, other tracks, other detections."""
        if not states or not detections:
            return [], states, detections
        predicted = [_cornered(state.predicted(now)) for state in states]
        pairs = self._best_pairs(predicted, [detection.box for detection in detections])
        for row, column in pairs.items():
            states[row].correct(detections[column], now)
        matched = [states[row] for row in pairs]
        others = [state for row, state in enumerate(states) if row not in pairs]
        taken = set(pairs.values())
        return matched, others, [d for column, d in enumerate(detections) if column not in taken]

    def _best_pairs(self, rows: list[Box], columns: list[Box]) -> dict[int, int]:
        """Row to column, those that overlap most first; each row and column once.

        They need only meet when widened; of two that do, the one that is nearer as it is counts
        more: a detector may see one plate in two boxes.
        """
        wide_rows, wide_columns = ([expanded(b, **WIDEN) for b in each] for each in (rows, columns))
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

    def _start(self, detection: Detection, now: datetime) -> _State:
        self._last_id += 1
        return _State(Track(self._last_id, detection, hits=1), _centred(detection.box), now)


def _plus(a: Vector, b: Vector, times: float) -> Vector:
    (x, y, width, height), (dx, dy, dw, dh) = a, b
    return x + times * dx, y + times * dy, width + times * dw, height + times * dh


def _centred(box: Box) -> Vector:
    x1, y1, x2, y2 = box
    return (x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1


def _cornered(state: Vector) -> Box:
    x, y, width, height = state
    width, height = max(width, 1.0), max(height, 1.0)
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2
