"""The health report, published over MQTT every 30 seconds and shown by metrics and web UI."""

import json
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean
from typing import Any

from plateid import __version__
from plateid.core.health import CameraHealth, DeviceHealth, OutboxHealth, StorageHealth
from plateid.core.records import PlateEvent, rfc3339

LAST_PASSES = 100
"""Number of passes over which `confidence` is the mean."""
MINUTE_S = 60.0
"""Period over which `reads_per_minute` counts events, seconds."""
STARTS = "the service has not started yet"
"""Why nothing is connected before the service runs."""
THERMAL = Path("/sys/class/thermal")
"""The kernel's thermal zones."""


class EventCounter:
    """Counts the events of each camera, and its `plate_seen` events of the last minute."""

    def __init__(self) -> None:
        self._seen: dict[str, deque[float]] = {}
        self._events: Counter[tuple[str, str]] = Counter()
        self._confidences: deque[float] = deque(maxlen=LAST_PASSES)
        self._lock = threading.Lock()

    def count(self, event: PlateEvent) -> None:
        """Counts an event. Thread-safe."""
        with self._lock:
            self._events[event.camera, event.event_type] += 1
            if event.event_type == "plate_left":
                self._confidences.append(event.confidence)
        if event.event_type == "plate_seen":
            self._seen.setdefault(event.camera, deque(maxlen=1000)).append(time.monotonic())

    @property
    def confidence(self) -> float | None:
        """Mean confidence of the last passes (0-1); None before the first."""
        with self._lock:
            return round(fmean(self._confidences), 4) if self._confidences else None

    def per_minute(self, camera: str) -> int:
        """Returns the number of `plate_seen` events of a camera within the last minute."""
        since = time.monotonic() - MINUTE_S
        return sum(moment > since for moment in list(self._seen.get(camera, ())))

    def events(self, camera: str) -> dict[str, int]:
        """Returns the number of events of a camera since the start, by event type."""
        return {kind: self._events[camera, kind] for kind in ("plate_seen", "plate_left")}


class HealthReporter:
    """Builds the health report."""

    def __init__(self, device: Callable[[], DeviceHealth], *, bundle: str) -> None:
        """Starts the uptime; `device` is called for each report."""
        self.events = EventCounter()
        self._device = device
        self._bundle = bundle
        self._started = time.monotonic()

    def to_json(self) -> str:
        """Returns the report as one line of JSON."""
        return json.dumps(self.report(), separators=(",", ":"))

    def report(self) -> dict[str, Any]:
        """Returns the report; None stands for a value that is unknown."""
        device = asdict(self._device())
        storage: dict[str, Any] = device.pop("storage")
        listed: tuple[str, ...] = device.pop("listed")
        return (
            device
            | storage
            | {
                "sent_at": rfc3339(datetime.now(UTC)),
                "uptime_s": round(time.monotonic() - self._started),
                "version": __version__,
                "bundle": self._bundle,
                "confidence": self.events.confidence,
                "cameras": {
                    name: camera
                    | {
                        "reads_per_minute": self.events.per_minute(name),
                        "events": self.events.events(name),
                    }
                    for name, camera in device["cameras"].items()
                },
                "disk": "ok" if storage["disk_failure"] is None else "failed",
                "last_seen": {name: storage["last_seen"].get(name) for name in listed},
                "temperature_c": temperature_c(),
            }
        )


def idle_report(cameras: Iterable[str]) -> Callable[[], dict[str, Any]]:
    """Returns a health report for the time in which no service runs: all cameras are offline."""
    offline = CameraHealth(
        online=False, frames=0, dropped=0, skipped=0, unpublished=0, failure=STARTS
    )
    storage = StorageHealth(None, OutboxHealth(0, None, 0), 0, 0, 0, {}, None)
    health = DeviceHealth(dict.fromkeys(cameras, offline), storage, None, broker_failure=STARTS)
    return HealthReporter(lambda: health, bundle="").report


def temperature_c(folder: Path = THERMAL) -> float | None:
    """Returns the highest temperature of the thermal zones, degrees Celsius; None without any."""
    zones = []
    for zone in folder.glob("thermal_zone*/temp"):
        with suppress(OSError, ValueError):  # a sensor that is asleep: an error or an empty file
            zones.append(round(int(zone.read_text()) / 1000, 1))
    return max(zones, default=None)
