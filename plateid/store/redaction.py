"""Applies the privacy policy to stored events."""

import sqlite3
import time

from plateid.errors import StoreError
from plateid.store.event_json import parse_event
from plateid.store.event_store import EventStore
from plateid.store.privacy import PlateForm, Privacy
from plateid.store.snapshot_files import SnapshotFiles

BATCH = 200
"""Number of events per transaction, so that no other thread waits long for the store."""
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


class Redaction:
    """Hashes or drops the plates of events that no output waits for any more.

    All calls come from one thread.

    Attributes:
        log_holds_plates: Whether the write-ahead log may hold plates that the store does not.
    """

    def __init__(self, store: EventStore, privacy: Privacy) -> None:
        """Does nothing yet."""
        self.log_holds_plates = False
        self._store = store
        self._privacy = privacy
        self._snapshots = SnapshotFiles(store.path)
        self._failed_up_to = 0
        """Position before which the snapshot of an event could not be deleted; retried later."""

    def run(self, until: float) -> bool:
        """Works until done or until `time.monotonic()` is `until`; returns whether it is done.

        Raises:
            StoreError: The store or a snapshot cannot be written.
        """
        while self._privacy.hides and self._redact_batch():
            self.log_holds_plates = True
            if time.monotonic() >= until:
                return False
        if self.log_holds_plates:
            self.log_holds_plates = not self._store.empty_log()
        return True

    def _redact_batch(self) -> bool:
        """Returns whether there were any events. Those whose snapshot stays do not block others."""
        failure: StoreError | None = None
        with self._store.transaction() as db:
            rows, reached = self._next_events(db)
            for row in rows:
                try:
                    self._redact(db, row)
                except StoreError as error:
                    failure = error
                    db.execute("UPDATE event SET policy_applied = 0 WHERE position = ?", row[:1])
        self._failed_up_to = reached if failure or self._failed_up_to else 0
        if failure is not None:
            raise failure
        return bool(rows)

    def _next_events(self, db: sqlite3.Connection) -> tuple[list[Row], int]:
        """Returns new events, then those of an old policy; and the position to go on after."""
        db.execute(NEW_POLICY, (self._privacy.policy,))
        new = db.execute(NEW_EVENTS, (self._failed_up_to, BATCH)).fetchall()
        if len(new) == BATCH:
            return new, new[-1][0]
        old = db.execute(OLD_POLICY, (BATCH - len(new),)).fetchall()
        left = old[-1][0] - 1 if old else 0
        db.execute("UPDATE device SET old_policy_up_to = min(old_policy_up_to, ?)", (left,))
        return new + old, 0

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
