"""The event store: one SQLite file that holds the history and the outbox."""

import itertools
import json
import sqlite3
import threading
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plateid.core.records import PlateEvent, rfc3339
from plateid.errors import StoreError

BUSY_S = 0.25
"""How long another process may hold the file; whoever calls tries again later."""
STEPS = (
    """CREATE TABLE event (
        position INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        pass_id TEXT NOT NULL,
        event_type TEXT NOT NULL,
        camera TEXT NOT NULL,
        plate TEXT NOT NULL,
        confidence REAL NOT NULL,
        first_seen TEXT NOT NULL,
        payload TEXT NOT NULL
    ) STRICT""",
    "CREATE INDEX event_plate ON event (plate)",
    "CREATE INDEX event_first_seen ON event (first_seen)",
    """CREATE TABLE outbox (
        position INTEGER PRIMARY KEY REFERENCES event (position),
        sent INTEGER NOT NULL DEFAULT 0
    ) STRICT""",
    "CREATE TABLE box (instance TEXT NOT NULL, last_seq INTEGER NOT NULL) STRICT",
    "INSERT INTO box VALUES (lower(hex(randomblob(4))), 0)",
)
"""Steps of the layout; `PRAGMA user_version` counts those that a file has gone through."""
INSERT = """
    INSERT INTO event (id, pass_id, event_type, camera, plate, confidence, first_seen, payload)
    VALUES (:id, :pass_id, :event_type, :camera, :plate, :confidence, :first_seen, :payload)
    ON CONFLICT (id) DO NOTHING"""


@dataclass(frozen=True)
class Outgoing:
    """An event that the broker has not acknowledged.

    Attributes:
        payload: JSON as it was appended.
        sent: Whether it may have reached the broker before.
    """

    id: str
    camera: str
    payload: str
    sent: bool


@dataclass(frozen=True)
class Counts:
    """How many events there are, and how many of them are still to be acknowledged."""

    events: int
    outbox: int


class EventStore:
    """Events on disk, each with its place in the outbox until the broker acknowledges it.

    Every method may be called from any thread. Those that touch the file raise StoreError where it
    cannot be read or written; nothing has changed then, and the store stays usable.

    Attributes:
        instance: Eight random hex digits, made with the file.
    """

    def __init__(self, path: Path) -> None:
        """Opens or creates the store, and brings an older layout up to date.

        Raises:
            StoreError: The file or its folder cannot be used, or a newer plateid made it.
        """
        self._path = path
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(
                path, timeout=BUSY_S, isolation_level=None, check_same_thread=False
            )
        except (OSError, sqlite3.Error) as error:
            raise StoreError(path, getattr(error, "strerror", None) or error) from error
        try:
            self._set_up()
            self.instance: str
            last_seq: int
            self.instance, last_seq = self._rows("SELECT instance, last_seq FROM box")[0]
        except StoreError:
            self._db.close()
            raise
        self._seq = itertools.count(last_seq + 1)

    def append(self, event: PlateEvent) -> None:
        """Adds an event to the history and the outbox, both or none; a known id is left alone."""
        columns = {"first_seen": rfc3339(event.first_seen), "payload": event.to_json()}
        with self._transaction() as db:
            added = db.execute(INSERT, vars(event) | columns)
            if added.rowcount:
                db.execute("INSERT INTO outbox (position) VALUES (?)", (added.lastrowid,))
                db.execute("UPDATE box SET last_seq = max(last_seq, ?)", (event.seq,))

    def pending(self, limit: int, *, skip: Collection[str] = ()) -> list[Outgoing]:
        """The oldest events of the outbox, in order, without those of the cameras in `skip`."""
        rows = self._rows(
            "SELECT id, camera, payload, sent FROM outbox JOIN event USING (position)"
            " WHERE camera NOT IN (SELECT value FROM json_each(?)) ORDER BY position LIMIT ?",
            (json.dumps([*skip]), limit),
        )
        return [Outgoing(id_, camera, payload, bool(sent)) for id_, camera, payload, sent in rows]

    def mark_sent(self, ids: Iterable[str]) -> None:
        """Notes, before they are sent, that these events may reach the broker from now on."""
        self._for_each("UPDATE outbox SET sent = 1", ids)

    def acknowledge(self, ids: Iterable[str]) -> None:
        """Takes events that the broker has out of the outbox; the history keeps them."""
        self._for_each("DELETE FROM outbox", ids)

    def next_seq(self) -> int:
        """The next sequence number: greater than that of any event that was ever appended.

        Never the same twice from one EventStore. A number whose event did not reach the disk is
        given again after a restart, so that a gap always means a lost event.
        """
        return next(self._seq)

    def counts(self) -> Counts:
        """Sizes of the history and the outbox."""
        query = "SELECT (SELECT count(*) FROM event), (SELECT count(*) FROM outbox)"
        return Counts(*self._rows(query)[0])

    def history(self, limit: int) -> list[str]:
        """The latest events as they were appended, one JSON object each, newest first."""
        rows = self._rows("SELECT payload FROM event ORDER BY position DESC LIMIT ?", (limit,))
        return [payload for (payload,) in rows]

    def close(self) -> None:
        """Closes the file; each later call raises StoreError."""
        with self._lock:
            self._db.close()

    def _set_up(self) -> None:
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
            self._rows(f"PRAGMA {pragma}")
        with self._transaction() as db:
            (version,) = db.execute("PRAGMA user_version").fetchone()
            if version > len(STEPS):
                raise StoreError(
                    self._path, f"made by a newer plateid (layout {version}, known {len(STEPS)})"
                )
            for step in STEPS[version:]:
                db.execute(step)
            db.execute(f"PRAGMA user_version = {len(STEPS)}")

    def _for_each(self, change: str, ids: Iterable[str]) -> None:
        where = " WHERE position = (SELECT position FROM event WHERE id = ?)"
        with self._transaction() as db:
            db.executemany(change + where, [(id_,) for id_ in ids])

    def _rows(self, query: str, values: Iterable[object] = ()) -> list[tuple[Any, ...]]:
        with self._locked() as db:
            return db.execute(query, tuple(values)).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._locked() as db:
            try:
                db.execute("BEGIN IMMEDIATE")
                yield db
                db.execute("COMMIT")
            finally:
                db.rollback()

    @contextmanager
    def _locked(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                yield self._db
            except sqlite3.Error as error:
                raise StoreError(self._path, error) from error
