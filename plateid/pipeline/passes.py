"""A vehicle's pass: what is known of it from its first detection to its last."""

import math
from collections import deque
from dataclasses import fields
from datetime import datetime, timedelta

from plateid.core.formats import Formats
from plateid.core.fusion import Fusion, read_weight
from plateid.core.geometry import centre, expanded, moved, scaled
from plateid.core.ids import uuid7
from plateid.core.reading import Reading, fused_reading
from plateid.core.records import (
    BestFrame,
    Box,
    Direction,
    PathPoint,
    PlateCrop,
    PlateEvent,
    PlateRead,
    Way,
)
from plateid.core.text import best_text
from plateid.core.view import Size, View
from plateid.pipeline.border import Place
from plateid.pipeline.stationary import Movement, TextHistory

MAX_PATH = 64
"""Number of points in a path above which every other one is deleted."""
FIRST_PATH_STEP_S = 0.25
"""Minimum time between two points of a path, seconds. It doubles at each deletion."""

MAX_RECENT = 32
"""Number of last detections that show the way of an unpublished pass: about two seconds."""
VELOCITY_BOXES = 8
"""Number of last detections that give the velocity of a plate: about half a second."""
MAX_AGE = timedelta(days=30)
"""Age of the last event of a restored pass that is only explained by a clock that was set."""
MAX_CROPS = 6
"""Maximum number of crops of a pass."""
STEP = 1.2
"""Factor between the heights of two crops, so that they do not look alike."""
BLURRED = 0.1
"""Sharpness (0-1) below which a crop is kept beside a sharp one of the same height."""
MARGIN_X, MARGIN_Y = 0.25, 0.5
"""Margins around the plate, in widths and heights of its box: what the trainer uses of an image."""


class FarCrops:
    """The smallest crops of a pass, one of each height, sharp and blurred."""

    def __init__(self) -> None:
        self._crops: dict[tuple[int, bool], PlateCrop] = {}

    def add(self, read: PlateRead, frame: BestFrame) -> None:
        """Copies the crop of a read, unless there is a similar one or enough smaller ones."""
        key = round(math.log(max(1.0, read.height), STEP)), read.sharpness < BLURRED
        full = len(self._crops) >= MAX_CROPS
        if key in self._crops or (full and key >= max(self._crops)):
            return
        wide = expanded(frame.box, x=MARGIN_X, y=MARGIN_Y)
        self._crops[key] = PlateCrop(
            frame.image.crop(wide).copy(),
            moved(frame.box, -max(0, int(wide[0])), -max(0, int(wide[1]))),
            best_text(read.probabilities),
            read.height,
            read.sharpness,
        )
        if full:
            del self._crops[max(self._crops)]

    def all(self) -> tuple[PlateCrop, ...]:
        """Returns the crops, the smallest first."""
        return tuple(self._crops[key] for key in sorted(self._crops))


