"""Builds complete plate events: the only place that creates a `PlateEvent` from a pass."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal, Protocol

from plateid.core.ids import uuid7
from plateid.core.lists import Lists
from plateid.core.reading import Reading
from plateid.core.records import (
    BestFrame,
    ListMatch,
    ModelNames,
    PlateEvent,
    Position,
    Snapshot,
)
from plateid.core.view import Size
from plateid.pipeline.passes import Pass
from plateid.pipeline.settings import PipelineSettings

EventType = Literal["plate_seen", "plate_left"]


class ListMatcher(Protocol):
    """Looks plates up in the lists of known plates."""

    def match(self, plate: str, *, camera: str, at: datetime) -> ListMatch | None:
        """Returns the nearest entry that is valid for `camera` at the time `at`, if any."""


class SnapshotTaker(Protocol):
    """Makes the snapshots of events."""

    def take(self, event: PlateEvent, frame: BestFrame | None) -> Snapshot | None:
        """Stores the snapshot of an event and returns where it is; None when there is none.

        `frame` is None when an earlier event of the pass had the best frame. It must not be kept,
        because it holds a buffer of the decoder.
        """


class NoSnapshots:
    """Takes no snapshots."""

    def take(self, _event: PlateEvent, _frame: BestFrame | None) -> None:
        """Returns None."""


@dataclass(frozen=True)
class EventServices:
    """What events take from outside the pipeline; all cameras share one instance.

    Attributes:
        next_seq: Returns the sequence number of the next event.
        clock_synced: Returns whether the system clock is synchronised; None: unknown.
        position: Returns the position of the device; None: unknown.
        lists: The lists of known plates.
        snapshots: Makes the snapshots.
    """

    next_seq: Callable[[], int]
    clock_synced: Callable[[], bool | None] = lambda: None
    position: Callable[[], Position | None] = lambda: None
    lists: ListMatcher = field(default_factory=Lists)
    snapshots: SnapshotTaker = field(default_factory=NoSnapshots)


@dataclass(frozen=True)
class Origin:
    """Where the events of one camera come from; `services` supplies what only others know."""

    device: str
    camera: str
    model: ModelNames
    services: EventServices


class EventBuilder:
    """Builds the events of one camera."""

    def __init__(self, origin: Origin, settings: PipelineSettings) -> None:
        """Creates the builder of one camera."""
        self._origin = origin
        self._settings = settings

    def clock_synced(self) -> bool | None:
        """Returns whether the system clock is synchronised; None: unknown."""
        return self._origin.services.clock_synced()

    def build(
        self, event_type: EventType, vehicle: Pass, reading: Reading, size: Size | None
    ) -> PlateEvent:
        """Builds the next event of a pass, with list match, position and snapshot.

        `size` is that of the camera's frames; None before the first frame.
        """
        services, settings, camera = self._origin.services, self._settings, self._origin.camera
        published, last_seen = vehicle.published, vehicle.last_seen
        path = [*(point.box for point in vehicle.path), vehicle.movement.box]
        event = PlateEvent(
            event_type=event_type,
            id=uuid7(),
            pass_id=vehicle.id,
            device=self._origin.device,
            camera=camera,
            seq=services.next_seq(),
            plate=reading.plate,
            plate_raw=reading.plate_raw,
            plate_display=settings.formats.display(reading.plate, reading.region),
            confidence=reading.confidence,
            char_confidences=reading.char_confidences,
            candidates=reading.candidates,
            reads=reading.reads,
            agreeing_reads=reading.agreeing_reads,
            region=reading.region,
            first_seen=vehicle.first_seen,
            last_seen=last_seen,
            box=vehicle.box,
            path=tuple(vehicle.path),
            dwell_s=(last_seen - vehicle.first_seen).total_seconds(),
            model=self._origin.model,
            corrected=published is not None and published.plate != reading.plate,
            list=services.lists.match(reading.plate, camera=camera, at=last_seen),
            clock_synced=vehicle.clock_synced is not False and services.clock_synced(),
            direction=settings.view.direction(path, size) if size else vehicle.direction,
            parked=vehicle.movement.longest_stationary_s(last_seen) >= settings.rules.parked_s,
            gps=services.position(),
        )
        snapshot = services.snapshots.take(event, vehicle.take_best_frame())
        return replace(event, snapshot=snapshot)
