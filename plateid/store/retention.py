"""How long the history is kept, and that it holds no plate longer than `[privacy]` allows."""

import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress

import structlog

from plateid.backoff import Backoff, Outage
from plateid.config.storage import DAY_S, RetentionConfig
from plateid.core.ids import first_id
from plateid.errors import StoreError
from plateid.store.database import set_aside_files
from plateid.store.event_store import EventStore
from plateid.store.labels import Labels
from plateid.store.privacy import Privacy
from plateid.store.redaction import Redaction
from plateid.store.snapshot_files import FIRST_DATED_ID, SnapshotFiles

REDACT_S = 60.0
"""Interval of redaction, seconds: a plate stays at most this long after its last delivery."""
STEP_S = 0.2
"""Longest time of one call, seconds, so that no other thread waits long for the store."""
BATCH = 200
"""Number of events per transaction."""
LAST_OLD = "SELECT coalesce(max(position), 0) FROM event WHERE clock_set = 1 AND id < ?"
"""Finds the last old event. An id holds the time at which its event was stored.

An event from before the clock was set has no age and goes with the events that follow it.
"""
LAST_OLD_UNSET = """
    SELECT coalesce(max(position), 0) FROM event WHERE clock_set = 0 AND id >= ? AND id < ?
    AND position > (SELECT coalesce(max(position), 0) FROM event WHERE clock_set)"""
"""Finds the last old event of a device whose clock is never set, as without a network.

The device's own clock counts then, unless it still shows the year of its manufacture.
"""
log = structlog.get_logger()


class Retention:
    """Redacts events, and deletes the oldest ones, once no output waits for them.

    All calls come from one thread.
    """

    def __init__(
        self,
        config: RetentionConfig,
        store: EventStore,
        privacy: Privacy,
        clock_synced: Callable[[], bool | None] = lambda: None,
    ) -> None:
        """Does nothing yet; `clock_synced` tells whether a time service sets the clock."""
        self._config = config
        self._clock_synced = clock_synced
        self._store = store
        self._privacy = privacy
        self._redaction = Redaction(store, privacy)
        self._snapshots = SnapshotFiles(store.path)
        self._labels = Labels(store.path)
        self._redact_at = self._delete_at = 0.0
        self._failed_up_to = 0  # position before which a snapshot could not be deleted
        self._deleted = 0
        self._outage = Outage("retention", Backoff())

    def check(self) -> None:
        """Does a part of what is due: redacts each minute, deletes at the start and each day."""
        if self._outage.wait_s:
            return
        failure: StoreError | None = None
        for due_at, work in ((self._redact_at, self._redact), (self._delete_at, self._delete)):
            try:
                if time.monotonic() >= due_at:
                    work(time.monotonic() + STEP_S)
            except StoreError as error:
                failure = error
        if failure is None:
            self._outage.recovered()
        else:
            self._outage.failed(failure)

    def finish(self) -> None:
        """Redacts what was delivered until now, as far as the store allows; the last call."""
        with suppress(StoreError):
            self._redact(time.monotonic() + STEP_S)

    def _redact(self, until: float) -> None:
        self._privacy.renew_key()
        if not self._redaction.run(until):
            return
        self._redact_at = time.monotonic() + REDACT_S
        self._labels.forget()

    def _delete(self, until: float) -> None:
        not_before = time.time() - self._config.events_days * DAY_S
        old = self._last_old(first_id(not_before))
        young = first_id(not_before), first_id(time.time() + DAY_S)
        while deleted := self._delete_batch(old, young):
            self._deleted += deleted
            if time.monotonic() >= until:
                return
        self._delete_at = time.monotonic() + DAY_S
        for file in set_aside_files(self._store.path):
            with suppress(OSError):
                if file.stat().st_mtime < not_before:
                    file.unlink()
        if self._deleted:
            log.info("old events deleted", events=self._deleted)
            self._deleted, self._redact_at = 0, 0.0
            self._redaction.log_holds_plates = True

    def _delete_batch(self, old: int, young: tuple[str, str]) -> int:
        """Deletes events up to position `old`, or later ones if the store is full.

        If the clock was wrong for a while, old positions may hold young ids: those from `young[0]`
        on and before `young[1]` stay.
        """
        failure: StoreError | None = None
        with self._store.transaction() as db:
            full = self._is_full(db)
            last = _number(db, "SELECT coalesce(max(position), 0) FROM event") if full else old
            stay = ("", "") if full else young
            rows = db.execute(
                "SELECT position, id FROM event JOIN settled USING (position) WHERE position > ?"
                " AND position <= ? AND NOT (id >= ? AND id < ?) ORDER BY position LIMIT ?",
                (self._failed_up_to, last, *stay, BATCH),
            ).fetchall()
            reached = rows[-1][0] if len(rows) == BATCH else 0
            for position, id_ in rows:
                try:
                    self._snapshots.remove([id_])
                except StoreError as error:
                    failure = error
                else:
                    db.execute("DELETE FROM event WHERE position = ?", (position,))
        self._failed_up_to = reached if failure or self._failed_up_to else 0
        if failure is not None:
            raise failure
        return len(rows)

    def _is_full(self, db: sqlite3.Connection) -> bool:
        """Returns whether the file is too large: then the oldest events go, however young."""
        pragmas = ("page_count", "freelist_count", "page_size")
        pages, free, size = (_number(db, f"PRAGMA {name}") for name in pragmas)
        return (pages - free) * size > self._config.events_mb * 1e6

    def _last_old(self, not_before: str) -> int:
        """Returns the position of the last old event; 0 if there is none."""
        ((last,),) = self._store.rows(LAST_OLD, not_before)
        if self._clock_synced() is False:
            ((unset,),) = self._store.rows(LAST_OLD_UNSET, FIRST_DATED_ID, not_before)
            last = max(last, unset)
        return int(last)


def _number(db: sqlite3.Connection, query: str) -> int:
    """Returns the first column of the first row."""
    return int(db.execute(query).fetchone()[0])
