"""Applies the privacy policy to stored events."""

import sqlite3
from collections.abc import Iterator

from plateid.store.database import parse_event
from plateid.store.event_store import EventStore
from plateid.store.privacy import PlateForm, Privacy
from plateid.store.sessions import Sessions
from plateid.store.side_file import Failures, LabelFile
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
