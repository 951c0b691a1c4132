"""Deletes events on demand, so that no byte of them is left in the store's file."""

import json
import math
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from plateid.core.lists import compact
from plateid.core.records import rfc3339
from plateid.errors import StoreError
from plateid.store.audit_log import AuditLog
from plateid.store.database import CorruptError, parse_event
from plateid.store.event_store import EventStore
from plateid.store.labels import Labels
from plateid.store.privacy import key_file, read_key
from plateid.store.salvage import set_aside_files
from plateid.store.sessions import Sessions
from plateid.store.side_file import Failures, LabelFile
from plateid.store.snapshot_files import SnapshotFiles

SELECT = """
    SELECT position, id, EXISTS (SELECT 1 FROM delivery WHERE delivery.position = event.position)
    FROM event"""
PASSES = "SELECT pass_id FROM event"
BUSY_S = 20.0
"""Longest wait for a service that uses the store, seconds. It keeps its events in memory then."""


@dataclass(frozen=True)
class Purged:
    """Numbers of deleted events, and of unsent ones among them; deleted files of corrupt stores."""

    events: int
    unsent: int
    files: tuple[Path, ...]


class Purge:
    """Deletes events of a store; methods raise StoreError if a trace of them may be left."""

    def __init__(self, path: Path) -> None:
        """Opens nothing yet. Raises StoreError if there is no such store."""
        if not path.exists():
            raise StoreError(path, "does not exist")
        self._path = path
        self._snapshots = SnapshotFiles(path)
        self._sessions = Sessions(path)
        self._failures = Failures()

    def all(self) -> Purged:
        """Deletes every event."""
        self._snapshots.clear()
        with self._failures:
            self._sessions.delete(lambda _: True)
        return self._purge("TRUE")

    def before(self, moment: datetime) -> Purged:
        """Deletes the events that were first seen before a moment (aware)."""
        self._snapshots.clear(before=moment.timestamp())
        with self._failures:
            self._sessions.delete(lambda session: session.entered_at < rfc3339(moment))
        return self._purge("first_seen < ?", rfc3339(moment), before=moment.timestamp())

    def plate(self, text: str) -> Purged:
        """Deletes every pass with a plate, or its hash, in readings, candidates or labels."""
        plate = compact(text)
        key = read_key(key_file(self._path))
        plates = plate, key.digest(plate) if key else plate
        with self._failures:
            self._sessions.delete(lambda s: s.plate in plates or compact(s.name) == plate)
        with self._failures:
            AuditLog(self._path).forget(*plates)
        corrected: list[str] = []
        with self._failures, closing(EventStore(self._path, busy_s=BUSY_S)):  # mends the store
            labels = Labels(self._path).all() if LabelFile(self._path).path.exists() else []
            corrected = [label.id for label, _ in labels if compact(label.text) == plate]
        condition = """pass_id IN (SELECT pass_id FROM event WHERE mentions(payload, ?, ?)
            OR id IN (SELECT value FROM json_each(?)))"""
        return self._purge(condition, *plates, json.dumps(corrected))

    def _purge(self, condition: str, *values: str, before: float = math.inf) -> Purged:
        """Deletes the events of an SQL condition, and set-aside files from before a time."""
        with closing(EventStore(self._path, busy_s=BUSY_S)) as store:
            with store.locked() as db:
                db.create_function("mentions", 3, _mentions, deterministic=True)
            with store.transaction() as db:
                passes = {i for (i,) in db.execute(f"{PASSES} WHERE {condition}", values)}
                rows = db.execute(f"{SELECT} WHERE {condition}", values).fetchall()
                self._snapshots.remove(id_ for _, id_, _ in rows)
                db.executemany("DELETE FROM event WHERE position = ?", [row[:1] for row in rows])
            with self._failures:
                self._sessions.delete(lambda session: session.id in passes)
            with store.locked() as db:
                db.execute("VACUUM")
            if not store.empty_log():
                raise StoreError(self._path, "deleted, but still in the log: in use, try again")
        with self._failures:
            LabelFile(self._path).forget()
        gone = [file for file in set_aside_files(self._path) if file.stat().st_mtime < before]
        for file in gone:
            file.unlink()
        self._failures.check()
        return Purged(len(rows), sum(unsent for *_, unsent in rows), tuple(gone))


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
