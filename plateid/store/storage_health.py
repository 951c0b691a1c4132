"""The storage part of the health report."""

import shutil
import time
from pathlib import Path

from plateid.core.health import StorageHealth
from plateid.errors import StoreError
from plateid.store.backlog import Backlog
from plateid.store.event_store import EventStore
from plateid.store.overflow import Overflow


def storage_health(store: EventStore, backlog: Backlog, overflow: Overflow) -> StorageHealth:
    """Returns the state of the store; values that a failing store cannot give are None."""
    known = StorageHealth(
        outbox_dropped=overflow.dropped,
        unstored=len(backlog),
        lost=backlog.dropped,
        stores_replaced=store.replaced,
        disk_free_mb=free_mb(store.path.parent),
    )
    try:
        outbox, last_seen = store.outbox(), store.last_seen()
    except StoreError:
        return known
    oldest_s = None if outbox.since is None else max(0, round(time.time() - outbox.since))
    from_store = {"outbox_events": outbox.events, "outbox_oldest_s": oldest_s}
    return StorageHealth(**vars(known) | from_store | {"last_seen": last_seen})


def free_mb(folder: Path) -> int | None:
    """Returns the free space on the disk of a folder, megabytes; None if it cannot be read."""
    try:
        return shutil.disk_usage(folder).free // 1_000_000
    except OSError:
        return None
