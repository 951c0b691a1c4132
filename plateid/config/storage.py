"""What stays on this box: `[store]`, `[privacy]` and `[snapshots]`."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from plateid.config.section import LONGEST_DAYS, Section

Kept = Literal["keep", "hash", "drop"]
Shown = Literal["keep", "vehicle", "blur", "off"]


class StoreConfig(Section):
    """Section `[store]`."""

    path: Path = Field(
        default=Path("plateid.sqlite3"),
        description="Event store; created when missing; the service's: in /var/lib/plateid",
    )
    max_outbox_events: int = Field(
        default=100_000, ge=1, description="Events that may wait for the broker; the oldest go"
    )
    max_outbox_days: float = Field(
        default=30.0, gt=0, description="Days that an event may wait for the broker"
    )


class PrivacyConfig(Section):
    """Section `[privacy]`: what stays on this box; MQTT and webhooks get each event as it is."""

    unknown: Kept = Field(
        default="keep",
        description="Plates of no list, in the store once they are sent, in log files and in the "
        "log: keep; hash (HMAC-SHA256 by a key that only this box has); or drop, which leaves an "
        "event without a plate",
    )
    listed: Kept = Field(
        default="keep",
        description="The same for plates of a list, and for the names of its entries",
    )
    key_days: float = Field(
        default=30.0,
        gt=0,
        le=LONGEST_DAYS,
        description="Days after which another key is made and the old one is gone: hashes of one "
        "plate are alike within this time only",
    )
    history_days: float = Field(
        default=90.0, gt=0, le=LONGEST_DAYS, description="Days that an event stays in the store"
    )
    history_mb: float = Field(
        default=1000.0,
        ge=1,
        le=1e6,
        description="Megabytes of the store from which on its oldest events go, sent ones only",
    )


class SnapshotsConfig(Section):
    """Section `[snapshots]`: pictures of passes, in a folder beside the store and over MQTT."""

    enabled: bool = Field(default=True, description="Keep and publish the best shot of each pass")
    unknown: Shown | None = Field(
        default=None,
        description="Of vehicles of no list: keep; vehicle (all around it is blurred); blur (its "
        "plate cannot be read); or off; default: keep where [privacy] keeps the plate, else blur. "
        "Other plates in the picture are blurred unless all pictures are of keep",
    )
    listed: Shown | None = Field(default=None, description="The same for vehicles of a list")
    max_side: int = Field(
        default=1280, ge=160, le=4096, description="Longest side in pixels; larger ones are scaled"
    )
    quality: int = Field(default=80, ge=10, le=95, description="Of the JPEG")
    days: float = Field(default=30.0, gt=0, le=LONGEST_DAYS, description="Days that one is kept")
    mb: float = Field(
        default=1000.0,
        ge=1,
        le=1e6,
        description="Megabytes of all, beyond which the oldest go; they also go while less than "
        "200 MB of the disk are free",
    )
