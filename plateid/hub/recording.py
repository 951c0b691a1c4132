"""Stores a batch of events in one transaction, with their sequence numbers and refusals."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any

import psycopg
import structlog

from plateid.config.hub import DatabaseConfig
from plateid.errors import StoreError
from plateid.hub.database import (
    connect,
    database_errors,
    make_partitions,
    month_of,
    months_ahead,
)
from plateid.hub.messages import Event, Message

SAMPLE_BYTES = 1000
"""Number of bytes that the quarantine keeps of the last message of its kind."""
INSTANCE_LOCK = 0x504C4900
"""First key of the advisory locks that number the running hubs."""
MAX_HUBS = 1000
"""Maximum number of hubs on one database."""
COLUMNS = [field.name for field in fields(Event)]
INSERT = (
    f"INSERT INTO event ({', '.join(COLUMNS)})"  # noqa: S608 - names of a class
    f" VALUES ({', '.join(f'%({name})s' for name in COLUMNS)}) ON CONFLICT DO NOTHING"
)
INSERT_SEQUENCE = """
    INSERT INTO sequence (device, epoch, seen) VALUES (%s, %s, %s::int8multirange)
    ON CONFLICT (device, epoch) DO UPDATE SET seen = sequence.seen + excluded.seen"""
INSERT_DEVICE = """
    INSERT INTO device (name, last_event_at) VALUES (%s, %s) ON CONFLICT (name) DO UPDATE
    SET last_event_at = greatest(device.last_event_at, excluded.last_event_at)"""
INSERT_HEALTH = """
    INSERT INTO device (name, health, health_at) VALUES (%s, %s, now())
    ON CONFLICT (name) DO UPDATE SET health = excluded.health, health_at = excluded.health_at"""
INSERT_LAST = """
    INSERT INTO sequence (device, epoch, seen, last) VALUES (%s, %s, '{}', %s)
    ON CONFLICT (device, epoch) DO UPDATE SET last = greatest(sequence.last, excluded.last)"""
QUARANTINE = """
    INSERT INTO quarantine (device, reason, messages, topic, sample) VALUES (%s, %s, %s, %s, %s)
    ON CONFLICT (device, reason) DO UPDATE SET messages = quarantine.messages + excluded.messages,
        last_at = now(), topic = excluded.topic, sample = excluded.sample"""
log = structlog.get_logger()


@dataclass(frozen=True)
class Refusal:
    """A message that is not stored as an event, and why."""

    message: Message
    reason: str


@dataclass
class Batch:
    """What one transaction stores. Health reports are by device."""

    events: list[tuple[Message, Event]]
    refusals: list[Refusal]
    health: dict[str, tuple[str, int]]  # report as JSON, last sequence number


class Recorder:
    """Stores batches; connects again after a failure. Every method may raise StoreError.

    `instance` is the lowest number from 1 that no other hub of this database has.
    """

    def __init__(self, config: DatabaseConfig) -> None:
        self._config = config
        self._db: psycopg.Connection | None = None
        self._months: set[datetime] = set()
        self.instance = 0

    def open(self) -> psycopg.Connection:
        """Returns the connection, made anew if there is none."""
        if self._db is None:
            db = connect(self._config, purpose="ingest")
            with database_errors(self._config):
                self.instance = self._take_instance(db)
            self._months.clear()
            self._db = db
        return self._db

    def store(self, batch: Batch) -> Counter[str]:
        """Stores a batch, all or nothing; counts what became of it."""
        try:
            with database_errors(self._config):
                return self._store(self.open(), batch)
        except StoreError:
            self.close()
            raise

    def close(self) -> None:
        """Closes the connection."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def _take_instance(self, db: psycopg.Connection) -> int:
        """Takes the number of before, or the lowest free one."""
        numbers = [self.instance] if self.instance else range(1, MAX_HUBS + 1)
        for number in numbers:
            query = "SELECT pg_try_advisory_lock(%s, %s)"
            if db.execute(query, (INSTANCE_LOCK, number)).fetchone() == (True,):
                return number
        raise StoreError(self._config.endpoint, "too many hubs, or one that has just ended")

    def _store(self, db: psycopg.Connection, batch: Batch) -> Counter[str]:
        months = {month_of(event.first_seen) for _, event in batch.events} - self._months
        months |= {*months_ahead(datetime.now(UTC))} - self._months
        if months:
            make_partitions(db, sorted(months))
            self._months |= months
        try:
            return self._store_all(db, batch)
        except psycopg.DataError:
            return self._store_each(db, batch)

    def _store_each(self, db: psycopg.Connection, batch: Batch) -> Counter[str]:
        """Stores events one by one, as PostgreSQL refuses the value of one of them."""
        counts = self._store_all(db, Batch([], batch.refusals, {}))
        for message, event in batch.events:
            try:
                counts += self._store_all(db, Batch([(message, event)], [], {}))
            except psycopg.DataError as error:
                reason = f"PostgreSQL refuses it: {error.diag.message_primary}"
                counts += self._store_all(db, Batch([], [Refusal(message, reason)], {}))
        return counts

    def _store_all(self, db: psycopg.Connection, batch: Batch) -> Counter[str]:
        """Stores in the order of keys, so that two hubs cannot block each other."""
        with db.transaction(), db.cursor() as cursor:
            known = _known(cursor, [event.id for _, event in batch.events])
            new, refusals = dict[str, Event](), [*batch.refusals]
            for message, event in batch.events:
                same = known.setdefault(event.id, (event.device, event.first_seen))
                if same != (event.device, event.first_seen):
                    refusals.append(Refusal(message, "the id is that of another event"))
                else:
                    new[event.id] = event
            stored = [vars(new[id_]) for id_ in sorted(new)]
            cursor.executemany(INSERT, stored)
            inserted = max(0, cursor.rowcount)
            cursor.executemany(INSERT_SEQUENCE, sorted(_ranges(new.values())))
            last_events = {event.device: event.first_seen for event in new.values()}
            cursor.executemany(INSERT_DEVICE, sorted(last_events.items()))
            _store_health(cursor, batch.health)
            cursor.executemany(QUARANTINE, _counted(refusals))
        return Counter(
            stored=inserted, known=len(batch.events) - inserted, quarantined=len(refusals)
        )


