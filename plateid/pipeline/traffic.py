"""The vehicles before a camera: which tracks are one of them, what is told of it, and when."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

import structlog

from plateid.config.cameras import EventsConfig
from plateid.core.formats import Formats
from plateid.core.ids import uuid7
from plateid.core.records import ModelNames, PlateEvent, PlateRead, Reading, Shot, Track
from plateid.core.view import Size, View, parts
from plateid.pipeline.clock_overlays import Overlays
from plateid.pipeline.lost_passes import Parking
from plateid.pipeline.passes import Pass
from plateid.pipeline.stationary import STILL_S
from plateid.pipeline.tracking import HIGH_SCORE

MIN_CHARACTERS = 3
"""What is shorter is no plate to act on: a badge, a house number, a glimpse of one."""
MIN_AGE_S = 0.3
"""Reads of one moment err alike: a vehicle has to be in view for this long."""
READ_AGAIN_S = 0.5
"""A vehicle that is read surely is read so often all the same: a track may go on with another."""
BETTER = 1.1
"""Or at once where its plate is higher than ever by this factor."""
UNKNOWN_SYNTAX = 2
"""A text that no country issues may be a sign: it needs this many times the reads and the time."""
log = structlog.get_logger()


class Sink(Protocol):
    """Where events go."""

    def accept(self, event: PlateEvent, shot: Shot | None) -> None:
        """Takes one event; it is the sink's from here on.

        `shot` is the best one of its pass; None when that went with an event before. The sink may
        not keep it: it holds the decoder's frame.
        """
        ...


@dataclass(frozen=True)
class Origin:
    """Where events come from.

    Attributes:
        device, camera: Their names.
        model: Of the bundle.
        next_seq: Number of the next event.
        clock_synced: Whether the clock is set now; None: not known.
        view: What of the picture counts.
        sure_score: A plate is followed from the first detection on that is at least so sure.
    """

    device: str
    camera: str
    model: ModelNames
    next_seq: Callable[[], int]
    clock_synced: Callable[[], bool | None]
    view: View = field(default_factory=View)
    sure_score: float = HIGH_SCORE


class Traffic:
    """One camera's passes.

    Attributes:
        untold: Those that ended though their plate was never read well enough.
    """

    def __init__(self, origin: Origin, rules: EventsConfig, formats: Formats, sink: Sink) -> None:
        """Starts with an empty road."""
        self._origin = origin
        self._rules = rules
        self._formats = formats
        self._sink = sink
        self._passes: dict[int, Pass] = {}
        self._parking = Parking(rules.parked_s, rules.parked_lost_s)
        self._overlays = Overlays()
        self._size: Size | None = None
        self.untold = 0

    def follow(self, tracks: Iterable[Track], size: Size, now: datetime) -> None:
        """These plates are in a picture of this width and height."""
        self._size = size
        for track in tracks:
            box = track.detection.box
            if track.id not in self._passes:
                synced = self._origin.clock_synced()
                self._passes[track.id] = Pass(box, now, clock_synced=synced)
            self._passes[track.id].follow(box, now)

    def hold(self, tracks: Iterable[Track], now: datetime) -> None:
        """Nothing moved: they are still there."""
        for track in tracks:
            self._passes[track.id].last_seen = now

    def undecided(self, tracks: Iterable[Track], now: datetime) -> bool:
        """Whether a vehicle that stands still is not yet read well enough, and still may be."""
        vehicles = (self._passes[track.id] for track in tracks)
        return any(v.announced is None and v.age_s(now) < self._longest_wait_s(v) for v in vehicles)

    def settled(self, now: datetime) -> bool:
        """Whether each vehicle is told surely, or has had all the time that there is."""
        return all(
            vehicle.age_s(now) >= self._longest_wait_s(vehicle) or self._certain(vehicle, now)
            for vehicle in self._passes.values()
        )

    def due(self, tracks: Iterable[Track], now: datetime) -> list[Track]:
        """Those that reading once more may tell something of; who waited longest is first."""
        due = [track for track in tracks if self._may_learn(track, now)]
        return sorted(due, key=lambda track: self._passes[track.id].unread_s(now), reverse=True)

    def add(self, track: Track, read: PlateRead, shot: Shot) -> None:
        """A plate was read."""
        self._passes[track.id].add(read, shot)

    def rejoin(self, tracks: Sequence[Track]) -> None:
        """A track that was lost and found again under a new number goes on with the old pass."""
        in_view = {track.id for track in tracks}
        for track in tracks:
            vehicle = self._passes[track.id]
            older = self._taken_out_like(vehicle, in_view) if vehicle.announced is None else None
            if older is not None and older.is_resumed:
                vehicle.continue_from(older)
            elif older is not None:
                older.go_on_as(vehicle)
                self._passes[track.id] = older

    def announce(self, now: datetime) -> None:
        """Tells of each vehicle that is read well enough by now."""
        for vehicle in self._passes.values():
            if vehicle.announced is None and not self._may_be_overlay(vehicle):
                waited = vehicle.age_s(now) >= self._rules.max_wait_s
                enough = self._rules.min_confidence if waited else self._rules.sure_confidence
                if self._publishable(vehicle, enough):
                    self._emit("plate_seen", vehicle)

    def close_lost(self, alive: set[int], now: datetime) -> None:
        """Ends the passes of all tracks but these, and of parked vehicles that are long gone."""
        lost = set(self._passes) - alive
        self._park(lost, self._rules.parked_s)
        self._close(lost & self._passes.keys())
        for vehicle in self._parking.gone(now):
            self._emit("plate_left", vehicle)

    def interrupt(self) -> None:
        """Ends every pass but those of vehicles that stand: they may stand there afterwards."""
        self._park(set(self._passes), min(STILL_S, self._rules.parked_s))
        self._parking.pause()
        self._close(set(self._passes))

    def set_back(self, now: datetime) -> None:
        """The clock was: ends every pass but those of vehicles that stood there by `now`."""
        self.interrupt()
        for vehicle in self._parking.later_than(now):
            self._emit("plate_left", vehicle)

    def leave(self) -> list[Pass]:
        """Ends every pass but those of vehicles that stand, and gives these away."""
        self.interrupt()
        return self._parking.clear()

    def resume(self, vehicles: Iterable[Pass]) -> None:
        """These may still be there."""
        for vehicle in vehicles:
            self._parking.add(vehicle)

    def finish(self) -> list[str]:
        """Ends every pass, and gives the ids of those that were told, which may still be there."""
        vehicles = [*self._passes.values(), *self._parking]
        self._close(set(self._passes))
        for vehicle in self._parking.clear():
            self._emit("plate_left", vehicle)
        return [vehicle.id for vehicle in vehicles if vehicle.announced is not None]

    def reading(self, track: Track) -> Reading:
        """What all reads of a track's vehicle say together."""
        return self._reading(self._passes[track.id])

    def _reading(self, vehicle: Pass) -> Reading:
        return vehicle.reading(self._formats)

    def _longest_wait_s(self, vehicle: Pass) -> float:
        """What never moved needs time: it may be text that the camera writes into the picture."""
        return max(self._rules.max_wait_s, 0.0 if vehicle.standing.moved else STILL_S)

    def _may_learn(self, track: Track, now: datetime) -> bool:
        """Whether reading a plate once more can change what is told of it."""
        vehicle = self._passes[track.id]
        _, y1, _, y2 = track.detection.box
        return (
            vehicle.unread_s(now) >= READ_AGAIN_S
            or y2 - y1 > BETTER * vehicle.read_height
            or not self._certain(vehicle, now)
        )

    def _certain(self, vehicle: Pass, now: datetime) -> bool:
        """Whether it was told surely, or has had all the time that there is."""
        if vehicle.announced is None:
            return vehicle.age_s(now) >= self._longest_wait_s(vehicle)
        return self._reading(vehicle).confidence >= self._rules.sure_confidence

    def _taken_out_like(self, vehicle: Pass, in_view: set[int]) -> Pass | None:
        plate = self._reading(vehicle).plate
        if len(plate) < MIN_CHARACTERS:
            return None
        for track_id, other in self._passes.items():
            if track_id not in in_view and plate == self._reading(other).plate:
                return self._passes.pop(track_id)
        return self._parking.take(plate, vehicle)

    def _park(self, lost: set[int], least_s: float) -> None:
        """A vehicle that was announced, stood for so long and is lost may only be hidden."""
        for track_id in sorted(lost):
            vehicle = self._passes[track_id]
            stood_s = vehicle.standing.stood_s(vehicle.last_seen)
            if vehicle.announced is not None and stood_s >= least_s:
                self._parking.add(self._passes.pop(track_id))

    def _close(self, ended: set[int]) -> None:
        for track_id in sorted(ended):
            vehicle = self._passes.pop(track_id)
            if vehicle.announced is None:
                self._tell_late(vehicle)
            if vehicle.announced is not None:
                self._emit("plate_left", vehicle)

    def _tell_late(self, vehicle: Pass) -> None:
        """It left before it was told; unless it may be told now, it is counted."""
        if not self._publishable(vehicle, self._rules.min_confidence):
            self.untold += vehicle.read_at is not None
        elif not self._is_overlay(vehicle) and not self._parking.find(
            self._reading(vehicle).plate, vehicle
        ):
            self._emit("plate_seen", vehicle)

    def _publishable(self, vehicle: Pass, confidence: float) -> bool:
        reading = self._reading(vehicle)
        strictness = 1 if self._formats.fits(reading.plate) else UNKNOWN_SYNTAX
        return (
            reading.confidence >= confidence
            and len(reading.plate) >= MIN_CHARACTERS
            and vehicle.similar_reads(reading.plate_raw) >= strictness * self._rules.min_reads
            and vehicle.age_s(vehicle.last_seen) >= strictness * MIN_AGE_S
        )

    def _may_be_overlay(self, vehicle: Pass) -> bool:
        too_early = not vehicle.standing.moved and vehicle.age_s(vehicle.last_seen) < STILL_S
        return too_early or self._is_overlay(vehicle)

    def _is_overlay(self, vehicle: Pass) -> bool:
        known = len(self._overlays.places)
        held = self._overlays.hold(vehicle.standing, vehicle.age_s(vehicle.last_seen))
        if len(self._overlays.places) > known:
            place = parts(vehicle.standing.box, self._size or (1, 1))
            log.info("clock in the picture", camera=self._origin.camera, box=place)
        return held

    def _emit(self, event_type: Literal["plate_seen", "plate_left"], vehicle: Pass) -> None:
        if vehicle.is_over:
            return
        reading, told = self._reading(vehicle), vehicle.announced
        if told is not None and not reading.plate:  # strict syntax may refuse what later reads say
            reading = told
        corrected = told is not None and told.plate != reading.plate
        vehicle.announced = reading
        path = [*(point.box for point in vehicle.path), vehicle.standing.box]
        stood_s = vehicle.standing.longest_s(vehicle.last_seen)
        self._sink.accept(
            PlateEvent(
                event_type=event_type,
                id=uuid7(),
                pass_id=vehicle.id,
                device=self._origin.device,
                camera=self._origin.camera,
                seq=self._origin.next_seq(),
                plate=reading.plate,
                plate_raw=reading.plate_raw,
                plate_display=self._formats.display(reading.plate, reading.region),
                confidence=reading.confidence,
                char_confidences=reading.char_confidences,
                candidates=reading.candidates,
                reads=reading.reads,
                agreeing_reads=reading.agreeing_reads,
                region=reading.region,
                first_seen=vehicle.first_seen,
                last_seen=vehicle.last_seen,
                box=vehicle.box,
                path=tuple(vehicle.path),
                dwell_s=(vehicle.last_seen - vehicle.first_seen).total_seconds(),
                model=self._origin.model,
                clock_synced=vehicle.clock_synced is not False and self._origin.clock_synced(),
                corrected=corrected,
                direction=self._origin.view.direction(path, self._size)
                if self._size
                else vehicle.direction,
                parked=stood_s >= self._rules.parked_s,
            ),
            vehicle.take_shot(),
        )
