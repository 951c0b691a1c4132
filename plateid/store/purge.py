"""Deletes events on demand, so that no byte of them is left in the store's file."""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from plateid.core.lists import compact
from plateid.core.records import rfc3339
from plateid.errors import StoreError
from plateid.store.database import CorruptError, parse_event, set_aside_files
from plateid.store.event_store import EventStore
from plateid.store.labels import Labels
from plateid.store.privacy import key_file, read_key
from plateid.store.snapshot_files import SnapshotFiles

BUSY_S = 20.0
"""Longest wait for a service that uses the store, seconds. It keeps its events in memory then."""


@dataclass(frozen=True)
class Purged:
    """What was deleted.

    Attributes:
        events: Number of events.
        unsent: Number of those that an output still waited for.
        files: Corrupt stores that were set aside, which may have held the same events.
    """

    events: int
    unsent: int
    files: tuple[Path, ...]


class Purge:
    """Deletes events of a store, which another process may use meanwhile.

    Each method raises StoreError if events could not be deleted, or if a trace of them is left.
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
        """Deletes every event."""
        SnapshotFiles(self._path).clear()
        return self._purge("SELECT position FROM event", (), None)

    def before(self, moment: datetime) -> Purged:
        """Deletes the events that were first seen before a moment (aware)."""
        query = "SELECT position FROM event WHERE first_seen < ?"
        SnapshotFiles(self._path).clear(before=moment.timestamp())
        return self._purge(query, (rfc3339(moment),), moment.timestamp())

    def plate(self, text: str) -> Purged:
        """Deletes every pass with a plate among its readings or candidates.

        Finds its hashes, too, if they were made with the present key.
        """
        plate = compact(text)
        key = read_key(key_file(self._path))
        query = (
            "SELECT position FROM event"
            " WHERE pass_id IN (SELECT pass_id FROM event WHERE mentions(payload, ?, ?))"
        )
        return self._purge(query, (plate, key.digest(plate) if key else plate), None)

    def _purge(self, query: str, values: tuple[str, ...], before: float | None) -> Purged:
        """Deletes the events of a query, and the set-aside files from before a `time.time()`."""
        with closing(EventStore(self._path, busy_s=BUSY_S)) as store:
            with store.locked() as db:
                db.create_function("mentions", 3, _mentions, deterministic=True)
            with store.transaction() as db:
                events, unsent = self._delete(db, query, values)
            with store.locked() as db:
                db.execute("VACUUM")
            if not store.empty_log():
                raise StoreError(self._path, "deleted, but still in the log: in use, try again")
        Labels(self._path).forget()
        return Purged(events, unsent, self._delete_set_aside(before))

    def _delete(
        self, db: sqlite3.Connection, query: str, values: tuple[str, ...]
    ) -> tuple[int, int]:
        """Deletes events and their snapshots; returns how many, and how many were not sent."""
        positions = db.execute(query, values).fetchall()
        settled = "SELECT count(*) FROM settled WHERE position = ?"
        unsent = sum(not db.execute(settled, row).fetchone()[0] for row in positions)
        ids = (db.execute("SELECT id FROM event WHERE position = ?", row) for row in positions)
        SnapshotFiles(self._path).remove(row.fetchone()[0] for row in ids)
        db.executemany("DELETE FROM event WHERE position = ?", positions)
        return len(positions), unsent

    def _delete_set_aside(self, before: float | None) -> tuple[Path, ...]:
        files = set_aside_files(self._path)
        gone = [file for file in files if before is None or file.stat().st_mtime < before]
        for file in gone:
            file.unlink()
        return tuple(gone)


def _mentions(payload: str, *plates: str) -> bool:
    """Returns whether an event, as JSON, has one of some plates among its texts."""
    try:
        event = parse_event(payload)
    except CorruptError:  # damaged: the plate may be anywhere in it
        return any(plate in payload for plate in plates)
    texts = [event.plate, event.plate_raw, event.plate_display]
    texts += [candidate.plate for candidate in event.candidates]
    texts += [event.list.name] if event.list else []
    return any(compact(text) in plates for text in texts)
