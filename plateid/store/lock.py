"""Lets only one process run the service on a store."""

import fcntl
from io import FileIO
from pathlib import Path

from plateid.errors import StoreError


def lock_store(store: Path) -> FileIO:
    """Locks a store until the file is closed.

    Two services would share one MQTT client id, and publish each event twice.

    Raises:
        StoreError: Another process has the lock, or the folder cannot be used.
    """
    try:
        store.parent.mkdir(parents=True, exist_ok=True)
        lock = FileIO(store.with_name(f"{store.name}.lock"), "w")
    except OSError as error:
        raise StoreError(store, error.strerror) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise StoreError(store, "another plateid uses it") from error
    return lock
