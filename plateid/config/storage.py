"""What plateid keeps on disk: `[store]`, `[retention]`, `[privacy]` and `[snapshots]`."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StrictBool, StrictFloat, StrictInt

from plateid.config.section import ConfigPath, Section

PlatePolicy = Literal["keep", "hash", "drop"]
SnapshotPolicy = Literal["keep", "vehicle", "blur", "off"]
Days = Annotated[StrictFloat, Field(gt=0, le=36500)]
Megabytes = Annotated[StrictFloat, Field(ge=1, le=1e6)]
DAY_S = 86_400.0
"""Seconds of a day."""


class StoreConfig(Section):
    """Section `[store]`."""

    path: ConfigPath = Field(
        default=Path("plateid.sqlite3"),
        description="SQLite file of the events, created if missing; the service's default is in "
        "/var/lib/plateid",
    )


class RetentionConfig(Section):
    """Section `[retention]`: how long plateid keeps events, snapshots and unsent events."""

    events_days: Days = Field(
        default=90.0, description="Days that an event and its label stay in the store"
    )
    events_mb: Megabytes = Field(
        default=1000.0,
        description="Maximum size of the store, megabytes; beyond it, the oldest sent events go",
    )
    snapshots_days: Days = Field(default=30.0, description="Days that a snapshot is kept")
    snapshots_mb: Megabytes = Field(
        default=1000.0,
        description="Maximum size of all snapshots, megabytes; beyond it, and while the disk has "
        "less than 200 MB free, the oldest go",
    )
    outbox_days: Days = Field(
        default=30.0, description="Days that an event waits for an output, such as the broker"
    )
    outbox_events: StrictInt = Field(
        default=100_000,
        ge=1,
        le=1_000_000_000,
        description="Maximum number of events that wait for one output; beyond it, the oldest go",
    )


class PrivacyConfig(Section):
    """Section `[privacy]`: what stays on this device; MQTT and webhooks get the full event."""

    unlisted: PlatePolicy = Field(
        default="keep",
        description="What the store (after sending), log files and the log keep of unlisted "
        "plates: keep; hash (HMAC-SHA256 with a key that stays on this device); or drop",
    )
    listed: PlatePolicy = Field(
        default="keep", description="The same for listed plates and the names of their entries"
    )
    key_days: Days = Field(
        default=30.0,
        description="Days after which a new hash key replaces the old one; two hashes of one "
        "plate are equal only within this time",
    )
    self_labels: StrictBool = Field(
        default=False,
        description="Keep small and blurred crops of plates whose pass was read with confidence "
        "and that this section keeps, with that reading as their label, for training",
    )
    self_labels_max: StrictInt = Field(
        default=5000, ge=1, le=1_000_000, description="Maximum number of these crops"
    )
    self_labels_mb: Megabytes = Field(
        default=50.0, description="Maximum size of these crops, megabytes; the oldest go first"
    )


class SnapshotsConfig(Section):
    """Section `[snapshots]`: one image of each pass, on disk beside the store and over MQTT."""

    enabled: StrictBool = Field(
        default=True, description="Keep and publish the best image of each pass"
    )
    unlisted: SnapshotPolicy | None = Field(
        default=None,
        description="What snapshots show of unlisted vehicles: keep (everything); vehicle (the "
        "background is blurred); blur (the plate is blurred); or off. Default: keep if [privacy] "
        "keeps the plate, else blur. Other plates in the image are blurred unless all is keep",
    )
    listed: SnapshotPolicy | None = Field(default=None, description="The same for listed vehicles")
    max_side: StrictInt = Field(
        default=1280, ge=160, le=4096, description="Longest side in pixels; larger ones are scaled"
    )
    quality: StrictInt = Field(default=80, ge=10, le=95, description="JPEG quality")
