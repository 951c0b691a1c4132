"""The event store: the event history and the outbox of each output, in one SQLite file."""

import json
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from plateid.core.records import OutboxEntry, PlateEvent, rfc3339
from plateid.store.database import parse_event
from plateid.store.resend import REQUESTED
from plateid.store.schema import MQTT
from plateid.store.store_file import StoreFile

INSERT_EVENT = """
    INSERT INTO event (id, pass_id, event_type, camera, plate, confidence, first_seen, list_kind,
        clock_set, payload)
    VALUES (:id, :pass_id, :event_type, :camera, :plate, :confidence, :first_seen, :list_kind,
        :clock_set, :payload)
    ON CONFLICT (id) DO NOTHING"""
PENDING = """
    SELECT payload, sent FROM delivery JOIN event USING (position)
    WHERE output = ? AND camera NOT IN (SELECT value FROM json_each(?))
    AND id NOT IN (SELECT value FROM json_each(?)) ORDER BY position LIMIT ?"""
INSERT_DELIVERIES = """
    INSERT INTO delivery (output, position, queued_at) SELECT name, ?, ? FROM output"""
OF_EVENT = " WHERE output = ? AND position = (SELECT position FROM event WHERE id = ?)"
"""An event is found by its id: after a purge, another event may have the same position."""
MARK_SENT = "UPDATE delivery SET sent = 1" + OF_EVENT  # noqa: S608 - constants
REMOVE = "DELETE FROM delivery" + OF_EVENT  # noqa: S608 - constants
INSERT_LIST_ENTRY = """
    INSERT INTO list_entry (name, position) VALUES (?, ?)
    ON CONFLICT (name) DO UPDATE SET position = excluded.position"""
TOPIC = "topic"
"""Platform of the rows that name retained topics instead of components of Home Assistant."""
LAST_SEEN = """
    SELECT name, payload ->> '$.last_seen' FROM list_entry JOIN event USING (position)
    WHERE json_valid(payload)"""


@dataclass(frozen=True)
class StoreCounts:
    """Number of stored events, and number of events in the MQTT outbox."""

    events: int
    outbox: int


class EventStore(StoreFile):
    """Events on disk, each queued for every output until that output acknowledges it."""

    def append(
        self, event: PlateEvent, *, sent: Collection[str] = (), done: Collection[str] = ()
    ) -> None:
        """Adds an event to the history and to every outbox, all or none; skips a known id.

        The outputs in `sent` may have the event, those in `done` have it. An event from before the
        clock was set has no age, or the first clock jump would make it years old.
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
            db.executemany(MARK_SENT, [(output, event.id) for output in sent])
            db.executemany(REMOVE, [(output, event.id) for output in done])

    def pending(
        self, output: str, limit: int, *, skip: Collection[str], known: Collection[str]
    ) -> list[OutboxEntry]:
        """Returns the oldest events of an outbox, without those of some cameras and ids."""
        values = (output, json.dumps([*skip]), json.dumps([*known]), limit)
        with self.locked() as db:
            rows = db.execute(PENDING, values).fetchall()
            return [
                OutboxEntry(parse_event(payload), bool(sent), requested=sent == REQUESTED)
                for payload, sent in rows
            ]

    def note_deliveries(
        self, output: str, *, sent: Iterable[str] = (), done: Iterable[str] = ()
    ) -> None:
        """Notes the ids of events that an output may have, and of those that it has."""
        with self.transaction() as db:
            db.executemany(MARK_SENT, [(output, id_) for id_ in sent])
            db.executemany(REMOVE, [(output, id_) for id_ in done])

    def note_unknown_deliveries(self) -> None:
        """Notes that each output may have all of its events."""
        with self.transaction() as db:
            db.execute("UPDATE delivery SET sent = 1")

    def last_seen(self) -> dict[str, str]:
        """Returns the time of the last stored event of each list entry, by entry name."""
        return dict(self.rows(LAST_SEEN))

    def last_seq(self) -> int:
        """Returns the sequence number of the last stored event."""
        return int(self.rows("SELECT last_seq FROM device")[0][0])

    def components(self) -> dict[str, str]:
        """Returns the platform of each component that was published to Home Assistant, by id."""
        return dict(self.rows("SELECT id, platform FROM component WHERE platform <> ?", TOPIC))

    def set_components(self, components: Mapping[str, str]) -> None:
        """Replaces what `components` returns."""
        with self.transaction() as db:
            db.execute("DELETE FROM component WHERE platform <> ?", (TOPIC,))
            db.executemany("INSERT INTO component VALUES (?, ?)", components.items())

    def topics(self) -> set[str]:
        """Returns the topics of which the broker may keep messages."""
        return {id_ for (id_,) in self.rows("SELECT id FROM component WHERE platform = ?", TOPIC)}

    def set_topics(self, topics: Collection[str]) -> None:
        """Replaces what `topics` returns."""
        with self.transaction() as db:
            db.execute("DELETE FROM component WHERE platform = ?", (TOPIC,))
            db.executemany("INSERT INTO component VALUES (?, ?)", ((t, TOPIC) for t in topics))

    def counts(self) -> StoreCounts:
        """Returns the sizes of the history and of the MQTT outbox."""
        query = """
            SELECT (SELECT count(*) FROM event),
                (SELECT count(*) FROM delivery WHERE output = ?)"""
        return StoreCounts(*self.rows(query, MQTT)[0])
