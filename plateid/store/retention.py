"""How long the history is kept, and that plates do not stay in it that may not."""

import sqlite3
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import structlog

from plateid.backoff import Backoff, Outage
from plateid.config.storage import RetentionConfig
from plateid.core.ids import first_id
from plateid.errors import StoreError
from plateid.store.database import CorruptError
from plateid.store.event_store import EventStore
from plateid.store.overflow import DAY_S
from plateid.store.privacy import Privacy
from plateid.store.snapshot_files import CLOCKS_ARE_SET, Album

TREAT_S = 60.0
"""So long, at most, does a plate that may not stay outlast the last of those who wait for it."""
STEP_S = 0.2
"""The longest that one call works on, so that it keeps nobody waiting."""
BATCH = 200
NEW_POLICY = """
    UPDATE box SET privacy = ?1, treated_before = CASE privacy WHEN '' THEN 0
        ELSE (SELECT coalesce(max(position), 0) FROM event) END WHERE privacy <> ?1"""
SETTLED = """
    SELECT position, id, payload, json_valid(payload) FROM event JOIN settled USING (position)"""
UNTREATED = f"{SETTLED} WHERE NOT treated AND position > ? ORDER BY position LIMIT ?"
TREATED_BEFORE = f"""{SETTLED}
    WHERE treated AND position <= (SELECT treated_before FROM box)
    ORDER BY position DESC LIMIT ?"""  # noqa: S608 - constants
OLD = """
    SELECT count(*), max(id), max(CASE WHEN
        instr(payload, '"clock_synced":false') = 0
        OR :unset AND id >= :set AND position > (
            SELECT coalesce(max(position), 0) FROM event
            WHERE instr(payload, '"clock_synced":false') = 0)
    THEN position END) FROM (
        SELECT id, position, payload FROM event
        WHERE id > :after AND id < :not_before ORDER BY id LIMIT :batch)"""
"""What is from before the clock was set has no age: it goes with what came after it. Where no clock
is ever set, as on a box without a network, its own is believed, unless it is one of the factory."""
log = structlog.get_logger()


