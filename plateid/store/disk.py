"""The disk of the event store: what its failures mean, and the lock of the store."""

import errno
import fcntl
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

from plateid.errors import ConfigError, StoreError

BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
"""Error codes of other processes that write."""
OUTSIDE = (
    *BUSY,
    *(sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN),
    *(sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH, sqlite3.SQLITE_NOMEM),
    *(sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_INTERRUPT),
)
"""Error codes of the disk, its rights, and other processes."""
DISK = (
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EFBIG),
    *(errno.EIO, errno.EUCLEAN, errno.ENODEV, errno.ENXIO),
    *(errno.ENOTCONN, errno.ESTALE, errno.ETIMEDOUT),
)
"""Error numbers of a disk that may work later."""


class DiskError(StoreError):
    """The disk of the store is full, read-only, fails, or is away: it may work later."""


class BusyError(DiskError):
    """Another process writes to the store."""


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turns an OSError into DiskError, or into StoreError if another disk would not help."""
    try:
        yield
    except OSError as error:
        kind = DiskError if error.errno in DISK else StoreError
        raise kind(path, error.strerror) from error


@contextmanager
def path_errors(path: Path) -> Iterator[None]:
    """The same, but raises ConfigError for a path that no disk can have."""
    with disk_errors(path):
        try:
            yield
        except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
            raise ConfigError("store.path", f"{path}: {error.strerror}") from error


def store_error(path: Path, error: Exception) -> StoreError:
    """Returns the failure that an error of SQLite means."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF
    kind = BusyError if code in BUSY else DiskError if code in OUTSIDE else StoreError
    return kind(path, error)


def lock_store(store: Path) -> FileIO | None:
    """Lets only this process run the service on a store, until the file is closed.

    Two services would share one MQTT client id, and publish each event twice. Returns None if the
    disk takes no file. Raises StoreError if another process has the lock, and ConfigError if there
    can be no such folder.
    """
    try:
        with path_errors(store):
            store.parent.mkdir(parents=True, exist_ok=True)
            lock = _lock_file(store.with_name(f"{store.name}.lock"))
    except DiskError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise StoreError(store, "another plateid uses it") from error
    return lock


def _lock_file(file: Path) -> FileIO:
    try:
        return FileIO(file, "w")
    except OSError:
        if not file.is_file():
            raise
        return FileIO(file)  # of a read-only disk
