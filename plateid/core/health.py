"""Records of the health report. All counts are since the start."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class CameraHealth:
    """The state of one camera; `failure` says why no frames arrive.

    Frames are dropped if a newer one comes before a worker takes them, and skipped under load if
    every visible pass is settled. Unpublished passes have no reading that is good enough.
    """

    online: bool
    frames: int
    dropped: int
    skipped: int
    unpublished: int
    failure: str | None = None


@dataclass(frozen=True)
class OutboxHealth:
    """An outbox: `events` is None if the store cannot be read, `oldest_s` if none has a time."""

    events: int | None
    oldest_s: int | None
    dropped: int


@dataclass(frozen=True)
class OutputHealth:
    """The state of a webhook or log file; `events` is None if the store cannot be read."""

    events: int | None
    refused: int
    dropped: int


@dataclass(frozen=True)
class SnapshotHealth:
    """The state of the snapshot files; `mb` is their size at the last sweep, megabytes, if any."""

    mb: float | None = None
    written: int = 0
    deleted: int = 0
    lost: int = 0


@dataclass(frozen=True)
class StorageHealth:
    """The state of the event store, of its MQTT outbox and of the events kept in memory.

    `failure` says why the store cannot be written. Unstored events are in memory only; an output
    did not get the lost ones. `last_seen` has RFC 3339 times by the name of the list entry.
    """

    failure: str | None
    outbox: OutboxHealth
    unstored: int
    lost: int
    stores_replaced: int
    last_seen: Mapping[str, str]
    disk_free_mb: int | None


@dataclass(frozen=True)
class DeviceHealth:
    """The state of the device.

    `listed` are the names of list entries to report; `outputs` does not have MQTT. `clock_synced`
    is None if the kernel does not say.
    """

    cameras: Mapping[str, CameraHealth]
    storage: StorageHealth
    clock_synced: bool | None
    listed: tuple[str, ...] = ()
    outputs: Mapping[str, OutputHealth] = field(default_factory=dict)
    outages: Mapping[str, int] = field(default_factory=dict)
    snapshots: SnapshotHealth = SnapshotHealth()
    broker_failure: str | None = None
    trial: Mapping[str, Any] | None = None
