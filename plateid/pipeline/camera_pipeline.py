"""A camera's frames: which are looked at, and which of their plates are read."""

import functools
import threading
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol

from plateid.config.cameras import EventsConfig
from plateid.core.formats import Formats
from plateid.core.geometry import moved
from plateid.core.records import Box, Detection, Frame, LazyImage, Plate, Shot, Track
from plateid.core.view import Size
from plateid.pipeline.motion import SIZE, MotionGate
from plateid.pipeline.passes import Pass
from plateid.pipeline.stills import PlateReader
from plateid.pipeline.tracking import Tracker
from plateid.pipeline.traffic import Origin, Sink, Traffic

EDGE = 0.25
"""A plate nearer to the border than this, in heights of its box, may be cut off: it is not read."""
MAX_READS = 6
"""Crops of one frame that are read, those first that waited longest: a car park would take long."""
PAUSE = timedelta(seconds=0.18)
"""Where there is nothing left to learn, a look may be so long ago: a plate that comes into view is
seen so much and one frame later at most."""


class Detector(Protocol):
    """Finds plates."""

    def detect(self, image: LazyImage) -> list[Detection]:
        """The plates of a picture, best first; raises ModelError when it cannot tell."""
        ...


class CameraPipeline:
    """One camera's tracks and passes; may be called from any thread."""

    def __init__(
        self,
        origin: Origin,
        rules: EventsConfig,
        *,
        formats: Formats,
        detector: Detector,
        reader: PlateReader,
        sink: Sink,
    ) -> None:
        """Starts with an empty road, and with all syntax compiled: no vehicle waits for that."""
        formats.compile()
        self._view = origin.view
        self._new_tracker = functools.partial(
            Tracker, high_score=origin.sure_score, lost_s=rules.lost_s
        )
        self._detector = detector
        self._reader = reader
        self._traffic = Traffic(origin, rules, formats, sink)
        self._lock = threading.Lock()
        self._last_at: datetime | None = None
        self._size: Size | None = None
        self._forget()

    @property
    def untold(self) -> int:
        """How many passes ended though their plate was never read well enough."""
        return self._traffic.untold

    def wants(self, frame: Frame) -> bool:
        """Whether it may tell something new: not if all is settled and the last look was just now.

        For a box that is short of time: it may be processed all the same.
        """
        with self._lock:
            now, before = frame.captured_at, self._last_at
            soon = before is not None and before <= now < before + PAUSE
            return not soon or not self._traffic.settled(now)

    def process(self, frame: Frame) -> list[Plate]:
        """Takes the next frame and hands the sink whatever events it brings about.

        A frame that is older than the one before says that the clock was set back: what was moving
        then has left. One of another size begins anew: in it, boxes of before are somewhere else.

        Returns:
            The plates in this frame.

        Raises:
            ModelError: A network failed.
        """
        with self._lock:
            now = frame.captured_at
            if self._last_at is not None and now < self._last_at:
                self._traffic.set_back(now)
                self._forget()
            size = frame.image.width, frame.image.height
            if self._size not in (None, size):
                self._traffic.finish()
                self._forget()
            self._last_at, self._size = now, size
            moves, missed = self._gate.passes(frame), self._tracker.misses_one
            if moves or missed or self._traffic.undecided(self._tracks, now):
                self._look(frame.image, now)
            else:
                self._tracker.hold(now)
                self._traffic.hold(self._tracks, now)
                self._traffic.close_lost(self._tracker.alive(), now)
            self._traffic.rejoin(self._tracks)
            self._traffic.announce(now)
            return [Plate.of(t.detection, self._traffic.reading(t)) for t in self._tracks]

    def interrupt(self) -> None:
        """Ends every pass but those of vehicles that stand: the camera may come back."""
        with self._lock:
            self._traffic.interrupt()
            self._forget()

    def leave(self) -> list[Pass]:
        """Ends every pass but those of vehicles that stand: another pipeline may `resume` these."""
        with self._lock:
            vehicles = self._traffic.leave()
            self._forget()
            return vehicles

    def resume(self, vehicles: Iterable[Pass]) -> None:
        """These were seen before this pipeline was made; those that are not there leave in time."""
        with self._lock:
            self._traffic.resume(vehicles)

    def finish(self) -> list[str]:
        """Ends every pass: the source stopped, or plateid does; gives as `Traffic.finish`."""
        with self._lock:
            told = self._traffic.finish()
            self._forget()
            return told

    def _forget(self) -> None:
        """What was in the last frame says nothing of the next one."""
        shown = self._view.shown(SIZE) if self._view.roi or self._view.masks else None
        self._gate = MotionGate(shown)
        self._tracker = self._new_tracker()
        self._tracks: list[Track] = []

    def _look(self, image: LazyImage, now: datetime) -> None:
        size = image.width, image.height
        part = self._view.part(size)
        seen = self._detected(image, part)
        detections = [d for d in seen if self._view.shows(d.box, size)]
        self._tracks = self._tracker.update(detections, now, still=self._gate.still)
        self._traffic.close_lost(self._tracker.alive(), now)
        self._traffic.follow(self._tracks, size, now)
        boxes = (*(d.box for d in seen), *(t.detection.box for t in self._tracks))
        whole = [track for track in self._tracks if _inside(track.detection.box, part)]
        self._read(image, whole, tuple(dict.fromkeys(boxes)), now)

    def _detected(self, image: LazyImage, part: Box) -> list[Detection]:
        x1, y1, x2, y2 = part
        if (x2 - x1, y2 - y1) == (image.width, image.height):
            return self._detector.detect(image)
        found = self._detector.detect(image.part(part))
        return [replace(each, box=moved(each.box, x1, y1)) for each in found]

    def _read(
        self, image: LazyImage, whole: list[Track], plates: tuple[Box, ...], now: datetime
    ) -> None:
        """Reads those that are due of `whole`, the plates that are not cut off."""
        due = self._traffic.due(whole, now)[:MAX_READS]
        reads = self._reader.read(image, [track.detection.box for track in due])
        for track, read in zip(due, reads, strict=True):
            self._traffic.add(track, read, Shot(image, track.detection.box, plates))


def _inside(box: Box, part: Box) -> bool:
    """Whether a plate is not cut off by the border of what the detector saw."""
    x1, y1, x2, y2 = box
    left, top, right, bottom = part
    edge = EDGE * (y2 - y1)
    return x1 - left >= edge and y1 - top >= edge and right - x2 >= edge and bottom - y2 >= edge