class Pass:
    """One vehicle's pass.

    `box` is that of the best frame so far: large and sharp. The steps of `path` grow with time.
    `published` is the last published reading, `texts` were read while the plate was stationary.
    `is_restored` means that it comes from an event before a restart; `is_over` that its
    `plate_left` was published then, and `direction` was published then as well. `expected_way` is
    None if it is not clear, `clock_synced` if it is unknown at `first_seen`.
    """

    def __init__(self, box: Box, now: datetime, *, clock_synced: bool | None = None) -> None:
        self.clock_synced = clock_synced
        self.id = uuid7()
        self.first_seen = self.last_seen = now
        self.clock_step = timedelta()
        self.box = box
        self.path: list[PathPoint] = []
        self.published: Reading | None = None
        self.movement = Movement(box, now)
        self.texts = TextHistory(now)
        self.read_at: datetime | None = None
        self.read_height = 0.0
        self.is_read_whole = False
        self.is_restored = self.is_over = False
        self.direction: Direction | None = None
        self.expected_way: Way | None = None
        self._recent: deque[tuple[float, Box]] = deque(maxlen=MAX_RECENT)
        self._path_step_s = FIRST_PATH_STEP_S
        self.far_crops = FarCrops()
        self._best_quality = 0.0
        self.best_frame: BestFrame | None = None
        self._fusion = Fusion()
        self._reading: Reading | None = None

    @property
    def reads(self) -> int:
        """Number of fused reads."""
        return self._fusion.reads

    @classmethod
    def restored(cls, event: PlateEvent, now: datetime) -> "Pass":
        """Returns the pass of an event that was published before a restart; its reads are lost.

        A clock that was set meanwhile may show the event in the future or long ago. Then the
        vehicle counts as last seen at `now`, though the published times stay.
        """
        step = event.last_seen - now
        step = timedelta() if -MAX_AGE < step <= timedelta() else step
        first_seen = event.first_seen - step
        box = event.path[0].box if event.path else event.box
        vehicle = cls(box, first_seen, clock_synced=event.clock_synced)
        for point in event.path:
            vehicle.movement.update(point.box, first_seen + timedelta(seconds=point.t))
        vehicle.id, vehicle.last_seen = event.pass_id, event.last_seen - step
        vehicle.clock_step = step
        vehicle.box, vehicle.path = event.box, [*event.path]
        vehicle.published = Reading(**{f.name: getattr(event, f.name) for f in fields(Reading)})
        vehicle.direction = event.direction
        vehicle.is_restored, vehicle.is_over = True, event.event_type == "plate_left"
        return vehicle

    def age_s(self, now: datetime) -> float:
        """Returns the seconds since the first detection."""
        return (now - self.first_seen).total_seconds()

    def unread_s(self, now: datetime) -> float:
        """Returns the seconds since the last read; infinite before the first one."""
        return math.inf if self.read_at is None else (now - self.read_at).total_seconds()

    def detected(self, box: Box, now: datetime) -> None:
        """Adds a detection."""
        self.last_seen = now
        self.movement.update(box, now)
        t = self.age_s(now)
        self._recent.append((t, box))
        if not self.path or t - self.path[-1].t >= self._path_step_s:
            self.path.append(PathPoint(t, box))
        if len(self.path) > MAX_PATH:
            self.path = self.path[::2]
            self._path_step_s *= 2

    def late_s(self, box: Box) -> float | None:
        """Returns how long after its last detection the plate is at `box`; None if it is slow."""
        (t1, first), (t2, last) = (
            self._recent[max(0, len(self._recent) - VELOCITY_BOXES)],
            self._recent[-1],
        )
        (x1, y1), (x2, y2), (x3, y3) = centre(first), centre(last), centre(box)
        vx, vy, square = x2 - x1, y2 - y1, (x2 - x1) ** 2 + (y2 - y1) ** 2
        if 4 * square < (last[2] - last[0]) ** 2:
            return None
        return (t2 - t1) * ((x3 - x2) * vx + (y3 - y2) * vy) / square

    def direction_in(self, view: View, size: Size) -> Direction | None:
        """Returns the direction by the path; the expected way counts before `plate_seen` only."""
        path = [*(point.box for point in self.path), self.movement.box]
        if self.published is not None:
            return view.direction(path, size)
        self.expected_way = view.expected_way(self._recent, size) or self.expected_way
        return view.direction(path, size, expected=self.expected_way)

    def add(self, read: PlateRead, frame: BestFrame, place: Place = "whole") -> None:
        """Adds a read, and keeps its frame if it is the best one so far.

        A plate that the border cuts off is not fused. Reads near the border are dropped once the
        plate was read far from it.
        """
        self.read_at = self.last_seen
        if place == "cut" or (place == "near" and self.is_read_whole):
            return
        if place == "whole" and not self.is_read_whole:
            self.is_read_whole, self._fusion, self._best_quality = True, Fusion(), 0.0
        self._fusion.add(read)
        self._reading = None
        (x, y), (left, top) = frame.scale, frame.offset
        box = scaled(moved(frame.box, -left, -top), 1 / x, 1 / y)
        self.read_height = max(self.read_height, box[3] - box[1])
        if not self.movement.moved:
            self.texts.add(best_text(read.probabilities), self.last_seen)
        quality = read_weight(read) * read.height
        if quality >= self._best_quality:
            self._best_quality, self.box, self.best_frame = quality, box, frame

    def take_best_frame(self) -> BestFrame | None:
        """Returns and releases the best frame; None when there is no better one than before."""
        frame, self.best_frame = self.best_frame, None
        return frame

    def reading(self, formats: Formats) -> Reading:
        """Returns the fused reading of all reads."""
        if self._reading is None:
            self._reading = fused_reading(self._fusion, formats)
        return self._reading

    def similar_reads(self, plate: str) -> int:
        """Returns how many reads differ from `plate` in at most one of five characters."""
        return self._fusion.agreeing(plate, edits=len(plate) // 5)

    def continue_with(self, later: "Pass") -> None:
        """Appends the pass of the same vehicle after it was lost and found again."""
        gap_s = later.age_s(self.first_seen)
        self.path += [PathPoint(point.t - gap_s, point.box) for point in later.path]
        self.last_seen = later.last_seen
        self.movement.continue_with(later.movement, later.last_seen)

    def continue_from(self, before: "Pass") -> None:
        """Prepends the restored pass of the same vehicle; only the reads of this pass remain."""
        gap_s = before.age_s(self.first_seen)
        self.path = [*before.path, *(PathPoint(p.t + gap_s, p.box) for p in self.path)]
        self.id, self.first_seen, self.published = before.id, before.first_seen, before.published
        self.is_over, self.clock_synced = before.is_over, before.clock_synced
        before.movement.continue_with(self.movement, self.last_seen)
        self.movement, self.texts = before.movement, before.texts
