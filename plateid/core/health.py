"""Records of the health report: the state of cameras, outputs, snapshots and storage."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class CameraHealth:
    """The state of one camera; all counts are since the start.

    Attributes:
        online: Whether frames arrive.
        frames: Frames received.
        dropped: Frames that no worker had time for.
        skipped: Frames skipped under load because every visible pass was settled.
        unpublished: Passes that ended without a reading that was good enough to publish.
    """

    online: bool
    frames: int
    dropped: int
    skipped: int
    unpublished: int


@dataclass(frozen=True)
class OutboxHealth:
    """The state of the outbox of one output.

    Attributes:
        events: Events that wait for the output; None if the store cannot be read.
        oldest_s: Age of the oldest of them, seconds; None if there is none or if the clock was not
            set.
        dropped: Events deleted from the full outbox since the start.
    """

    events: int | None
    oldest_s: int | None
    dropped: int


@dataclass(frozen=True)
class OutputHealth:
    """The state of a webhook or a log file.

    Attributes:
        events: Events that wait for it; None if the store cannot be read.
        refused: Events that it refused.
        dropped: Events deleted because they waited too long or were too many.
    """

    events: int | None
    refused: int
    dropped: int


@dataclass(frozen=True)
class SnapshotHealth:
    """The state of the snapshot files.

    Attributes:
        mb: Their size on disk at the last sweep (every ten minutes), megabytes; None before it.
        written: Files written since the start.
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
        outbox_events: Events that wait for the broker; None if the store cannot be read.
        outbox_oldest_s: Age of the oldest of them, seconds; None if there is none or if the clock
            was not set.
        outbox_dropped: Events deleted from the full outbox since the start.
        unstored: Events in memory that the store has not taken yet.
        lost: Events lost because the memory was full as well.
        stores_replaced: Corrupt store files replaced since the start.
        last_seen: Time of the last pass of each list entry, RFC 3339, by the entry's name.
        disk_free_mb: Free space on the disk of the store, megabytes; None if unknown.
    """

    outbox_events: int | None = None
    outbox_oldest_s: int | None = None
    outbox_dropped: int = 0
    unstored: int = 0
    lost: int = 0
    stores_replaced: int = 0
    last_seen: Mapping[str, str] = field(default_factory=dict)
    disk_free_mb: int | None = None


@dataclass(frozen=True)
class DeviceHealth:
    """The state of the device.

    Attributes:
        cameras: By camera name.
        storage: The event store and what waits in it.
        clock_synced: Whether a time service sets the clock; None if the kernel does not say.
        listed: Names of the list entries whose last pass is reported.
        outputs: Outputs other than MQTT, by name.
        outages: Number of outages since the start, by what failed.
        snapshots: The snapshot files.
    """

    cameras: Mapping[str, CameraHealth]
    storage: StorageHealth
    clock_synced: bool | None
    listed: tuple[str, ...] = ()
    outputs: Mapping[str, OutputHealth] = field(default_factory=dict)
    outages: Mapping[str, int] = field(default_factory=dict)
    snapshots: SnapshotHealth = SnapshotHealth()
