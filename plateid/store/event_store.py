"""The event store: one SQLite file that holds the history and the outbox."""

import itertools
import json
import sqlite3
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from plateid.core.records import PlateEvent, rfc3339
from plateid.errors import StoreError
from plateid.store.database import BUSY_S, CorruptError, is_corrupt, open_database, set_aside

INSERT = """
    INSERT INTO event (id, pass_id, event_type, camera, plate, confidence, first_seen, payload)
    VALUES (:id, :pass_id, :event_type, :camera, :plate, :confidence, :first_seen, :payload)
    ON CONFLICT (id) DO NOTHING"""
LAST = """
    INSERT INTO listed (name, position) VALUES (?, ?)
    ON CONFLICT (name) DO UPDATE SET position = excluded.position"""
TOLD = 2000
"""Of so many events at most, `last_told` tells."""
log = structlog.get_logger()


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


@dataclass(frozen=True)
class Outbox:
    """What waits for the broker.

    Attributes:
        events: How many.
        since: When the oldest began to wait, as `time.time()`; None where no clock knew.
    """

    events: int
    since: float | None


class EventStore:
    """Events on disk, each with its place in the outbox until the broker acknowledges it.

    Every method may be called from any thread. Those that touch the file raise StoreError where it
    cannot be read or written; nothing has changed then, and the store stays usable.

    What leaves the outbox stays in the history. Whoever deletes history has to leave alone, or to
    take along, what is in the outbox: it holds positions, not events.

    Attributes:
        path: The file.
        instance: Eight random hex digits, made with the file.
        replaced: How often a corrupt file made room for a new one.
    """

    def __init__(
        self, path: Path, *, replaces_corrupt: bool = False, busy_s: float = BUSY_S
    ) -> None:
        """Opens or creates the store, and brings an older layout up to date.

        With `replaces_corrupt`, which is for the one process that writes, a file that turns out to
        be corrupt, now or later, is renamed (`.corrupt`) and a new one made. For another process
        that writes, each call waits up to `busy_s`.

        Raises:
            StoreError: The file or its folder cannot be used, or a newer plateid made it.
        """
        self.path = path
        self.instance = ""
        self.replaced = 0
        self._replaces_corrupt = replaces_corrupt
        self._busy_s = busy_s
        self._lock = threading.Lock()
        self._db: sqlite3.Connection | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(path, error.strerror) from error
        try:
            last_seq = self._read_box()
        except StoreError:
            if not self.replaced:
                raise
            last_seq = self._read_box()
        self._seq = itertools.count(last_seq + 1)

    def append(self, event: PlateEvent) -> None:
        """Adds an event to the history and the outbox, both or none; a known id is left alone.

        An event from before the clock was set has no age: the first jump would make it years old.
        """
        columns = {"first_seen": rfc3339(event.first_seen), "payload": event.to_json()}
        with self.transaction() as db:
            added = db.execute(INSERT, vars(event) | columns)
            if added.rowcount:
                row = added.lastrowid, None if event.clock_synced is False else time.time()
                db.execute("INSERT INTO outbox (position, queued_at) VALUES (?, ?)", row)
                db.execute("UPDATE box SET last_seq = max(last_seq, ?)", (event.seq,))
                if event.list is not None:
                    db.execute(LAST, (event.list.name, added.lastrowid))

    def pending(self, limit: int, *, skip: Collection[str] = ()) -> list[Outgoing]:
        """The oldest events of the outbox, in order, without those of the cameras in `skip`."""
        query = (
            "SELECT id, camera, payload, sent, json_valid(payload) FROM outbox"
            " JOIN event USING (position) WHERE camera NOT IN (SELECT value FROM json_each(?))"
            " ORDER BY position LIMIT ?"
        )
        with self.locked() as db:
            rows = db.execute(query, (json.dumps([*skip]), limit)).fetchall()
            if not all(valid for *_, valid in rows):
                raise CorruptError("the outbox holds something else than events")
        return [Outgoing(id_, camera, text, bool(sent)) for id_, camera, text, sent, _ in rows]

    def mark_sent(self, ids: Iterable[str]) -> None:
        """Notes, before they are sent, that these events may reach the broker from now on."""
        self._for_each("UPDATE outbox SET sent = 1", ids)

    def acknowledge(self, ids: Iterable[str]) -> None:
        """Takes events that the broker has out of the outbox; the history keeps them."""
        self._for_each("DELETE FROM outbox", ids)

    def outbox(self) -> Outbox:
        """What waits for the broker."""
        return Outbox(*self._rows("SELECT count(*), min(queued_at) FROM outbox")[0])

    def trim_outbox(self, max_events: int, not_before: float) -> int:
        """Takes the oldest events out of the outbox; the history keeps them.

        Args:
            max_events: So many may stay.
            not_before: Those that wait since before this `time.time()` may not.

        Returns:
            How many were taken out.
        """
        with self.transaction() as db:
            aged = db.execute("DELETE FROM outbox WHERE queued_at < ?", (not_before,))
            excess = db.execute(
                "DELETE FROM outbox WHERE position IN (SELECT position FROM outbox"
                " ORDER BY position LIMIT max(0, (SELECT count(*) FROM outbox) - ?))",
                (max_events,),
            )
        return aged.rowcount + excess.rowcount

    def last_seen(self) -> dict[str, str]:
        """When each entry of the lists, by its name, was seen last, as far as history knows."""
        query = "SELECT name, payload ->> '$.last_seen' FROM listed JOIN event USING (position)"
        return dict(self._rows(query))

    def last_told(self, *, open_since: str, left_since: str) -> list[str]:
        """What was told last of each pass, as JSON, in their order.

        Only of the last `TOLD` events: to a clock that is behind, the whole history is young. Of
        what `Retention` has treated, the plate may no longer be the plate.

        Args:
            open_since: Least id where that is no `plate_left`.
            left_since: Least id of the last stop that ended it, or found it there still, where it
                is one.
        """
        query = """
            SELECT payload FROM event
            WHERE position IN (
                SELECT max(position) FROM event
                WHERE position > (SELECT max(position) FROM event) - ? AND +id >= ?
                GROUP BY pass_id
            ) AND (
                event_type <> 'plate_left'
                OR pass_id IN (SELECT pass_id FROM standing WHERE stopped >= ?)
            ) ORDER BY position"""
        rows = self._rows(query, [TOLD, open_since, left_since])
        return [payload for (payload,) in rows]

    def set_standing(self, passes: Iterable[str], *, stopped: str) -> None:
        """Notes, in the place of those before, the passes that a stop ends, or finds there still.

        Args:
            passes: Their ids.
            stopped: Least id of an event from now on.
        """
        rows = [(pass_id, stopped) for pass_id in passes]
        with self.transaction() as db:
            db.execute("DELETE FROM standing")
            db.executemany("INSERT OR IGNORE INTO standing VALUES (?, ?)", rows)

    def announced(self) -> dict[str, str]:
        """The components that Home Assistant was told of, with their platforms."""
        return dict(self._rows("SELECT component, platform FROM announced"))

    def set_announced(self, components: Mapping[str, str]) -> None:
        """Replaces what `announced` gives."""
        with self.transaction() as db:
            db.execute("DELETE FROM announced")
            db.executemany("INSERT INTO announced VALUES (?, ?)", components.items())

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

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """The connection, for changes that are made together or not at all."""
        with self.locked() as db:
            try:
                db.execute("BEGIN IMMEDIATE")
                yield db
                db.execute("COMMIT")
            finally:
                db.rollback()

    @contextmanager
    def locked(self) -> Iterator[sqlite3.Connection]:
        """The connection, which nobody else of this process uses meanwhile."""
        with self._lock:
            try:
                yield self._opened()
            except sqlite3.Error as error:
                if self._replaces_corrupt and is_corrupt(error):
                    self._replace(error)
                raise StoreError(self.path, error) from error

    def found_corrupt(self, error: sqlite3.Error, inode: int) -> None:
        """Another connection to this file failed: if it is corrupt, it makes room for a new one."""
        with self._lock:
            if self._replaces_corrupt and is_corrupt(error) and _inode(self.path) == inode:
                self._replace(error)
                with suppress(sqlite3.Error):  # else it is made as soon as the disk allows it
                    self._opened()

    def close(self) -> None:
        """Closes the file; each later call raises StoreError."""
        with self.locked() as db:
            db.close()

    def _read_box(self) -> int:
        """Sets `instance`, and gives the last sequence number."""
        with self.locked() as db:
            last_seq: int
            self.instance, last_seq = db.execute("SELECT instance, last_seq FROM box").fetchone()
            return last_seq

    def _for_each(self, change: str, ids: Iterable[str]) -> None:
        where = " WHERE position = (SELECT position FROM event WHERE id = ?)"
        with self.transaction() as db:
            db.executemany(change + where, [(id_,) for id_ in ids])

    def _rows(self, query: str, values: Iterable[object] = ()) -> list[tuple[Any, ...]]:
        with self.locked() as db:
            return db.execute(query, tuple(values)).fetchall()

    def _opened(self) -> sqlite3.Connection:
        """A file that replaces another one is made here, as soon as the disk allows it."""
        if self._db is None:
            self._db = open_database(self.path, instance=self.instance, busy_s=self._busy_s)
        return self._db

    def _replace(self, error: sqlite3.Error) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None
        try:
            aside = set_aside(self.path)
        except OSError as failure:
            raise StoreError(self.path, failure.strerror) from failure
        self.replaced += 1
        log.error("event store corrupt, a new one is made", set_aside=str(aside), reason=str(error))


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except OSError:
        return None
