"""SQLite files beside the store, which the service, the web UI and commands write."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from plateid.errors import StoreError, os_errors_as
from plateid.files import give_to_owner_of_folder

BUSY_S = 2.0
"""Longest wait for another process, seconds."""
LAYOUT = """
    CREATE TABLE IF NOT EXISTS label (
        id TEXT PRIMARY KEY, verdict TEXT NOT NULL, text TEXT NOT NULL,
        x1 REAL NOT NULL, y1 REAL NOT NULL, x2 REAL NOT NULL, y2 REAL NOT NULL,
        labelled_at REAL NOT NULL
    ) STRICT;
    CREATE TABLE IF NOT EXISTS unpublished (
        hour TEXT NOT NULL, camera TEXT NOT NULL, passes INTEGER NOT NULL,
        PRIMARY KEY (hour, camera)
    ) STRICT;
    CREATE TABLE IF NOT EXISTS self_label (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL, text TEXT NOT NULL, confidence REAL NOT NULL,
        x1 REAL NOT NULL, y1 REAL NOT NULL, x2 REAL NOT NULL, y2 REAL NOT NULL,
        sharpness REAL NOT NULL, jpeg BLOB NOT NULL
    ) STRICT"""
"""Tables; `id` is that of an event, `hour` is the start of an RFC 3339 time."""
GONE = tuple(
    f"""DELETE FROM {table} WHERE NOT EXISTS (SELECT 1 FROM store.event
        WHERE event.id = {table}.id AND plate_form = 'plain' AND json_valid(payload))"""  # noqa: S608
    for table in ("label", "self_label")
)
"""Deletes what belongs to events that are gone or have no plain plate."""
OLD = """
    DELETE FROM unpublished WHERE hour < coalesce(
        (SELECT substr(min(first_seen), 1, 13) FROM store.event), '')"""
"""Deletes counts from before the history."""


class Failures(AbstractContextManager["Failures"]):
    """Lets work go on after a failure, so that a damaged file does not hold up the others."""

    def __init__(self) -> None:
        self._first: StoreError | None = None

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> bool:
        """Keeps a StoreError of the block for later."""
        if isinstance(error, StoreError):
            self._first = self._first or error
        return isinstance(error, StoreError)

    def check(self) -> None:
        """Raises the first StoreError, if there was one."""
        if self._first is not None:
            raise self._first


class SideFile:
    """A file beside a store, made at its first use, for its owner only. Thread-safe."""

    def __init__(self, store: Path, name: str, layout: str) -> None:
        """Takes the ending of the file's name, and the statements that create its tables."""
        self.path = store.with_name(f"{store.name}.{name}")
        self._layout = layout

    @contextmanager
    def opened(self) -> Iterator[sqlite3.Connection]:
        """Gives a connection, and stores its changes at the end; raises StoreError."""
        with os_errors_as(StoreError, self.path):
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600))
            give_to_owner_of_folder(self.path)
        uri = f"file:{quote(str(self.path))}"
        try:
            with closing(sqlite3.connect(uri, BUSY_S, uri=True)) as db, db:
                db.execute("PRAGMA secure_delete = ON")
                db.executescript(self._layout)
                yield db
        except sqlite3.Error as error:
            raise StoreError(self.path, error) from error


class LabelFile(SideFile):
    """The file of a store. Each method may raise StoreError."""

    def __init__(self, store: Path) -> None:
        super().__init__(store, "labels", LAYOUT)
        self._store = store

    def forget(self) -> None:
        """Deletes what belongs to redacted and deleted events, if the file exists."""
        if self.path.exists():
            with self.opened():
                pass

    @contextmanager
    def opened(self) -> Iterator[sqlite3.Connection]:
        """Gives a connection to the file, with the store as the read-only schema `store`."""
        with super().opened() as db:
            db.execute("ATTACH ? AS store", (f"file:{quote(str(self._store))}?mode=ro",))
            for statement in (*GONE, OLD):
                db.execute(statement)
            db.commit()
            yield db