class Retention:
    """Treats events by `[privacy]` once nobody waits for them, and deletes the oldest ones.

    What waits for the broker or for another sink stays as it is: the outbox has bounds of its own.
    All calls come from one thread.
    """

    def __init__(
        self,
        config: RetentionConfig,
        store: EventStore,
        privacy: Privacy,
        clock_synced: Callable[[], bool | None] = lambda: None,
    ) -> None:
        """Does nothing yet."""
        self._config = config
        self._clock_synced = clock_synced
        self._store = store
        self._privacy = privacy
        self._album = Album(store.path)
        self._treat_at = self._sweep_at = 0.0
        self._treated_to = self._deleted_to = 0  # since a picture before that cannot be deleted
        self._old: int | None = None
        self._looked_to, self._found = "", 0  # an id, and what is to be `_old`
        self._replaced = store.replaced
        self._deleted = 0
        self._traces = False
        self._outage = Outage("retention", Backoff())

    def check(self) -> None:
        """Does some of what is due: plates each minute, deletions at the start and each day."""
        if self._outage.wait_s:
            return
        if self._replaced != self._store.replaced:  # positions of another file
            self._replaced = self._store.replaced
            self._old, self._looked_to, self._found = None, "", 0
        failure: StoreError | None = None
        for due_at, work in ((self._treat_at, self._treat), (self._sweep_at, self._sweep)):
            try:
                if time.monotonic() >= due_at:
                    work(time.monotonic() + STEP_S)
            except StoreError as error:
                failure, self._old = error, None
        if failure is None:
            self._outage.recovered()
        else:
            self._outage.failed(failure)

    def finish(self) -> None:
        """The last call: treats what was sent until now, as far as the store allows."""
        with suppress(StoreError):
            self._treat(time.monotonic() + STEP_S)

    def _treat(self, until: float) -> None:
        self._privacy.renew_key()
        while self._privacy.hides and self._treat_some():
            self._traces = True
            if time.monotonic() >= until:
                return
        self._treat_at = time.monotonic() + TREAT_S
        if self._traces:  # the write-ahead log has the plates still
            self._traces = not emptied_log(self._store)

    def _treat_some(self) -> bool:
        """Whether there were any; those whose pictures cannot be deleted wait, others do not."""
        failure: StoreError | None = None
        with self._store.transaction() as db:
            db.execute(NEW_POLICY, (self._privacy.policy,))
            rows = db.execute(UNTREATED, (self._treated_to, BATCH)).fetchall()
            reached = rows[-1][0] if len(rows) == BATCH else 0
            if len(rows) < BATCH:
                before = db.execute(TREATED_BEFORE, (BATCH - len(rows),)).fetchall()
                rest = before[-1][0] - 1 if before else 0
                db.execute("UPDATE box SET treated_before = ?1 WHERE treated_before > ?1", (rest,))
                rows += before
            for position, id_, payload, valid in rows:
                if not valid:
                    raise CorruptError("the history holds something else than events")
                kept = self._privacy.payload(payload)
                try:
                    if kept != payload:  # its picture is from before the plates had to be hidden
                        self._album.remove([id_], hidden=False)
                except StoreError as error:
                    failure = error
                    db.execute("UPDATE event SET treated = 0 WHERE position = ?", (position,))
                else:
                    _replace(db, position, payload, kept)
        self._treated_to = reached if failure or self._treated_to else 0
        if failure is not None:
            raise failure
        return bool(rows)

    def _sweep(self, until: float) -> None:
        not_before = time.time() - self._config.events_days * DAY_S
        if self._old is None and not self._look_for_old(not_before, until):
            return
        young = first_id(not_before), first_id(time.time() + DAY_S)
        while deleted := self._delete_some(self._old or 0, young):
            self._deleted += deleted
            if time.monotonic() >= until:
                return
        self._old = None
        self._sweep_at = time.monotonic() + DAY_S
        for file in set_aside_files(self._store.path):
            with suppress(OSError):
                if file.stat().st_mtime < not_before:
                    file.unlink()
        if self._deleted:
            log.info("old events deleted", events=self._deleted)
            self._deleted, self._traces = 0, True
            self._treat_at = 0.0

    def _delete_some(self, old: int, young: tuple[str, str]) -> int:
        """How many of those up to position `old`, or later where the store is full; a batch.

        A clock that was wrong for a while may have put what looks old after ids that are young,
        from the first on to before the second: these stay.
        """
        failure: StoreError | None = None
        with self._store.transaction() as db:
            full = self._is_full(db)
            last = (_number(db, "SELECT max(position) FROM event") or 0) if full else old
            stay = ("", "") if full else young
            rows = db.execute(
                "SELECT position, id FROM event JOIN settled USING (position) WHERE position > ?"
                " AND position <= ? AND NOT (id >= ? AND id < ?) ORDER BY position LIMIT ?",
                (self._deleted_to, last, *stay, BATCH),
            ).fetchall()
            reached = rows[-1][0] if len(rows) == BATCH else 0
            for position, id_ in rows:
                try:
                    self._album.remove([id_])
                except StoreError as error:
                    failure = error
                else:
                    db.execute("DELETE FROM event WHERE position = ?", (position,))
        self._deleted_to = reached if failure or self._deleted_to else 0
        if failure is not None:
            raise failure
        return len(rows)

    def _is_full(self, db: sqlite3.Connection) -> bool:
        """Whether there are too many events: then the oldest go, however young."""
        pragmas = ("page_count", "freelist_count", "page_size")
        pages, free, size = (_number(db, f"PRAGMA {name}") or 0 for name in pragmas)
        return (pages - free) * size > self._config.events_mb * 1e6

    def _look_for_old(self, not_before: float, until: float) -> bool:
        """Notes the latest old event, by when it was stored, as its id says; whether it is done."""
        ids = {"not_before": first_id(not_before), "set": CLOCKS_ARE_SET, "batch": BATCH}
        unset = self._clock_synced() is False
        while True:
            with self._store.locked() as db:
                values = {**ids, "unset": unset, "after": self._looked_to}
                count, last, position = db.execute(OLD, values).fetchone()
            self._found = max(self._found, position or 0)
            if count < BATCH:
                self._old, self._looked_to, self._found = self._found, "", 0
                return True
            self._looked_to = last
            if time.monotonic() >= until:
                return False


def emptied_log(store: EventStore) -> bool:
    """Moves the write-ahead log into the file and empties it; False while somebody reads it."""
    with store.locked() as db:
        return not _number(db, "PRAGMA wal_checkpoint(TRUNCATE)")


def set_aside_files(store: Path) -> list[Path]:
    """Corrupt stores that were set aside: nobody can tell what is in there."""
    files = (store.with_name(f"{store.name}.corrupt{ending}") for ending in ("", "-wal"))
    return [file for file in files if file.exists()]


def _replace(db: sqlite3.Connection, position: int, payload: str, kept: str) -> None:
    """A list's entry whose name is not kept was not seen, as far as anybody can tell."""
    db.execute(
        "UPDATE event SET treated = 1, payload = ?1, plate = ?1 ->> '$.plate' WHERE position = ?2",
        (kept, position),
    )
    if kept != payload:
        db.execute("DELETE FROM listed WHERE position = ?", (position,))


def _number(
    db: sqlite3.Connection, query: str, values: Mapping[str, object] | None = None
) -> int | None:
    """The first column of the first row."""
    number: int | None = db.execute(query, values or {}).fetchone()[0]
    return number
