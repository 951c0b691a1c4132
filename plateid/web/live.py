"""What is going on now: the newest frame of each camera, the last events, and who watches.

Threads of the recognition leave references here and go on; whatever costs time is done by those
who watch, at a bounded rate, once for all of them.
"""

import asyncio
import json
import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2

from plateid.config.service import WebConfig
from plateid.core.drawing import draw_plates
from plateid.core.geometry import scaled
from plateid.core.records import Frame, Plate, PlateEvent

RECENT = 20
QUALITY = 75
MAX_STREAMS = 24
"""Of pictures or events, of all viewers together."""


@dataclass(frozen=True)
class Sight:
    """A frame that was looked at, and the plates in it."""

    frame: Frame
    plates: Sequence[Plate]


class Live:
    """The meeting point of recognition and viewers.

    Attributes:
        events: The last ones as JSON, each with a number that counts from 1; the newest is last.
        closing: Whether all streams have to end.
        streams: How many there are.
    """

    def __init__(self, config: WebConfig, cameras: Iterable[str]) -> None:
        """Nothing has happened."""
        self.events: deque[tuple[int, str]] = deque(maxlen=RECENT)
        self.closing = False
        self.streams = 0
        self._config = config
        self._sights: dict[str, Sight | None] = dict.fromkeys(cameras)
        self._jpegs = {camera: _Jpeg() for camera in self._sights}
        self._count = 0
        self._telling = threading.Lock()

    def show(self, frame: Frame, plates: Sequence[Plate]) -> None:
        """Takes a frame that was looked at; called by the recognition for each."""
        self._sights[frame.camera] = Sight(frame, plates)

    def tell(self, event: PlateEvent) -> None:
        """Takes an event; called by the recognition, as `show` is."""
        text = event.to_json()
        with self._telling:
            self._count += 1
            self.events.append((self._count, text))

    def number_of(self, id_: str) -> int:
        """That of the event with this id; 0 where it is too old, or from before a restart."""
        known = list(self.events)
        return next((number for number, text in known if json.loads(text)["id"] == id_), 0)

    def events_after(self, number: int) -> list[tuple[int, dict[str, Any]]]:
        """Events that came after the one of this number, oldest first."""
        return [(count, json.loads(text)) for count, text in list(self.events) if count > number]

    def sight(self, camera: str) -> Sight | None:
        """The newest of a camera; KeyError where there is no such camera."""
        return self._sights[camera]

    async def next_jpeg(self, camera: str, after: int) -> tuple[int, bytes]:
        """The annotated picture of a camera that follows that of number `after`.

        Waits for it, but no longer than a viewer should be without a sign: then it is the same one.

        Raises:
            KeyError: There is no such camera.
        """
        for _ in range(10 * self._config.fps):
            sight = self.sight(camera)
            if self.closing or (sight is not None and sight.frame.sequence != after):
                break
            await asyncio.sleep(1 / self._config.fps)
        if sight is None:
            return -1, b""
        jpeg = await asyncio.to_thread(self._jpegs[camera].of, sight, self._config.width)
        return sight.frame.sequence, jpeg


class _Jpeg:
    """The last picture that was encoded: all viewers share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sight: Sight | None = None
        self._data = b""

    def of(self, sight: Sight, width: int) -> bytes:
        with self._lock:
            if sight is not self._sight:
                self._data, self._sight = annotated(sight, width), sight
            return self._data


def annotated(sight: Sight, width: int) -> bytes:
    """The whole picture as JPEG, at most so wide, with boxes and texts."""
    image = sight.frame.image
    width = min(width, image.width) & ~1
    height = max(2, round(image.height * width / image.width) & ~1)
    pixels = image.resized(width, height).copy()
    sx, sy = width / image.width, height / image.height
    draw_plates(pixels, (replace(p, box=scaled(p.box, sx, sy)) for p in sight.plates))
    return jpeg(pixels)


def jpeg(image: Any, quality: int = QUALITY) -> bytes:
    """A picture, shape (H, W, 3), BGR, as JPEG."""
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return bytes(data)


class Ticker:
    """Says when the next of something that is due at a fixed rate has its turn."""

    def __init__(self, interval_s: float) -> None:
        """The first is due at once."""
        self._interval_s = interval_s
        self._due_at = time.monotonic()

    async def wait(self) -> None:
        """Until then; what was missed is not made up for."""
        await asyncio.sleep(max(0.0, self._due_at - time.monotonic()))
        self._due_at = max(self._due_at + self._interval_s, time.monotonic())
