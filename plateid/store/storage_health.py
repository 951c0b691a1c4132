"""The storage part of the health report."""

import shutil
from pathlib import Path

from plateid.core.health import StorageHealth
from plateid.errors import StoreError
from plateid.store.backlog import Backlog
from plateid.store.outbox import Outbox


def storage_health(backlog: Backlog, outbox: Outbox) -> StorageHealth:
    """Returns the state of the store; values that a failing store cannot give are None."""
    store = backlog.store
    try:
        last_seen = store.last_seen()
    except StoreError:
        last_seen = {}
    return StorageHealth(
        failure=backlog.failure,
        outbox=outbox.health(),
        unstored=len(backlog),
        lost=backlog.dropped,
        stores_replaced=store.replaced,
        last_seen=last_seen,
        disk_free_mb=free_mb(store.path.parent),
    )


def free_mb(folder: Path) -> int | None:
    """Returns the free space on the disk of a folder, megabytes; None if it cannot be read."""
    try:
        return shutil.disk_usage(folder).free // 1_000_000
    except OSError:
        return None
