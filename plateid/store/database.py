"""The SQLite file of the event store: opened, created, or set aside when it is corrupt."""

import fcntl
import sqlite3
from collections.abc import Collection
from contextlib import ExitStack, closing
from io import FileIO
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from plateid.config.problems import problems_of
from plateid.core.records import PlateEvent
from plateid.errors import StoreError, os_errors_as
from plateid.store.schema import LAYOUT, MQTT, STATEMENTS

BUSY_S = 0.25
"""Longest wait for another process that writes, seconds. The caller retries later."""
PRAGMAS = ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "secure_delete = ON")
EVENT = TypeAdapter(PlateEvent)
"""Converts the JSON of a stored event."""
CORRUPT = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
"""Error codes of a damaged file."""


class CorruptError(sqlite3.DatabaseError):
    """SQLite can read the file, but a row is not what plateid wrote."""


def lock_store(store: Path) -> FileIO:
    """Lets only this process run the service on a store, until the file is closed.

    Two services would share one MQTT client id, and publish each event twice. Raises StoreError if
    another process has the lock.
    """
    with os_errors_as(StoreError, store):
        store.parent.mkdir(parents=True, exist_ok=True)
        lock = FileIO(store.with_name(f"{store.name}.lock"), "w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise StoreError(store, "another plateid uses it") from error
    return lock


def open_database(
    path: Path,
    *,
    instance: str = "",
    outputs: Collection[str] | None = None,
    busy_s: float = BUSY_S,
) -> sqlite3.Connection:
    """Opens the file, or creates it.

    Raises StoreError if the file has another layout, and sqlite3.Error if it cannot be used.

    `instance` is the identifier of the file that this one replaces, if any. The other arguments
    are those of `EventStore`.
    """
    with ExitStack() as stack:
        db = sqlite3.connect(path, timeout=busy_s, isolation_level=None, check_same_thread=False)
        stack.enter_context(closing(db))
        for pragma in PRAGMAS:
            db.execute(f"PRAGMA {pragma}").fetchall()
        db.execute("BEGIN IMMEDIATE")
        try:
            _check_layout(db, path)
            db.execute(f"PRAGMA user_version = {LAYOUT}")  # fails if the file is read-only
            if instance:
                db.execute("UPDATE device SET instance = ?", (instance,))
            if outputs is not None:
                _set_outputs(db, {MQTT, *outputs})
            db.execute("COMMIT")
        finally:
            db.rollback()
        stack.pop_all()
        return db


def is_corrupt(error: sqlite3.Error) -> bool:
    """Returns whether an error means that the file's content is damaged."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the higher bits are the detail
    return code in CORRUPT or isinstance(error, CorruptError) or "decode to UTF-8" in str(error)


def set_aside(path: Path) -> Path:
    """Renames a file to `.corrupt`, replacing an earlier one, and returns the new path."""
    aside = path.with_name(f"{path.name}.corrupt")
    path.with_name(f"{path.name}-shm").unlink(missing_ok=True)
    for suffix in ("-wal", ""):
        file = path.with_name(f"{path.name}{suffix}")
        if file.exists():
            file.replace(path.with_name(f"{aside.name}{suffix}"))
    return aside


def set_aside_files(store: Path) -> list[Path]:
    """Returns the files that `set_aside` left. They may hold any plate."""
    files = (store.with_name(f"{store.name}.corrupt{suffix}") for suffix in ("", "-wal"))
    return [file for file in files if file.exists()]


def _check_layout(db: sqlite3.Connection, path: Path) -> None:
    """Creates the tables in an empty file, and refuses every other layout."""
    (layout,) = db.execute("PRAGMA user_version").fetchone()
    if layout == 0 and db.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,):
        for statement in STATEMENTS:
            db.execute(statement)
        _set_outputs(db, {MQTT})
    elif layout != LAYOUT:
        age = "a newer" if layout > LAYOUT else "an older"
        reason = f"made by {age} plateid (layout {layout}, not {LAYOUT}): move the file away"
        raise StoreError(path, reason)


def _set_outputs(db: sqlite3.Connection, names: set[str]) -> None:
    known = {name for (name,) in db.execute("SELECT name FROM output")}
    db.executemany("DELETE FROM output WHERE name = ?", [(name,) for name in known - names])
    db.executemany("INSERT INTO output VALUES (?)", [(name,) for name in names - known])


def parse_event(payload: str) -> PlateEvent:
    """Returns the event of a stored JSON document; CorruptError does not repeat its values."""
    try:
        return EVENT.validate_json(payload)
    except ValidationError as error:
        reason = "; ".join(problem.text for problem in problems_of(error))
        raise CorruptError(f"the store holds something else than events: {reason}") from error
