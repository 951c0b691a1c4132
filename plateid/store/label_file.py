"""The SQLite file beside the store that holds labels, self-labels and unpublished passes."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from plateid.store.side_file import SideFile

LAYOUT = """
    CREATE TABLE IF NOT EXISTS label (
        id TEXT PRIMARY KEY,
        verdict TEXT NOT NULL,
        text TEXT NOT NULL,
        x1 REAL NOT NULL, y1 REAL NOT NULL, x2 REAL NOT NULL, y2 REAL NOT NULL,
        labelled_at REAL NOT NULL
    ) STRICT;
    CREATE TABLE IF NOT EXISTS unpublished (
        hour TEXT NOT NULL,
        camera TEXT NOT NULL,
        passes INTEGER NOT NULL,
        PRIMARY KEY (hour, camera)
    ) STRICT;
    CREATE TABLE IF NOT EXISTS self_label (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL,
        text TEXT NOT NULL,
        confidence REAL NOT NULL,
        x1 REAL NOT NULL, y1 REAL NOT NULL, x2 REAL NOT NULL, y2 REAL NOT NULL,
        sharpness REAL NOT NULL,
        jpeg BLOB NOT NULL
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


class LabelFile(SideFile):
    """The file of a store. Each method may raise StoreError."""

    def __init__(self, store: Path) -> None:
        """Creates no file yet."""
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
