"""The vehicles of one camera: matches tracks to passes, and decides what is published and when."""

import math
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta

import structlog

from plateid.core.geometry import scaled
from plateid.core.reading import Reading
from plateid.core.records import BestFrame, Box, EventType, PlateEvent, PlateRead
from plateid.core.view import Size
from plateid.pipeline.border import Place
from plateid.pipeline.event_builder import EventBuilder, PipelineSettings
from plateid.pipeline.lost_passes import LostPassBuffer
from plateid.pipeline.passes import Pass
from plateid.pipeline.stationary import STATIONARY_S, ClockOverlays
from plateid.pipeline.tracking import Track

MIN_CHARACTERS = 3
"""Minimum length of a published plate; shorter texts are badges, house numbers or fragments."""
MIN_AGE_S = 0.3
"""Minimum age of a published pass in seconds, because reads of one moment share their errors."""
READ_AGAIN_S = 0.5
"""Longest time between two reads of a plate in view, seconds: the track may have switched."""
TALLER = 1.1
"""Factor by which a plate must exceed its greatest height so far to be read again at once."""
UNKNOWN_SYNTAX = 2
"""Factor on the required reads and age for a text of no known syntax, which may be a sign."""
log = structlog.get_logger()


class Traffic:
    """The passes of one camera; `unpublished` counts those that were read but gave no event."""

    def __init__(
        self, settings: PipelineSettings, events: EventBuilder, sink: Callable[[PlateEvent], None]
    ) -> None:
        """Starts without vehicles; `sink` receives the events."""
        self._events = events
        self._sink = sink
        self._passes: dict[int, Pass] = {}
        self.unpublished = 0
        self._use(settings)

    def _use(self, settings: PipelineSettings) -> None:
        self._settings = settings
        self._rules = settings.rules
        self._formats = settings.formats
        self._lost = LostPassBuffer(self._rules.parked_s, self._rules.parked_lost_s)
        self._clocks = ClockOverlays()
        self._size: Size | None = None

    def update(
        self,
        tracks: Iterable[Track],
        size: Size,
        now: datetime,
        *,
        clock_step: timedelta = timedelta(),
    ) -> None:
        """Adds the detections of a frame of this size to their passes."""
        self._size = size
        for track in tracks:
            box = track.detection.box
            if track.id not in self._passes:
                synced = self._events.clock_synced()
                self._passes[track.id] = Pass(box, now, clock_synced=synced)
            self._passes[track.id].detected(box, now)
            self._passes[track.id].clock_step = clock_step

    def keep(self, tracks: Iterable[Track], now: datetime) -> None:
        """Extends the passes of these tracks, because nothing has moved."""
        for track in tracks:
            self._passes[track.id].last_seen = now

    def awaits_reading(self, tracks: Iterable[Track], now: datetime) -> bool:
        """Returns whether one of these vehicles is unpublished and may still become readable."""
        vehicles = (self._passes[track.id] for track in tracks)
        return any(v.published is None and v.age_s(now) < self._max_wait_s(v) for v in vehicles)

    def settled(self, now: datetime) -> bool:
        """Returns whether more frames cannot change what is published of any vehicle in view."""
        return all(
            vehicle.age_s(now) >= self._max_wait_s(vehicle) or self._is_settled(vehicle, now)
            for vehicle in self._passes.values()
        )

    def due(self, tracks: Iterable[Track], now: datetime) -> list[Track]:
        """Returns the tracks whose plates are worth another read, longest unread first."""
        due = [track for track in tracks if self._is_due(track, now)]
        return sorted(due, key=lambda track: self._passes[track.id].unread_s(now), reverse=True)

    def vehicle(self, track: Track) -> Pass:
        """Returns the pass of a track."""
        return self._passes[track.id]

    def add(self, track: Track, read: PlateRead, frame: BestFrame, place: Place) -> None:
        """Adds a read to the pass of a track."""
        self._passes[track.id].add(read, frame, place)
        if self._settings.keeps_crops and place == "whole":
            self._passes[track.id].far_crops.add(read, frame)

    def publish(self, tracks: Sequence[Track], now: datetime) -> None:
        """Publishes `plate_seen` of each vehicle whose reading is good enough by now."""
        self._rejoin(tracks)
        for vehicle in self._passes.values():
            still = not vehicle.movement.moved and vehicle.age_s(vehicle.last_seen) < STATIONARY_S
            if vehicle.published is None and not still and not self._is_clock(vehicle):
                waited = vehicle.age_s(now) >= self._rules.max_wait_s
                enough = self._rules.min_confidence if waited else self._rules.sure_confidence
                knows_way = self._knows_way(vehicle)  # in each frame: the motion may end
                if self._is_publishable(vehicle, enough) and (waited or knows_way):
                    self._send("plate_seen", vehicle)

    def end_lost(self, alive: set[int], now: datetime) -> None:
        """Ends the passes whose track is not in `alive`, and lost passes whose time has run out."""
        self._end(set(self._passes) - alive, min_stationary_s=self._rules.parked_s)
        for vehicle in self._lost.take_expired(now):
            self._send("plate_left", vehicle)

    def interrupt(self) -> None:
        """Ends the passes of moving vehicles, and keeps those of stationary ones for later."""
        self._end(set(self._passes), min_stationary_s=min(STATIONARY_S, self._rules.parked_s))
        self._lost.pause()

    def apply(self, settings: PipelineSettings, *, same_source: bool) -> None:
        """Continues with other settings; see `CameraPipeline.apply`."""
        if same_source:
            self.interrupt()
        else:
            self.finish()
        vehicles = self._lost.take_all()
        self._use(settings)
        self.resume(vehicles)

    def publish_whole(self, vehicle: Pass, frame: BestFrame | None) -> None:
        """Publishes both events of a pass whose reading is known: `published` is set."""
        vehicle.best_frame = frame
        self._send("plate_seen", vehicle)
        self._send("plate_left", vehicle)

    def resume(self, vehicles: Iterable[Pass]) -> None:
        """Takes over passes that may continue."""
        for vehicle in vehicles:
            self._lost.add(vehicle)

    def open_passes(self) -> list[Pass]:
        """Returns the passes that have not ended."""
        return [*self._passes.values(), *self._lost]

    @property
    def overlays(self) -> list[Box]:
        """The places of the clock overlays that were detected so far."""
        return self._clocks.boxes

    def finish(self) -> list[str]:
        """Ends every pass, and returns the ids of the published ones: they may still be there."""
        vehicles = self.open_passes()
        self._end(set(self._passes))
        for vehicle in self._lost.take_all():
            self._send("plate_left", vehicle)
        return [vehicle.id for vehicle in vehicles if vehicle.published is not None]

    def reading(self, track: Track) -> Reading:
        """Returns the fused reading of a track's vehicle."""
        return self._reading(self._passes[track.id])

    def _reading(self, vehicle: Pass) -> Reading:
        return vehicle.reading(self._formats)

    def _max_wait_s(self, vehicle: Pass) -> float:
        """Returns the time limit for `plate_seen`; a plate that never moved may be a clock."""
        return max(self._rules.max_wait_s, 0.0 if vehicle.movement.moved else STATIONARY_S)

    def _is_due(self, track: Track, now: datetime) -> bool:
        vehicle = self._passes[track.id]
        _, y1, _, y2 = track.detection.box
        return (
            vehicle.unread_s(now) >= READ_AGAIN_S
            or y2 - y1 > TALLER * vehicle.read_height
            or not self._is_settled(vehicle, now)
        )

    def _is_settled(self, vehicle: Pass, now: datetime) -> bool:
        """Returns whether a pass is published with high confidence, or its time has run out."""
        if vehicle.published is None:
            return vehicle.age_s(now) >= self._max_wait_s(vehicle)
        return self._reading(vehicle).confidence >= self._rules.sure_confidence

    def _rejoin(self, tracks: Sequence[Track]) -> None:
        """Continues the old pass when the tracker found a lost vehicle again under a new id."""
        in_view = {track.id for track in tracks}
        for track in tracks:
            vehicle = self._passes[track.id]
            older = self._take_same_plate(vehicle, in_view) if vehicle.published is None else None
            if older is not None and older.is_restored:
                vehicle.continue_from(older)
            elif older is not None:
                older.continue_with(vehicle)
                self._passes[track.id] = older

    def _take_same_plate(self, vehicle: Pass, in_view: set[int]) -> Pass | None:
        plate = self._reading(vehicle).plate
        if len(plate) < MIN_CHARACTERS:
            return None
        for track_id, other in self._passes.items():
            if track_id not in in_view and plate == self._reading(other).plate:
                return self._passes.pop(track_id)
        return self._lost.take(plate, vehicle)

    def _end(self, ended: set[int], *, min_stationary_s: float = math.inf) -> None:
        """Ends passes; published ones of stationary vehicles, perhaps occluded, are buffered."""
        for track_id in sorted(ended):
            vehicle = self._passes[track_id]
            stationary_s = vehicle.movement.stationary_s(vehicle.last_seen)
            if vehicle.published is not None and stationary_s >= min_stationary_s:
                self._lost.add(self._passes.pop(track_id))
        for track_id in sorted(ended & self._passes.keys()):
            vehicle = self._passes.pop(track_id)
            if vehicle.published is None:
                self._publish_late(vehicle)
            if vehicle.published is not None:
                self._send("plate_left", vehicle)

    def _publish_late(self, vehicle: Pass) -> None:
        """Publishes a vehicle that left before `sure_confidence` was reached, or counts it."""
        if not self._is_publishable(vehicle, self._rules.min_confidence):
            self.unpublished += vehicle.read_at is not None
        elif not self._is_clock(vehicle) and not self._lost.find(
            self._reading(vehicle).plate, vehicle
        ):
            self._send("plate_seen", vehicle)

    def _is_publishable(self, vehicle: Pass, min_confidence: float) -> bool:
        reading = self._reading(vehicle)
        factor = 1 if self._formats.fits(reading.plate) else UNKNOWN_SYNTAX
        return (
            reading.confidence >= min_confidence
            and len(reading.plate) >= MIN_CHARACTERS
            and vehicle.similar_reads(reading.plate_raw) >= factor * self._rules.min_reads
            and vehicle.age_s(vehicle.last_seen) >= factor * MIN_AGE_S
        )

    def _knows_way(self, vehicle: Pass) -> bool:
        """Returns whether the way is known, or is not required for `plate_seen`."""
        view = self._settings.view
        direction = (
            vehicle.direction_in(view, self._size) if self._size and view.tells_way else None
        )
        return not self._rules.require_direction or bool(direction and direction.way)

    def _is_clock(self, vehicle: Pass) -> bool:
        if vehicle.movement.moved:
            return False
        box, known = vehicle.movement.box, len(self._clocks.boxes)
        age_s = vehicle.age_s(vehicle.last_seen)
        is_clock = self._clocks.include(box, vehicle.texts, age_s=age_s)
        if len(self._clocks.boxes) > known:
            width, height = self._size or (1, 1)
            place = tuple(round(value, 3) for value in scaled(box, 1 / width, 1 / height))
            log.info("clock overlay detected", camera=self._settings.camera, box=place)
        return is_clock

    def _send(self, event_type: EventType, vehicle: Pass) -> None:
        if vehicle.is_over:
            return
        reading, published = self._reading(vehicle), vehicle.published
        if published is not None and not reading.plate:
            reading = published  # strict syntax may reject the text of later reads
        event = self._events.build(
            event_type, vehicle, reading, settings=self._settings, size=self._size
        )
        vehicle.published = reading
        self._sink(event)
