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
    """Section `[store]`: the database of this device."""

    path: ConfigPath = Path("plateid.sqlite3")
    """SQLite file of the events, created if missing; the service's default is in
    /var/lib/plateid."""


class RetentionConfig(Section):
    """Section `[retention]`: how long plateid keeps events, snapshots and unsent events."""

    events_days: Days = 90.0
    """Days that an event and its label stay in the store."""
    events_mb: Megabytes = 1000.0
    """Maximum size of the store, megabytes; beyond it, the oldest sent events go."""
    snapshots_days: Days = 30.0
    """Days that a snapshot is kept."""
    snapshots_mb: Megabytes = 1000.0
    """Maximum size of all snapshots, megabytes; beyond it, and while the disk has less than 200 MB
    free, the oldest go."""
    outbox_days: Days = 30.0
    """Days that an event waits for an output, such as the broker."""
    outbox_events: StrictInt = Field(default=100_000, ge=1, le=1_000_000_000)
    """Maximum number of events that wait for one output; beyond it, the oldest go."""


class PrivacyConfig(Section):
    """Section `[privacy]`: what stays on this device; MQTT and webhooks get the full event."""

    unlisted: PlatePolicy = "keep"
    """What the store (after sending), log files and the log keep of unlisted plates: keep; hash
    (HMAC-SHA256 with a key that stays on this device); or drop."""
    listed: PlatePolicy = "keep"
    """The same for listed plates and the names of their entries."""
    key_days: Days = 30.0
    """Days after which a new hash key replaces the old one; two hashes of one plate are equal only
    within this time."""
    self_labels: StrictBool = False
    """Keep small and blurred crops of plates whose pass was read with confidence and that this
    section keeps, with that reading as their label, for training."""
    self_labels_max: StrictInt = Field(default=5000, ge=1, le=1_000_000)
    """Maximum number of these crops."""
    self_labels_mb: Megabytes = 50.0
    """Maximum size of these crops, megabytes; the oldest go first."""


class SnapshotsConfig(Section):
    """Section `[snapshots]`: one image of each pass, on disk beside the store and over MQTT."""

    enabled: StrictBool = True
    """Keep and publish the best image of each pass."""
    unlisted: SnapshotPolicy | None = None
    """What snapshots show of unlisted vehicles: keep (everything); vehicle (the background is
    blurred); blur (the plate is blurred); or off. Default: keep if [privacy] keeps the plate, else
    blur. Other plates in the image are blurred unless all is keep."""
    listed: SnapshotPolicy | None = None
    """The same for listed vehicles."""
    max_side: StrictInt = Field(default=1280, ge=160, le=4096)
    """Longest side in pixels; larger ones are scaled."""
    quality: StrictInt = Field(default=80, ge=10, le=95)
    """JPEG quality."""
