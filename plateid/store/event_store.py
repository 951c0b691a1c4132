"""The event store: one SQLite file with the event history and the outbox of each output."""

import itertools
import sqlite3
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from plateid.core.records import PlateEvent, rfc3339
from plateid.errors import StoreError, os_errors_as
from plateid.store.database import (
    BUSY_S,
    CorruptError,
    check_is_store,
    is_damage,
    open_database,
)
from plateid.store.salvage import is_interrupted, replace_damaged
from plateid.store.schema import INSTANCE, MAX_SEQ, MQTT

INSERT_EVENT = """
    INSERT INTO event (id, pass_id, event_type, camera, plate, confidence, first_seen, list_kind,
        clock_set, payload)
    VALUES (:id, :pass_id, :event_type, :camera, :plate, :confidence, :first_seen, :list_kind,
        :clock_set, :payload)
    ON CONFLICT (id) DO NOTHING"""
INSERT_DELIVERIES = """
    INSERT INTO delivery (output, position, queued_at) SELECT name, ?, ? FROM output"""
INSERT_LIST_ENTRY = """
    INSERT INTO list_entry (name, position) VALUES (?, ?)
    ON CONFLICT (name) DO UPDATE SET position = excluded.position"""
LAST_SEEN = """
    SELECT name, payload ->> '$.last_seen' FROM list_entry JOIN event USING (position)
    WHERE json_valid(payload)"""
log = structlog.get_logger()


@dataclass(frozen=True)
class StoreCounts:
    """Number of stored events, and number of events in the MQTT outbox."""

    events: int
    outbox: int


class EventStore:
    """Events on disk, each queued for every output until that output acknowledges it.

    Every method may be called from any thread. Methods that use the file raise StoreError if the
    file cannot be read or written. Nothing has changed then, and the store stays usable.

    Attributes:
        path: The file.
        instance: Eight random hexadecimal digits, made with the file.
        replaced: Number of corrupt files that were replaced by a new one.
    """

    def __init__(
        self,
        path: Path,
        *,
        outputs: Collection[str] | None = None,
        replaces_corrupt: bool = False,
        busy_s: float = BUSY_S,
    ) -> None:
        """Opens or creates the store.

        Raises StoreError if the file or its folder cannot be used, and ConfigError if the file is
        not a store.

        Args:
            path: The file; its folder is created.
            outputs: Names of the outputs beside MQTT; others forget their undelivered events.
                None: the outputs stay as they are.
            replaces_corrupt: Whether to replace a corrupt file by a new one that has all rows
                that can be read, now or later; for the service only.
            busy_s: Longest wait of each call for another process that writes, seconds.
        """
        self.path = path
        self.instance = ""
        self.replaced = 0
        self._outputs = outputs
        self._replaces_corrupt = replaces_corrupt
        self._busy_s = busy_s
        self._lock = threading.Lock()
        self._db: sqlite3.Connection | None = None
        with os_errors_as(StoreError, path):
            path.parent.mkdir(parents=True, exist_ok=True)
        check_is_store(path)
        try:
            last_seq = self._read_device()
        except StoreError:
            if not self.replaced:
                raise
            last_seq = self._read_device()
        self._seq = itertools.count(last_seq + 1)

    def append(self, event: PlateEvent) -> None:
        """Adds an event to the history and to every outbox, all or none; skips a known id.

        An event from before the clock was set has no age, or the first clock jump would make it
        years old.
        """
        columns = {
            "first_seen": rfc3339(event.first_seen),
            "list_kind": event.list and event.list.kind,
            "clock_set": event.clock_synced is not False,
            "payload": event.to_json(),
        }
        queued_at = time.time() if columns["clock_set"] else None
        with self.transaction() as db:
            added = db.execute(INSERT_EVENT, vars(event) | columns)
            if added.rowcount:
                db.execute(INSERT_DELIVERIES, (added.lastrowid, queued_at))
                db.execute("UPDATE device SET last_seq = max(last_seq, ?)", (event.seq,))
                if event.list is not None:
                    db.execute(INSERT_LIST_ENTRY, (event.list.name, added.lastrowid))

    def last_seen(self) -> dict[str, str]:
        """Returns the time of the last stored event of each list entry, by entry name."""
        return dict(self.rows(LAST_SEEN))

    def components(self) -> dict[str, str]:
        """Returns the platform of each component that was published to Home Assistant, by id."""
        return dict(self.rows("SELECT id, platform FROM component"))

    def set_components(self, components: Mapping[str, str]) -> None:
        """Replaces what `components` returns."""
        with self.transaction() as db:
            db.execute("DELETE FROM component")
            db.executemany("INSERT INTO component VALUES (?, ?)", components.items())

    def next_seq(self) -> int:
        """Returns the next sequence number, greater than that of every stored event.

        A number whose event did not reach the disk is given again after a restart: a gap always
        means a lost event.
        """
        return next(self._seq)

    def counts(self) -> StoreCounts:
        """Returns the sizes of the history and of the MQTT outbox."""
        query = """
            SELECT (SELECT count(*) FROM event),
                (SELECT count(*) FROM delivery WHERE output = ?)"""
        return StoreCounts(*self.rows(query, MQTT)[0])

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Returns all rows of a query."""
        with self.locked() as db:
            return db.execute(query, values).fetchall()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Gives the connection for changes that are made all together or not at all."""
        with self.locked() as db:
            try:
                db.execute("BEGIN IMMEDIATE")
                yield db
                db.execute("COMMIT")
            finally:
                db.rollback()

    @contextmanager
    def locked(self) -> Iterator[sqlite3.Connection]:
        """Gives the connection, which no other thread of this process uses meanwhile."""
        with self._lock:
            try:
                yield self._connection()
            except (sqlite3.Error, UnicodeDecodeError) as error:
                if self._replaces_corrupt and is_damage(error, opening=self._db is None):
                    self._replace_file(error)
                raise StoreError(self.path, error) from error

    def empty_log(self) -> bool:
        """Moves the write-ahead log into the file; returns False while another process reads it."""
        return not self.rows("PRAGMA wal_checkpoint(TRUNCATE)")[0][0]

    def close(self) -> None:
        """Closes the file. Each later call raises StoreError."""
        with self.locked() as db:
            db.close()

    def _read_device(self) -> int:
        """Sets `instance` and returns the last sequence number."""
        with self.locked() as db:
            match db.execute("SELECT instance, last_seq FROM device").fetchall():
                case [(str(instance), int(last_seq))] if (
                    INSTANCE.fullmatch(instance) and 0 <= last_seq < MAX_SEQ
                ):
                    self.instance = instance
                    return last_seq
            raise CorruptError("the row of the device is damaged")

    def _connection(self) -> sqlite3.Connection:
        """Opens the file, or makes the one that replaces a corrupt file."""
        if self._db is None:
            if self._replaces_corrupt and is_interrupted(self.path):
                raise CorruptError("a power cut interrupted its replacement")
            self._db = open_database(
                self.path,
                instance=self.instance,
                outputs=self._outputs,
                busy_s=self._busy_s,
                check=self._replaces_corrupt and not self.replaced,
            )
        return self._db

    def _replace_file(self, error: Exception) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None
        try:
            with os_errors_as(StoreError, self.path):
                done = replace_damaged(self.path, self.instance, self._outputs)
        except sqlite3.Error as failure:
            raise StoreError(self.path, failure) from failure
        self.replaced += 1
        log.error("event store corrupt, a new one is made", reason=str(error), **done)
