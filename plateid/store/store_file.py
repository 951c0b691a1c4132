"""The SQLite file of the event store: opened, locked, and opened again after a failure."""

import hashlib
import sqlite3
import threading
import time
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import structlog

from plateid.errors import ConfigError, StoreError
from plateid.store import database
from plateid.store.salvage import is_interrupted, replace_damaged
from plateid.store.schema import INSTANCE, LAYOUT, MAX_SEQ, MQTT
from plateid.store.sequence import Sequence

RETRY_S = 1.0
"""Shortest time until the file is opened again after a failure of the disk, seconds."""
PAUSE = 4
"""The same as a multiple of the time of the failed call: a dying disk may answer slowly."""
log = structlog.get_logger()


class StoreFile:
    """The file of a store, which counts how many corrupt files it `replaced`.

    Every method may be called from any thread. Methods that use the file raise StoreError if the
    file cannot be read or written. Nothing has changed then, and the store stays usable.
    `instance` is eight random hexadecimal digits, made with the file.
    """

    def __init__(
        self,
        path: Path,
        *,
        outputs: Collection[str] | None = None,
        service: bool = False,
        busy_s: float = database.BUSY_S,
    ) -> None:
        """Opens or creates the store.

        Raises StoreError if the file or its folder cannot be used, and ConfigError if the file is
        not a store. `outputs` are the names of the outputs beside MQTT; others forget their
        undelivered events; with None they stay as they are. `busy_s` is the longest wait of each
        call for another process that writes.

        The `service` starts an epoch of sequence numbers, also without its file if the disk fails,
        opens it again later, and replaces a corrupt file by a new one with all readable rows.
        """
        self.path = path
        self.instance = ""
        self.replaced = 0
        self.outputs = frozenset({MQTT, *(outputs or ())})
        self._outputs = outputs
        self._service = service
        self._busy_s = busy_s
        self._sequence = Sequence()
        self._lock = threading.Lock()
        self._db: sqlite3.Connection | None = None
        self._identity = (0, 0)  # of the open file
        self._is_read_only = self._is_known = False
        self._retry_at, self._reason = 0.0, ""
        with suppress(database.DiskError):
            self._prepare()
        self._open_first()

    def next_seq(self) -> int:
        """Returns the next sequence number, greater than that of every event before."""
        return self._sequence.next()

    def probe(self) -> None:
        """Raises StoreError if the store cannot be written; opens it again if that is possible."""
        with self.transaction() as db:
            db.execute(f"PRAGMA user_version = {LAYOUT}")  # writes a page in any case

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Returns all rows of a query."""
        with self.locked() as db:
            return db.execute(query, values).fetchall()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Gives the connection for changes that are made all together or not at all."""
        with self.locked(writes=True) as db:
            try:
                db.execute("BEGIN IMMEDIATE")
                yield db
                db.execute("COMMIT")
            finally:
                db.rollback()

    @contextmanager
    def locked(self, *, writes: bool = False) -> Iterator[sqlite3.Connection]:
        """Gives the connection, which no other thread of this process uses meanwhile."""
        with self._lock:
            is_missing = self._db is None or (writes and self._is_read_only)
            if is_missing and time.monotonic() < self._retry_at:
                raise database.DiskError(self.path, self._reason)
            started = time.monotonic()
            try:
                with self._errors():
                    yield self._connection(writes=writes)
            except database.BusyError:
                raise
            except database.DiskError as error:
                self._pause(error.reason, time.monotonic() - started, writes=writes)
                raise

    def empty_log(self) -> bool:
        """Moves the write-ahead log into the file; returns False while another process reads it."""
        return not self.rows("PRAGMA wal_checkpoint(TRUNCATE)")[0][0]

    def close(self) -> None:
        """Closes the file. Each later call raises StoreError."""
        with self._lock:
            self._db = self._db or sqlite3.connect(":memory:")
            self._db.close()
            self._service, self._is_read_only, self._retry_at = False, False, 0.0

    def _open_first(self) -> None:
        """Opens the file; the service goes on without it if the disk fails."""
        replaced = self.replaced
        try:
            with self.locked():
                return
        except database.DiskError:
            if not self._service:
                raise
            if not self.instance:  # the same at each start
                origin = f"{uuid.getnode()} {self.path}".encode()
                self.instance = hashlib.sha256(origin).hexdigest()[:8]
        except StoreError:
            if self.replaced == replaced:
                raise
            self._open_first()

    def _prepare(self) -> None:
        """Creates the folder; raises ConfigError if there is something else than a store."""
        with database.path_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
        database.check_is_store(self.path)

    def _connection(self, *, writes: bool) -> sqlite3.Connection:
        """Returns the open file. Opens it if there is none, or if it could be read only."""
        if self._db is not None and self._service and self._is_deleted():
            log.error("event store deleted, a new one is made", path=str(self.path))
            self._close()
        if self._db is not None and not (writes and self._is_read_only):
            return self._db
        try:
            db = self._opened()
        except (sqlite3.Error, database.DiskError) as error:
            if isinstance(error, sqlite3.Error) and database.is_damage(error, opening=True):
                self._close()
                raise
            if writes or not self._service:
                raise
            db = self._opened_read_only()
        self._close()
        self._db = db
        return db

    def _opened(self) -> sqlite3.Connection:
        """Opens or creates the file, and starts an epoch in it."""
        try:
            self._prepare()
        except ConfigError as error:  # another file since the start
            raise StoreError(self.path, error.reason) from error
        with database.disk_errors(self.path):
            if self._service and is_interrupted(self.path):
                raise database.CorruptError("a power cut interrupted its replacement")
            is_new = not self.path.exists() or not self.path.stat().st_size
        db = database.open_database(
            self.path,
            instance=self.instance if self._is_known or is_new else "",
            outputs=self._outputs,
            busy_s=self._busy_s,
            check=self._service and not self._is_known and not self.replaced,
        )
        with database.closed_on_error(db):
            self._sequence.follow(self._read_device(db), lambda seq: self._store_seq(db, seq))
            with database.disk_errors(self.path):
                self._identity = self._identity_on_disk()
        self._is_read_only = False
        return db

    def _is_deleted(self) -> bool:
        """Returns whether the open file was deleted or replaced; SQLite would still write to it."""
        try:
            return not self._is_read_only and self._identity_on_disk() != self._identity
        except FileNotFoundError:
            return True
        except OSError:  # the disk fails: SQLite names the reason
            return False

    def _identity_on_disk(self) -> tuple[int, int]:
        found = self.path.stat()
        return found.st_dev, found.st_ino

    def _store_seq(self, db: sqlite3.Connection, seq: int) -> None:
        if self._service:
            db.execute("UPDATE device SET last_seq = max(last_seq, ?)", (seq,))

    def _opened_read_only(self) -> sqlite3.Connection:
        self._is_read_only = True
        with database.closed_on_error(database.open_read_only(self.path)) as db:
            self._sequence.follow_unwritable(self._read_device(db))
            return db

    def _read_device(self, db: sqlite3.Connection) -> int:
        """Sets `instance` and returns the last sequence number."""
        match db.execute("SELECT instance, last_seq FROM device").fetchall():
            case [(str(instance), int(last_seq))] if (
                INSTANCE.fullmatch(instance) and 0 <= last_seq < MAX_SEQ
            ):
                self.instance, self._is_known = instance, True
                return last_seq
        raise database.CorruptError("the row of the device is damaged")

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Turns errors of SQLite into StoreError; replaces a corrupt file."""
        try:
            yield
        except (sqlite3.Error, UnicodeDecodeError) as error:
            if self._service and database.is_damage(error, opening=self._db is None):
                self._replace_file(error)
            raise database.store_error(self.path, error) from error

    def _replace_file(self, error: Exception) -> None:
        self._close()
        instance = self.instance if self._is_known else ""
        try:
            with database.disk_errors(self.path):
                done = replace_damaged(self.path, instance, self._outputs)
        except sqlite3.Error as failure:
            raise database.store_error(self.path, failure) from failure
        self.replaced += 1
        log.error("event store corrupt, a new one is made", reason=str(error), **done)

    def _pause(self, reason: str, lasted_s: float, *, writes: bool) -> None:
        """Lets a later call open the file again; until then, it can be read if it could before."""
        if self._service:
            self._is_read_only = True
            if not writes:
                self._close()
            self._reason = reason
            self._retry_at = time.monotonic() + max(RETRY_S, PAUSE * lasted_s)

    def _close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None
