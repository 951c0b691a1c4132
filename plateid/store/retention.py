"""Redacts stored events as `[privacy]` demands, and deletes old ones."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime

import structlog

from plateid.backoff import Chore
from plateid.config.storage import DAY_S, RetentionConfig
from plateid.core.clock import CLOCK
from plateid.core.ids import first_id
from plateid.core.records import rfc3339
from plateid.errors import StoreError, os_errors_as
from plateid.store.audit_log import AuditLog
from plateid.store.database import parse_event
from plateid.store.event_store import EventStore
from plateid.store.privacy import PlateForm, Privacy
from plateid.store.salvage import set_aside_files
from plateid.store.sessions import Sessions
from plateid.store.side_file import Failures, LabelFile
from plateid.store.snapshot_files import FIRST_DATED_ID, SnapshotFiles

REDACT_S = 60.0
"""Interval of redaction, seconds: a plate stays at most this long after its last delivery."""
BATCH = 200
"""Number of events per transaction, so that no other thread waits long for the store."""
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
OLD = """
    SELECT position, id FROM event JOIN settled USING (position) WHERE position > ?
    AND position <= ? AND NOT (id >= ? AND id < ?) ORDER BY position LIMIT ?"""
DELETE = "DELETE FROM event WHERE position = ? AND id = ?"
NEW_POLICY = """
    UPDATE device SET privacy_policy = ?1, old_policy_up_to = CASE privacy_policy WHEN '' THEN 0
        ELSE (SELECT coalesce(max(position), 0) FROM event) END WHERE privacy_policy <> ?1"""
SETTLED = "SELECT position, id, plate_form, payload FROM event JOIN settled USING (position)"
NEW_EVENTS = f"{SETTLED} WHERE NOT policy_applied AND position > ? ORDER BY position LIMIT ?"
OLD_POLICY = f"""{SETTLED}
    WHERE policy_applied AND position <= (SELECT old_policy_up_to FROM device)
    ORDER BY position DESC LIMIT ?"""  # noqa: S608 - constants
"""Events to which another policy was applied, newest first."""
Row = tuple[int, str, PlateForm, str]
log = structlog.get_logger()


class Redaction:
    """Hashes or drops the plates of events that no output waits for any more.

    All calls come from one thread. `log_holds_plates` says that the write-ahead log may hold plates
    that the store does not.
    """

    def __init__(self, store: EventStore, privacy: Privacy) -> None:
        self.log_holds_plates = False
        self._store = store
        self._privacy = privacy
        self._snapshots = SnapshotFiles(store.path)

    def steps(self) -> Iterator[None]:
        """Works, one batch per step. What cannot be redacted, such as an event, blocks no other.

        Raises StoreError, at the end if possible, if the store or a snapshot cannot be written.
        """
        self._privacy.renew_key()
        reached, failures = 0, Failures()
        while self._privacy.hides:
            with self._store.transaction() as db:
                new, old = self._next_events(db, reached)
                for row in new + old:
                    with failures:
                        self._redact(db, row)
                        continue
                    db.execute("UPDATE event SET policy_applied = 0 WHERE position = ?", row[:1])
            if not new and not old:
                break
            reached = new[-1][0] if new else reached
            self.log_holds_plates = True
            yield
        if self.log_holds_plates:
            self.log_holds_plates = not self._store.empty_log()
        with failures:
            LabelFile(self._store.path).forget()
        with failures:
            Sessions(self._store.path).redact(self._privacy)
        failures.check()

    def _next_events(self, db: sqlite3.Connection, reached: int) -> tuple[list[Row], list[Row]]:
        """Returns new events after a position, and events of an old policy, one batch together."""
        db.execute(NEW_POLICY, (self._privacy.policy,))
        new = db.execute(NEW_EVENTS, (reached, BATCH)).fetchall()
        if len(new) == BATCH:
            return new, []
        old = db.execute(OLD_POLICY, (BATCH - len(new),)).fetchall()
        left = old[-1][0] - 1 if old else 0
        db.execute("UPDATE device SET old_policy_up_to = min(old_policy_up_to, ?)", (left,))
        return new, old

    def _redact(self, db: sqlite3.Connection, row: Row) -> None:
        position, id_, form, payload = row
        event = parse_event(payload)
        kept, kept_form = self._privacy.applied(event, form)
        if kept != event:
            self._snapshots.remove([id_], hidden=False)  # made before plates had to be hidden
            # the store must not tell when the list entry was seen
            db.execute("DELETE FROM list_entry WHERE position = ?", (position,))
        db.execute(
            "UPDATE event SET policy_applied = 1, payload = ?, plate = ?, plate_form = ?"
            " WHERE position = ?",
            (payload if kept == event else kept.to_json(), kept.plate, kept_form, position),
        )


class Retention:
    """Redacts events, and deletes the oldest, once no output waits for them; for one thread."""

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
        self._redaction = Redaction(store, privacy)
        self._snapshots = SnapshotFiles(store.path)
        self._redact = Chore("redaction", self._redaction.steps, interval_s=REDACT_S)
        self._delete = Chore("retention", self._deletion, interval_s=DAY_S)

    def check(self) -> None:
        """Does a part of what is due: redacts each minute, deletes at the start and each day."""
        self._redact.check()
        self._delete.check()

    def finish(self) -> None:
        """Redacts what was delivered until now, as far as the store allows; the last call."""
        self._redact.run()

    def _deletion(self) -> Iterator[None]:
        """Deletes old events up to a position, or later ones if the store is full.

        If the clock was wrong for a while, old positions may hold young ids, which stay. While a
        jump of the clock is not trusted, no event is old.
        """
        not_before = CLOCK.ago(self._config.events_days * DAY_S)
        old = self._last_old(first_id(not_before))
        young = first_id(not_before), first_id(time.time() + DAY_S)
        reached, deleted, failures = 0, 0, Failures()
        while rows := self._next_events(reached, old, young):
            reached = rows[-1][0]
            with self._store.transaction() as db:
                for position, id_ in rows:
                    with failures:
                        self._snapshots.remove([id_])
                        deleted += db.execute(DELETE, (position, id_)).rowcount
            self._redaction.log_holds_plates = True
            yield
        limit = rfc3339(datetime.fromtimestamp(not_before, UTC))
        with failures:
            Sessions(self._store.path).delete(lambda session: "" < session.left_at < limit)
        with os_errors_as(StoreError, self._store.path):
            aside = set_aside_files(self._store.path)
        for file in aside:
            with suppress(OSError):
                if file.stat().st_mtime < not_before:
                    file.unlink()
        with failures:
            AuditLog(self._store.path).trim()
        if deleted:
            log.info("old events deleted", events=deleted)
        failures.check()

    def _next_events(self, reached: int, old: int, young: tuple[str, str]) -> list[tuple[int, str]]:
        """Returns position and id of the next events to delete; in a full file, however young."""
        with self._store.locked() as db:
            pragmas = ("page_count", "freelist_count", "page_size")
            pages, free, size = (_number(db, f"PRAGMA {name}") for name in pragmas)
            full = (pages - free) * size > self._config.events_mb * 1e6
            last = _number(db, "SELECT coalesce(max(position), 0) FROM event") if full else old
            stay = ("", "") if full else young
            return db.execute(OLD, (reached, last, *stay, BATCH)).fetchall()

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
