"""Records of the health report. All counts are since the start."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class CameraHealth:
    """The state of one camera.

    Attributes:
        online: Whether frames arrive.
        frames: Frames received.
        dropped: Frames replaced by a newer one before a worker took them.
        skipped: Frames skipped under load because every visible pass was settled.
        unpublished: Passes that ended without a reading good enough to publish.
        failure: Why no frames arrive; None if they do.
    """

    online: bool
    frames: int
    dropped: int
    skipped: int
    unpublished: int
    failure: str | None = None


@dataclass(frozen=True)
class OutboxHealth:
    """The state of an outbox.

    Attributes:
        events: Events that wait for the output; None if the store cannot be read.
        oldest_s: Age of the oldest event, seconds; None without events or if the clock was not set.
        dropped: Events deleted from the full outbox.
    """

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
    """The state of the snapshot files.

    Attributes:
        mb: Size on disk at the last sweep (every ten minutes), megabytes; None before the first.
        written: Files written.
        deleted: Files deleted because they were too old or too many.
        lost: Snapshots that could not be written.
    """

    mb: float | None = None
    written: int = 0
    deleted: int = 0
    lost: int = 0


@dataclass(frozen=True)
class StorageHealth:
    """The state of the event store, of its MQTT outbox and of the events kept in memory.

    Attributes:
        failure: Why the store cannot be written; None if it works.
        outbox: The events that wait for the broker.
        unstored: Events in memory that the store has not taken yet.
        lost: Events that an output did not get: the store failed and the memory was full.
        stores_replaced: Corrupt store files replaced.
        last_seen: Time of the last pass of each list entry, RFC 3339, by the entry's name.
        disk_free_mb: Free space on the disk of the store, megabytes; None if unknown.
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

    Attributes:
        cameras: Cameras by name.
        storage: The event store, its outbox, and events in memory.
        clock_synced: Whether a time service sets the clock; None if the kernel does not say.
        listed: Names of the list entries whose last pass is reported.
        outputs: Outputs other than MQTT, by name.
        outages: Number of outages, by failed component.
        snapshots: The snapshot files.
        broker_failure: Why the broker is not connected; None if it is.
    """

    cameras: Mapping[str, CameraHealth]
    storage: StorageHealth
    clock_synced: bool | None
    listed: tuple[str, ...] = ()
    outputs: Mapping[str, OutputHealth] = field(default_factory=dict)
    outages: Mapping[str, int] = field(default_factory=dict)
    snapshots: SnapshotHealth = SnapshotHealth()
    broker_failure: str | None = None
