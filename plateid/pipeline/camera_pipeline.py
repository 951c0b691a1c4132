"""One camera's pipeline: decides which frames are searched and which plates are read."""

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from plateid.core.close_up import CloseUp
from plateid.core.geometry import moved
from plateid.core.reading import Reading, read_detections
from plateid.core.records import (
    BestFrame,
    Box,
    Detection,
    Frame,
    LazyImage,
    Plate,
    PlateEvent,
    PlateRead,
)
from plateid.core.text import edit_distance
from plateid.core.view import Size
from plateid.errors import SourceError
from plateid.pipeline.border import FAR, TOUCH, distance, place_of
from plateid.pipeline.close_ups import find_plate
from plateid.pipeline.event_builder import EventBuilder, PipelineSettings
from plateid.pipeline.motion import SIZE, MotionGate
from plateid.pipeline.passes import Pass
from plateid.pipeline.tracking import Track, Tracker
from plateid.pipeline.traffic import Traffic

MAX_READS = 6
"""Maximum number of plates that are read in one frame: it bounds the time that a car park takes."""
MAX_SKIP = timedelta(seconds=0.18)
"""Longest time without a processed frame on a busy device while all passes are settled. A new plate
is detected at most this much and one frame later."""


class CameraPipeline:
    """One camera's tracks and passes; `skipped` counts skipped frames. Thread-safe."""

    def __init__(
        self,
        settings: PipelineSettings,
        events: EventBuilder,
        *,
        detect: Callable[..., list[Detection]],
        read: Callable[[LazyImage, Sequence[Box]], list[PlateRead]],
        sink: Callable[[PlateEvent], None],
    ) -> None:
        """`detect` finds plates, `read` gives a read per box; both may raise ModelError.

        With a main stream, `detect` gets `enlarges=True`.
        """
        self.settings = settings
        self._detect = detect
        self._read = read
        self._traffic = Traffic(settings, events, sink)
        self._lock = threading.RLock()
        self._last_at: datetime | None = None
        self._size: Size | None = None
        self.skipped = 0
        self._reset()

    @property
    def unpublished(self) -> int:
        """Number of passes that ended without an event although their plate was read."""
        return self._traffic.unpublished

    @property
    def overlays(self) -> list[Box]:
        """The places of the clock overlays that were detected so far."""
        return self._traffic.overlays

    def open_passes(self) -> list[Pass]:
        """Returns the passes that have not ended."""
        with self._lock:
            return self._traffic.open_passes()

    def process_if_useful(self, frame: Frame) -> list[Plate] | None:
        """Processes a frame; None if it is soon after another and no pass can still change."""
        with self._lock:
            now, last = frame.time, self._last_at
            soon = last is not None and last <= now < last + MAX_SKIP
            if soon and self._traffic.settled(now):
                self.skipped += 1
                return None
            return self.process(frame)

    def is_settled(self, frame: Frame) -> bool:
        """Returns whether this frame cannot change what is published of any vehicle in view."""
        with self._lock:
            return self._traffic.settled(frame.time)

    def process(self, frame: Frame) -> list[Plate]:
        """Hands the events of the next frame to the sink, and returns the plates in the frame.

        A frame of another size resets the pipeline, because earlier boxes do not apply to it. So
        does a frame that is older than the last one. Raises ModelError if inference fails.
        """
        with self._lock:
            now = frame.time
            self._start_frame(now, (frame.image.width, frame.image.height))
            if self._needs_detection(frame):
                self._search(frame)
            else:
                self._tracker.keep(now)
                self._traffic.keep(self._tracks, now)
                self._traffic.end_lost(self._tracker.alive(), now)
            self._traffic.publish(self._tracks, now)
            return [self._traffic.reading(t).to_plate(t.detection) for t in self._tracks]

    def publish(self, reading: Reading, at: datetime, image: LazyImage | None) -> None:
        """Publishes the pass of a vehicle that the camera itself read.

        The box is that of the plate that has this text in the image, or else the whole image, which
        is left out if images must hide plates. Raises SourceError if a rule excludes the plate.
        """
        settings, formats = self.settings, self.settings.formats
        with self._lock:
            is_unfit = formats.strict and not formats.fits(reading.plate)
            if is_unfit or reading.confidence < settings.rules.min_confidence:
                rule = "strict" if is_unfit else "min_confidence"
                raise SourceError(settings.camera, f"events.{rule} excludes this plate")
            frame = None if image is None else self._shown(image, reading.plate)
            vehicle = Pass(frame.box if frame else (0.0, 0.0, 0.0, 0.0), at)
            vehicle.published = replace(reading, region=formats.region_of(reading.plate))
            self._traffic.publish_whole(vehicle, frame)

    def _shown(self, image: LazyImage, plate: str) -> BestFrame | None:
        found = read_detections(image, self._detect(image), self._read, self.settings.formats)
        edits = {each.box: edit_distance(each.text, plate) for each in found}
        box = min(edits, key=lambda box: edits[box], default=None)
        if box is None or edits[box] > len(plate) // 2:
            whole = 0.0, 0.0, float(image.width), float(image.height)
            box = whole if self.settings.view.zoom else None
        return BestFrame(image, box, tuple(edits)) if box else None

    def interrupt(self) -> None:
        """Ends the passes of moving vehicles, because the camera went offline."""
        with self._lock:
            self._traffic.interrupt()
            self._reset()

    def apply(self, settings: PipelineSettings, *, same_source: bool) -> None:
        """Continues with other settings; at the same source, stationary vehicles stay known."""
        with self._lock:
            self._traffic.apply(settings, same_source=same_source)
            self.settings, self._last_at, self._size = settings, None, None
            self._reset()

    def resume(self, vehicles: Iterable[Pass]) -> None:
        """Takes over passes from before this pipeline; vehicles that are gone leave in time."""
        with self._lock:
            self._traffic.resume(vehicles)

    def finish(self) -> list[str]:
        """Ends every pass, because the source or plateid stops; returns as `Traffic.finish`."""
        with self._lock:
            ids = self._traffic.finish()
            self._reset()
            return ids

    def _reset(self) -> None:
        """Forgets the last frame, which has nothing to do with the next one."""
        settings = self.settings
        self._gate = MotionGate(settings.view.search_mask(SIZE))
        self._tracker = Tracker(high_score=settings.high_score, lost_s=settings.rules.lost_s)
        self._tracks: list[Track] = []

    def _start_frame(self, now: datetime, size: Size) -> None:
        is_earlier = self._last_at is not None and now < self._last_at
        if is_earlier or self._size not in (None, size):
            self._traffic.finish()
            self._reset()
        self._last_at, self._size = now, size

    def _needs_detection(self, frame: Frame) -> bool:
        return (
            self._gate.passes(frame)
            or self._tracker.misses_one
            or self._traffic.awaits_reading(self._tracks, frame.time)
        )

    def _search(self, frame: Frame) -> None:
        """Detects, tracks and reads the plates of a frame."""
        image, now = frame.image, frame.time
        size = image.width, image.height
        view = self.settings.view
        part = view.search_area(size)
        found = self._detected(frame, part)
        detections = [d for d in found if view.accepts(d.box, size)]
        self._tracks = self._tracker.update(detections, now, still=self._gate.still)
        self._traffic.end_lost(self._tracker.alive(), now)
        self._traffic.update(self._tracks, size, now, clock_step=frame.clock_step)
        boxes = (*(d.box for d in found), *(t.detection.box for t in self._tracks))
        due = self._traffic.due([t for t in self._tracks if self._is_legible(t, part)], now)
        self._read_due(frame, due, tuple(dict.fromkeys(boxes)), part)

    def _detected(self, frame: Frame, part: Box) -> list[Detection]:
        image, (x1, y1, x2, y2) = frame.image, part
        # a main stream shows what is too small to be read here
        options = {"enlarges": True} if frame.main else {}
        if (x2 - x1, y2 - y1) == (image.width, image.height):
            return self._detect(image, **options)
        found = self._detect(image.part(part), **options)
        return [replace(each, box=moved(each.box, x1, y1)) for each in found]

    def _is_legible(self, track: Track, part: Box) -> bool:
        """Returns whether the border leaves a plate legible; once read whole, it must be far."""
        least = FAR if self._traffic.vehicle(track).is_read_whole else TOUCH
        return distance(track.detection.box, part) >= least

    def _read_due(
        self, frame: Frame, due: list[Track], all_boxes: tuple[Box, ...], part: Box
    ) -> None:
        """Reads plates, in the main stream's image where it shows them."""
        if frame.main and not frame.main.is_cheap(frame):
            least = self.settings.rules.min_reads  # with them, the plate can be published
            due = [track for track in due if self._traffic.vehicle(track).reads < least]
        if not (due := due[:MAX_READS]):
            return
        close_up = frame.main.close_up(frame) if frame.main else None
        near = self._find_in(close_up, frame, due, all_boxes) if close_up else {}
        far = [track for track in due if track.id not in near]
        reads = self._read(frame.image, [track.detection.box for track in far]) if far else []
        if close_up and near:
            reads = reads + self._read(close_up.image, list(near.values()))
            far += [track for track in due if track.id in near]
        for track, read in zip(far, reads, strict=True):
            box = track.detection.box
            best = BestFrame(frame.image, box, all_boxes)
            if close_up and track.id in near and close_up.complete and self.settings.view.zoom:
                places = tuple(close_up.place(each) for each in all_boxes)
                how = close_up.scale, close_up.offset
                best = BestFrame(close_up.image, near[track.id], places, *how)
            self._traffic.add(track, read, best, place_of(box, part, read))

    def _find_in(
        self, close_up: CloseUp, frame: Frame, due: list[Track], all_boxes: tuple[Box, ...]
    ) -> dict[int, Box]:
        """Returns where the main stream shows plates, by track."""
        found = {}
        for track in due:
            box = track.detection.box
            others = (each for each in all_boxes if each != box)
            place = find_plate(self._detect, close_up, (box, *others))
            if place and frame.main:
                found[track.id] = place
                late_s = self._traffic.vehicle(track).late_s(close_up.place_back(place))
                if late_s is not None:
                    frame.main.correct_clock(late_s)
        return found
