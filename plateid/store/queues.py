"""What the sinks beside MQTT have not taken yet, in the event store's own file."""

import sqlite3
import threading
from collections.abc import Callable, Iterable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plateid.errors import StoreError, reason_of
from plateid.store.database import CorruptError

BUSY_S = 2.0


@dataclass(frozen=True)
class Queued:
    """An event that waits for a sink.

    Attributes:
        position: In the store.
        payload: JSON as it was appended.
        sent: Whether the sink may have got it before.
    """

    position: int
    id: str
    payload: str
    sent: bool


class Queues:
    """One queue for each sink. May be used from any thread; each method may raise StoreError."""

    def __init__(
        self,
        path: Path,
        names: Iterable[str],
        *,
        failed: Callable[[sqlite3.Error, int], object] = lambda *_: None,
    ) -> None:
        """Uses the file of an EventStore that is open; what waits for other sinks is forgotten.

        `failed` is told of errors with the file's inode; it may put a new file in the place.

        Raises:
            StoreError: The file cannot be used.
        """
        self._path = path
        self._failed = failed
        self._names = set(names)
        self._lock = threading.Lock()
        try:
            inode = path.stat().st_ino
            try:
                self._file, self._db = self._open()
            except sqlite3.Error as error:
                failed(error, inode)
                self._file, self._db = self._open()
        except (OSError, sqlite3.Error) as error:
            raise StoreError(path, reason_of(error)) from error

    def first(self, name: str) -> Queued | None:
        """The oldest event that waits for a sink."""
        rows = self._run(
            "SELECT position, id, payload, sent, json_valid(payload) FROM sink_outbox"
            " JOIN event USING (position) WHERE sink = ? ORDER BY position LIMIT 1",
            name,
        )
        for position, id_, payload, sent, valid in rows:
            if not valid:
                error = CorruptError("the outbox holds something else than events")
                self._failed(error, self._file)
                raise StoreError(self._path, error)
            return Queued(position, id_, payload, bool(sent))
        return None

    def mark_sent(self, name: str, queued: Queued) -> None:
        """Notes, before it is sent, that the sink may have the event from now on."""
        self._change("UPDATE sink_outbox SET sent = 1", name, queued)

    def remove(self, name: str, queued: Queued) -> None:
        """The sink has the event, or will never take it."""
        self._change("DELETE FROM sink_outbox", name, queued)

    def trim(self, name: str, max_events: int, not_before: float) -> int:
        """Takes out the oldest that are too many, and those that wait since before `not_before`.

        Returns:
            How many were taken out; the history keeps them.
        """
        rows = self._run(
            "DELETE FROM sink_outbox WHERE sink = ?1 AND (queued_at < ?2 OR position <= ("
            " SELECT position FROM sink_outbox WHERE sink = ?1"
            " ORDER BY position DESC LIMIT 1 OFFSET ?3)) RETURNING position",
            *(name, not_before, max_events),
        )
        return len(rows)

    def lengths(self) -> dict[str, int]:
        """How many events wait for each sink."""
        query = (
            "SELECT name, count(position) FROM sink LEFT JOIN sink_outbox ON sink = name GROUP BY 1"
        )
        return dict(self._run(query))

    def close(self) -> None:
        """Closes the file; each later call raises StoreError."""
        with self._lock:
            self._db.close()

    def _open(self) -> tuple[int, sqlite3.Connection]:
        """The file's inode, and a connection that knows the sinks."""
        file = self._path.stat().st_ino
        with ExitStack() as stack:
            db = sqlite3.connect(
                self._path, timeout=BUSY_S, isolation_level=None, check_same_thread=False
            )
            stack.enter_context(closing(db))
            for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON"):
                db.execute(f"PRAGMA {pragma}")
            known = {name for (name,) in db.execute("SELECT name FROM sink")}
            gone, new = known - self._names, self._names - known
            db.executemany("DELETE FROM sink WHERE name = ?", [(name,) for name in gone])
            db.executemany("INSERT INTO sink VALUES (?)", [(name,) for name in new])
            stack.pop_all()
            return file, db

    def _follow(self) -> None:
        """The store may have made a new file: all that is in there waits for all sinks."""
        if self._path.stat().st_ino == self._file:
            return
        file, db = self._open()
        db.execute(
            "INSERT OR IGNORE INTO sink_outbox (sink, position) SELECT name, position"
            " FROM sink JOIN event"
        )
        self._db.close()
        self._file, self._db = file, db

    def _change(self, statement: str, name: str, queued: Queued) -> None:
        """By its id: its position may be that of another event, once it was deleted."""
        where = " WHERE sink = ? AND position = (SELECT position FROM event WHERE id = ?)"
        self._run(statement + where, name, queued.id)

    def _run(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with self._lock:
            try:
                self._follow()
                return self._db.execute(statement, values).fetchall()
            except (OSError, sqlite3.Error) as error:
                if isinstance(error, sqlite3.Error):
                    self._failed(error, self._file)
                raise StoreError(self._path, reason_of(error)) from error