def _known(cursor: psycopg.Cursor[Any], ids: Sequence[str]) -> dict[str, tuple[str, datetime]]:
    query = "SELECT id::text, device, first_seen FROM event WHERE id = ANY(%s::uuid[])"
    return {id_: (device, at) for id_, device, at in cursor.execute(query, (ids,))} if ids else {}


def _store_health(cursor: psycopg.Cursor[Any], health: dict[str, tuple[str, int]]) -> None:
    devices = sorted(health.items())
    cursor.executemany(INSERT_HEALTH, [(device, report) for device, (report, _) in devices])
    lasts = [(device, *divmod(last, 1 << 32)) for device, (_, last) in devices if last]
    cursor.executemany(INSERT_LAST, lasts)


def _ranges(events: Iterable[Event]) -> list[tuple[str, int, str]]:
    """Returns the counters of each device and epoch as a multirange; foreign reads have none."""
    counters = defaultdict[tuple[str, int], list[int]](list)
    for event in events:
        if event.seq:
            counters[event.device, event.epoch].append(event.counter)
    return [
        (device, epoch, f"{{{','.join(f'[{n},{n}]' for n in sorted(numbers))}}}")
        for (device, epoch), numbers in counters.items()
    ]


def _counted(refusals: Iterable[Refusal]) -> list[tuple[object, ...]]:
    counts, last = Counter[tuple[str, str]](), dict[tuple[str, str], Message]()
    for refusal in refusals:
        key = refusal.message.device, refusal.reason
        counts[key] += 1
        last[key] = refusal.message
    return [
        (*key, counts[key], last[key].topic[:200], last[key].payload[:SAMPLE_BYTES])
        for key in sorted(counts)
    ]
