"""One vehicle on its way through the picture."""

import math
from dataclasses import fields
from datetime import datetime, timedelta

from plateid.core.formats import Formats
from plateid.core.fusion import Fusion, read_weight
from plateid.core.ids import uuid7
from plateid.core.reading import read_of
from plateid.core.records import Box, Direction, PathPoint, PlateEvent, PlateRead, Reading, Shot
from plateid.core.text import slots_text
from plateid.pipeline.stationary import Standing

MAX_PATH = 64
FIRST_PATH_STEP_S = 0.25


class Pass:
    """What is known of one vehicle from its first sight to its last.

    Attributes:
        id: Published with each event of the pass.
        first_seen, last_seen: Of its plate, whether it could be read or not.
        box: The plate's box on the best shot so far: large and sharp.
        path: Where the plate was; its steps grow with time, so that it stays short.
        announced: What `plate_seen` or a correction told last; None before.
        standing: Whether it moves.
        read_at: When it was read last; None before.
        read_height: Of the highest box that was read, in pixels.
        is_resumed: Whether it is known only by what was told of it before a restart.
        is_over: Whether its `plate_left` was told then: it told a vehicle that still stands there.
        direction: Where it went before a restart, as told then.
        clock_synced: Whether `first_seen` is by a clock that was set; None: not known.
    """

    def __init__(self, box: Box, now: datetime, *, clock_synced: bool | None = None) -> None:
        """First sight."""
        self.clock_synced = clock_synced
        self.id = uuid7()
        self.first_seen = self.last_seen = now
        self.box = box
        self.path: list[PathPoint] = []
        self.announced: Reading | None = None
        self.standing = Standing(box, now)
        self.read_at: datetime | None = None
        self.read_height = 0.0
        self.is_resumed = self.is_over = False
        self.direction: Direction | None = None
        self._path_step_s = FIRST_PATH_STEP_S
        self._best_shot = 0.0
        self._shot: Shot | None = None
        self._fusion = Fusion()
        self._reading: Reading | None = None

    @classmethod
    def told(cls, event: PlateEvent) -> "Pass":
        """What an event tells of its pass; the reads are lost."""
        box = event.path[0].box if event.path else event.box
        vehicle = cls(box, event.first_seen, clock_synced=event.clock_synced)
        for point in event.path:
            vehicle.standing.follow(point.box, event.first_seen + timedelta(seconds=point.t))
        vehicle.id, vehicle.last_seen = event.pass_id, event.last_seen
        vehicle.box, vehicle.path = event.box, [*event.path]
        vehicle.announced = Reading(**{f.name: getattr(event, f.name) for f in fields(Reading)})
        vehicle.direction = event.direction
        vehicle.is_resumed, vehicle.is_over = True, event.event_type == "plate_left"
        return vehicle

    def age_s(self, now: datetime) -> float:
        """Seconds since the first sight."""
        return (now - self.first_seen).total_seconds()

    def unread_s(self, now: datetime) -> float:
        """Seconds since it was read; infinite when it never was."""
        return math.inf if self.read_at is None else (now - self.read_at).total_seconds()

    def follow(self, box: Box, now: datetime) -> None:
        """The plate is seen again."""
        self.last_seen = now
        self.standing.follow(box, now)
        t = self.age_s(now)
        if not self.path or t - self.path[-1].t >= self._path_step_s:
            self.path.append(PathPoint(t, box))
        if len(self.path) > MAX_PATH:
            self.path = self.path[::2]
            self._path_step_s *= 2

    def add(self, read: PlateRead, shot: Shot) -> None:
        """The plate was read."""
        self._fusion.add(read)
        self.read_at, self.read_height = self.last_seen, max(self.read_height, read.height)
        self.standing.add(slots_text(read.probabilities), self.last_seen)
        self._reading = None
        worth = read_weight(read) * read.height
        if worth >= self._best_shot:
            self._best_shot, self.box, self._shot = worth, shot.box, shot

    def take_shot(self) -> Shot | None:
        """The best shot, which is let go: the decoder has its frame back; None unless it is new."""
        shot, self._shot = self._shot, None
        return shot

    def reading(self, formats: Formats) -> Reading:
        """What all reads say together."""
        if self._reading is None:
            self._reading = read_of(self._fusion, formats)
        return self._reading

    def similar_reads(self, plate: str) -> int:
        """Reads that say `plate`; one character in five may differ."""
        return self._fusion.agreeing(plate, edits=len(plate) // 5)

    def go_on_as(self, later: "Pass") -> None:
        """The vehicle was lost from sight, and `later` is the same one found again."""
        gap_s = later.age_s(self.first_seen)
        self.path += [PathPoint(point.t - gap_s, point.box) for point in later.path]
        self.last_seen = later.last_seen
        self.standing.go_on_as(later.standing, later.last_seen)

    def continue_from(self, before: "Pass") -> None:
        """It is the vehicle that was told of before a restart; the reads are those of now."""
        gap_s = before.age_s(self.first_seen)
        self.path = [*before.path, *(PathPoint(p.t + gap_s, p.box) for p in self.path)]
        self.id, self.first_seen, self.announced = before.id, before.first_seen, before.announced
        self.is_over, self.clock_synced = before.is_over, before.clock_synced
        before.standing.go_on_as(self.standing, self.last_seen)
        self.standing = before.standing
