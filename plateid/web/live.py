"""The newest frame of each camera and the newest events, shared with all viewers.

Recognition threads only leave references here. Encoding runs in the web server's threads, at a
bounded rate, once for all viewers.
"""

import asyncio
import json
import threading
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from plateid.config.service import WebConfig
from plateid.core.drawing import draw_plates, encode_jpeg
from plateid.core.geometry import scaled
from plateid.core.records import Frame, Plate, PlateEvent
from plateid.web.access import LoginSession

RECENT = 20
"""Events kept for viewers, and rows of the list "Latest plates"."""
JPEG_QUALITY = 75
"""JPEG quality (0-100) of the live images."""
MAX_STREAMS = 24
"""Maximum number of open image and event streams of all users together."""
MAX_VIEWER_STREAMS = 16
"""Maximum number of streams of all viewers; the others are left for admins."""
MAX_SESSION_STREAMS = 8
"""Maximum number of streams of a login session. A browser opens six connections at most, and those
of a page that is reloaded may end late."""
NO_FRAME = -1
"""A sequence number that no frame has."""
MAX_WAIT_S = 10
"""Longest time without an image on a stream, seconds; then the last one is sent again."""


@dataclass(frozen=True)
class LiveFrame:
    """A processed frame and the plates in it."""

    frame: Frame
    plates: Sequence[Plate]


class Live:
    """The newest frames and events, and the open streams of each session, which `closing` ends."""

    def __init__(self, config: WebConfig, cameras: Iterable[str]) -> None:
        self._events: deque[tuple[int, str]] = deque(maxlen=RECENT)
        self.closing = False
        self.streams: Counter[LoginSession] = Counter()
        self._config = config
        self._frames: dict[str, LiveFrame | None] = dict.fromkeys(cameras)
        self._encoders = {camera: _Encoder() for camera in self._frames}
        self._count = 0
        self._publishing = threading.Lock()

    def show(self, frame: Frame, plates: Sequence[Plate]) -> None:
        """Takes a processed frame. Thread-safe."""
        self._frames[frame.camera] = LiveFrame(frame, plates)

    def publish(self, event: PlateEvent) -> None:
        """Takes an event. Thread-safe."""
        text = event.to_json()
        with self._publishing:
            self._count += 1
            self._events.append((self._count, text))

    def number_of(self, event_id: str) -> int:
        """Returns the number of an event; 0 if it is too old or from before a restart."""
        return next((n for n, event in self.events_after(0) if event["id"] == event_id), 0)

    def events_after(self, number: int) -> list[tuple[int, dict[str, Any]]]:
        """Returns the events after the one with this number, oldest first."""
        return [(count, json.loads(text)) for count, text in list(self._events) if count > number]

    def frame(self, camera: str) -> LiveFrame | None:
        """Returns the newest frame of a camera; None if there is none yet."""
        return self._frames[camera]

    async def next_jpeg(self, camera: str, after: int) -> tuple[int, bytes]:
        """Waits for a frame other than `after`, `MAX_WAIT_S` at most; returns number and JPEG."""
        for _ in range(MAX_WAIT_S * self._config.fps):
            newest = self.frame(camera)
            if self.closing or (newest is not None and newest.frame.sequence != after):
                break
            await asyncio.sleep(1 / self._config.fps)
        if newest is None:
            return NO_FRAME, b""
        jpeg = await asyncio.to_thread(self._encoders[camera].encode, newest, self._config.width)
        return newest.frame.sequence, jpeg


class _Encoder:
    """Encodes each frame of a camera once for all viewers."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._frame: LiveFrame | None = None
        self._jpeg = b""

    def encode(self, live: LiveFrame, width: int) -> bytes:
        with self._lock:
            if live is not self._frame:
                self._jpeg, self._frame = annotated_jpeg(live, width), live
            return self._jpeg


def annotated_jpeg(live: LiveFrame, width: int) -> bytes:
    """Returns the frame as JPEG, scaled down to `width` pixels, with boxes and texts."""
    image = live.frame.image
    width = min(width, image.width) & ~1
    height = max(2, round(image.height * width / image.width) & ~1)
    pixels = image.resized(width, height).copy()
    sx, sy = width / image.width, height / image.height
    draw_plates(pixels, (replace(plate, box=scaled(plate.box, sx, sy)) for plate in live.plates))
    return encode_jpeg(pixels, JPEG_QUALITY)
