"""What the box says of itself every 30 seconds."""

import json
import shutil
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from plateid import __version__
from plateid.core.records import PlateEvent, rfc3339
from plateid.errors import StoreError
from plateid.store.backlog import Backlog
from plateid.store.event_store import EventStore
from plateid.store.overflow import Overflow

MINUTE_S = 60.0
THERMAL = Path("/sys/class/thermal")


@dataclass(frozen=True)
class CameraHealth:
    """One camera.

    Attributes:
        online: Whether frames come.
        frames: Those that came.
        dropped: Those of them that no worker had time for.
        spared: Those that were passed over for other cameras, since nothing was left to learn.
        untold: Vehicles that left though their plate was never read well enough.
    """

    online: bool
    frames: int
    dropped: int
    spared: int
    untold: int


@dataclass(frozen=True)
class SinkHealth:
    """A webhook or a log file.

    Attributes:
        events: Those that wait for it; None where the store cannot tell.
        refused: Those that it would not take.
        dropped: Those that waited for too long, or were too many.
    """

    events: int | None
    refused: int
    dropped: int


@dataclass(frozen=True)
class SnapshotHealth:
    """The pictures.

    Attributes:
        mb: Megabytes of them on disk, as of the last sweep, ten minutes ago at most; None before.
        written: Those that were written.
        deleted: Those that were too old or too many.
        lost: Those that could not be written.
    """

    mb: float | None = None
    written: int = 0
    deleted: int = 0
    lost: int = 0


@dataclass(frozen=True)
class BoxHealth:
    """What the rest of the box says.

    Attributes:
        cameras: By their names.
        listed: Names of the lists whose last sight is reported.
        clock_synced: None where the kernel does not say.
        sinks: Those beside MQTT, by their names.
        outages: How many began, by what failed.
        snapshots: The pictures.
    """

    cameras: Mapping[str, CameraHealth]
    listed: Sequence[str]
    clock_synced: bool | None
    sinks: Mapping[str, SinkHealth] = field(default_factory=dict)
    outages: Mapping[str, int] = field(default_factory=dict)
    snapshots: SnapshotHealth = SnapshotHealth()


class Rate:
    """How many events each camera had, and how many reads (`plate_seen`) of the last minute."""

    def __init__(self) -> None:
        """Nothing counted yet."""
        self._seen: dict[str, deque[float]] = {}
        self._events: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()

    def count(self, event: PlateEvent) -> None:
        """Takes an event; may be called from any thread."""
        with self._lock:
            self._events[event.camera, event.event_type] += 1
        if event.event_type == "plate_seen":
            self._seen.setdefault(event.camera, deque(maxlen=1000)).append(time.monotonic())

    def per_minute(self, camera: str) -> int:
        """Reads within the last minute."""
        since = time.monotonic() - MINUTE_S
        return sum(moment > since for moment in list(self._seen.get(camera, ())))

    def events(self, camera: str) -> dict[str, int]:
        """All events since the start, by their type."""
        return {kind: self._events[camera, kind] for kind in ("plate_seen", "plate_left")}


class Health:
    """Puts the report together."""

    def __init__(
        self,
        store: EventStore,
        backlog: Backlog,
        overflow: Overflow,
        *,
        bundle: str,
        box: Callable[[], BoxHealth],
    ) -> None:
        """Counts from now on; `box` is asked for each report."""
        self.rate = Rate()
        self._store = store
        self._backlog = backlog
        self._overflow = overflow
        self._bundle = bundle
        self._box = box
        self._started = time.monotonic()

    def to_json(self) -> str:
        """The report as one line."""
        return json.dumps(self.report(), separators=(",", ":"))

    def report(self) -> dict[str, Any]:
        """What the health topic and the metrics say; None stands for what cannot be told."""
        box = self._box()
        return {
            "sent_at": rfc3339(datetime.now(UTC)),
            "uptime_s": round(time.monotonic() - self._started),
            "version": __version__,
            "bundle": self._bundle,
            "cameras": {name: self._camera(name, camera) for name, camera in box.cameras.items()},
            "outbox": self._outbox(),
            "sinks": {name: asdict(sink) for name, sink in box.sinks.items()},
            "outages": dict(box.outages),
            "snapshots": asdict(box.snapshots),
            "unstored": len(self._backlog),
            "lost": self._backlog.dropped,
            "stores_replaced": self._store.replaced,
            "last_seen": self._last_seen(box.listed),
            "clock_synced": box.clock_synced,
            "disk_free_mb": free_mb(self._store.path.parent),
            "temperature_c": temperature_c(),
        }

    def _camera(self, name: str, camera: CameraHealth) -> dict[str, Any]:
        counts = {
            "reads_per_minute": self.rate.per_minute(name),
            "events": self.rate.events(name),
        }
        return asdict(camera) | counts

    def _last_seen(self, names: Sequence[str]) -> dict[str, str | None]:
        try:
            seen = self._store.last_seen()
        except StoreError:
            seen = {}
        return {name: seen.get(name) for name in names}

    def _outbox(self) -> dict[str, Any]:
        report: dict[str, Any] = {"events": None, "oldest_s": None}
        try:
            outbox = self._store.outbox()
        except StoreError:
            return report | {"dropped": self._overflow.dropped}
        if outbox.since is not None:
            report["oldest_s"] = max(0, round(time.time() - outbox.since))
        return report | {"events": outbox.events, "dropped": self._overflow.dropped}


def free_mb(folder: Path) -> int | None:
    """Megabytes that are free on the disk of a folder."""
    try:
        return shutil.disk_usage(folder).free // 1_000_000
    except OSError:
        return None


def temperature_c(folder: Path = THERMAL) -> float | None:
    """The hottest of the kernel's thermal zones."""
    zones = (_zone_c(zone) for zone in folder.glob("thermal_zone*/temp"))
    return max((zone for zone in zones if zone is not None), default=None)


def _zone_c(zone: Path) -> float | None:
    try:
        return round(int(zone.read_text()) / 1000, 1)
    except (OSError, ValueError):  # a sensor that is asleep
        return None
