"""Builds complete plate events: the only place that creates a `PlateEvent` from a pass."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from plateid.config.cameras import EventsConfig
from plateid.core.formats import Formats, shipped_formats
from plateid.core.ids import uuid7
from plateid.core.lists import Lists
from plateid.core.reading import Reading
from plateid.core.records import (
    BestFrame,
    EventType,
    ModelNames,
    PlateCrop,
    PlateEvent,
    Position,
    Snapshot,
)
from plateid.core.view import Size, View
from plateid.pipeline.passes import Pass
from plateid.pipeline.tracking import HIGH_SCORE


@dataclass(frozen=True)
class PipelineSettings:
    """One camera's settings: `high_score` starts a track (0-1), `keeps_crops` keeps far crops."""

    camera: str
    rules: EventsConfig = field(default_factory=EventsConfig)
    formats: Formats = field(default_factory=shipped_formats)
    view: View = field(default_factory=View)
    high_score: float = HIGH_SCORE
    keeps_crops: bool = False


@dataclass(frozen=True)
class EventBuilder:
    """Builds the events of all cameras, with what the pipelines do not know.

    `clock_synced` and `position` return None for unknown. `take_snapshot` stores the snapshot of an
    event; the frame is None if an earlier event of the pass had the best one, and must not be kept,
    because it holds a buffer of the decoder. `keep_crops` takes the last event of a pass with its
    small and blurred crops.
    """

    device: str
    model: ModelNames
    next_seq: Callable[[], int]
    clock_synced: Callable[[], bool | None] = lambda: None
    position: Callable[[], Position | None] = lambda: None
    lists: Callable[[], Lists] = Lists
    take_snapshot: Callable[[PlateEvent, BestFrame | None], Snapshot | None] = lambda *_: None
    keep_crops: Callable[[PlateEvent, Sequence[PlateCrop]], None] = lambda *_: None

    def build(
        self,
        event_type: EventType,
        vehicle: Pass,
        reading: Reading,
        *,
        settings: PipelineSettings,
        size: Size | None,
    ) -> PlateEvent:
        """Builds the next event of a pass; `size` is None before the camera's first frame."""
        camera, published, step = settings.camera, vehicle.published, vehicle.clock_step
        last_seen = vehicle.last_seen + step
        event = PlateEvent(
            event_type=event_type,
            id=uuid7(),
            pass_id=vehicle.id,
            device=self.device,
            camera=camera,
            seq=self.next_seq(),
            plate_display=settings.formats.display(reading.plate, reading.region),
            first_seen=vehicle.first_seen + step,
            last_seen=last_seen,
            box=vehicle.box,
            path=tuple(vehicle.path),
            dwell_s=vehicle.age_s(vehicle.last_seen),
            model=self.model,
            corrected=published is not None and published.plate != reading.plate,
            list=self.lists().match(reading.plate, camera=camera, at=last_seen),
            clock_synced=vehicle.clock_synced is not False and self.clock_synced(),
            direction=vehicle.direction_in(settings.view, size) if size else vehicle.direction,
            parked=vehicle.movement.longest_stationary_s(vehicle.last_seen)
            >= settings.rules.parked_s,
            gps=self.position(),
            **vars(reading),
        )
        if event_type == "plate_left":
            self.keep_crops(event, vehicle.far_crops.all())
        return replace(event, snapshot=self.take_snapshot(event, vehicle.take_best_frame()))
