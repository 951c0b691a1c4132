"""Deletes events on demand, so that nothing of them is left in the store's file."""

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from plateid.core.lists import compact
from plateid.core.records import rfc3339
from plateid.errors import StoreError
from plateid.store.event_store import EventStore
from plateid.store.privacy import digest, key_file, read_key
from plateid.store.retention import emptied_log, set_aside_files
from plateid.store.snapshot_files import Album

BUSY_S = 20.0
"""A service that runs lets us in between two events; meanwhile it keeps its events in memory."""


@dataclass(frozen=True)
class Purged:
    """What was deleted.

    Attributes:
        events: From the history.
        unsent: Those of them that the broker or another sink still waited for.
        files: Corrupt stores that were set aside, which may have held them too.
    """

    events: int
    unsent: int
    files: tuple[Path, ...]


class Purge:
    """Events of a store, to be deleted by one of the three methods.

    Another process may use the store meanwhile. Each method raises StoreError where the events
    could not be deleted, or where traces of them are left in the file.
    """

    def __init__(self, path: Path) -> None:
        """Opens nothing yet.

        Raises:
            StoreError: There is no such store.
        """
        if not path.exists():
            raise StoreError(path, "does not exist")
        self._path = path

    def all(self) -> Purged:
        """Every event."""
        Album(self._path).clear()
        return self._purge("SELECT position FROM event", (), None)

    def before(self, moment: datetime) -> Purged:
        """What was first seen before a moment (aware)."""
        query = "SELECT position FROM event WHERE first_seen < ?"
        Album(self._path).clear(before=moment.timestamp())
        return self._purge(query, (rfc3339(moment),), moment.timestamp())

    def plate(self, text: str) -> Purged:
        """Every event of each pass that a plate plays a part in: read, or held for possible.

        Hashes of it are found if they were made with the present key.
        """
        plate = compact(text)
        key = read_key(key_file(self._path))
        wanted = {plate} | ({digest(key[1], plate)} if key else set())
        query = (
            "SELECT position FROM event"
            " WHERE pass_id IN (SELECT pass_id FROM event WHERE tells(payload, ?))"
        )
        return self._purge(query, (json.dumps([*wanted]),), None)

    def _purge(self, query: str, values: tuple[str, ...], before: float | None) -> Purged:
        """`before` is the time that the set-aside files must be older than to go, too."""
        with closing(EventStore(self._path, busy_s=BUSY_S)) as store:
            with store.locked() as db:
                db.create_function("tells", 2, _tells, deterministic=True)
            with store.transaction() as db:
                events, unsent = _delete(db, query, values, Album(self._path))
            with store.locked() as db:
                db.execute("VACUUM")
            if not emptied_log(store):
                raise StoreError(self._path, "deleted, but still in the log: in use, try again")
        return Purged(events, unsent, self._delete_set_aside(before))

    def _delete_set_aside(self, before: float | None) -> tuple[Path, ...]:
        files = set_aside_files(self._path)
        gone = [file for file in files if before is None or file.stat().st_mtime < before]
        for file in gone:
            file.unlink()
        return tuple(gone)


def _delete(
    db: sqlite3.Connection, query: str, values: tuple[str, ...], album: Album
) -> tuple[int, int]:
    """Takes along that the sinks beside the broker wait, by the layout, and the snapshots."""
    positions = db.execute(query, values).fetchall()
    settled = "SELECT count(*) FROM settled WHERE position = ?"
    unsent = sum(not db.execute(settled, row).fetchone()[0] for row in positions)
    ids = (db.execute("SELECT id FROM event WHERE position = ?", row) for row in positions)
    album.remove(row.fetchone()[0] for row in ids)
    db.executemany("DELETE FROM outbox WHERE position = ?", positions)
    db.executemany("DELETE FROM event WHERE position = ?", positions)
    return len(positions), unsent


def _tells(payload: str, wanted: str) -> bool:
    """Whether an event, by its JSON, tells one of these plates, a JSON array."""
    plates: set[str] = set(json.loads(wanted))
    try:
        event = json.loads(payload)
    except ValueError:  # damaged: anything may be in there
        return any(plate in payload for plate in plates)
    texts = [event["plate"], event["plate_raw"], event["plate_display"]]
    texts += [candidate["plate"] for candidate in event["candidates"]]
    texts += [event["list"]["name"]] if event["list"] else []
    return any(compact(text) in plates for text in texts)
