"""Records of the health report, which has their fields. All counts are since the start."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class CameraHealth:
    """The state of one camera."""

    online: bool  # whether frames arrive
    frames: int  # received
    dropped: int  # replaced by a newer frame before a worker took them
    skipped: int  # under load, because every visible pass was settled
    unpublished: int  # passes that ended without a reading good enough to publish
    failure: str | None = None  # why no frames arrive
    decoder: str = "software"  # in use, and why it is not the configured one
    read_from: str | None = None  # with `main_url`: which stream, and why


@dataclass(frozen=True)
class OutboxHealth:
    """The state of an outbox."""

    events: int | None  # that wait for the output; None if the store cannot be read
    oldest_s: int | None  # age of the oldest event; None without events or a clock that was set
    dropped: int  # deleted from the full outbox


@dataclass(frozen=True)
class OutputHealth:
    """The state of a webhook or log file: numbers of events."""

    events: int | None  # that wait; None if the store cannot be read
    refused: int
    dropped: int


@dataclass(frozen=True)
class SnapshotHealth:
    """The state of the snapshot files."""

    mb: float | None = None  # size on disk at the last sweep, megabytes; None before the first
    written: int = 0
    deleted: int = 0  # because they were too old or too many
    lost: int = 0  # could not be written


@dataclass(frozen=True)
class StorageHealth:
    """The state of the event store, of its MQTT outbox and of the events kept in memory."""

    disk_failure: str | None  # why the store cannot be written
    outbox: OutboxHealth
    unstored: int  # events in memory that the store has not taken yet
    lost: int  # events that an output did not get: the store failed and the memory was full
    stores_replaced: int  # corrupt store files
    last_seen: Mapping[str, str]  # RFC 3339 times, by the name of the list entry
    disk_free_mb: int | None  # of the store's disk; None if unknown
    last_seq: int | None = None  # of the last stored event; None if unknown


@dataclass(frozen=True)
class DeviceHealth:
    """The state of the device."""

    cameras: Mapping[str, CameraHealth]
    storage: StorageHealth
    clock_synced: bool | None  # whether a time service sets the clock; None if unknown
    listed: tuple[str, ...] = ()  # names of the list entries whose last pass is reported
    outputs: Mapping[str, OutputHealth] = field(default_factory=dict)  # other than MQTT, by name
    outages: Mapping[str, int] = field(default_factory=dict)  # by failed component
    snapshots: SnapshotHealth = SnapshotHealth()
    broker_failure: str | None = None  # why the broker is not connected
    trial: Mapping[str, Any] | None = None  # of a new bundle
    backend: str = ""  # that runs the networks, and why
    latency_ms: float | None = None  # mean time of the networks, a frame; None before the first
    hit_rate: float | None = None  # of the report card of the last week (0-1); None if unknown
