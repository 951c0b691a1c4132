"""Stores a batch of events in one transaction, with their sequence numbers and refusals."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

import psycopg

from plateid.config.hub import DatabaseConfig
from plateid.errors import StoreError
from plateid.hub.database import connect, database_errors, make_partitions
from plateid.hub.messages import Event, Health, Message
from plateid.store.sequence import COUNTERS

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
NOTE_SEQUENCE = "SELECT note_sequence(%s, %s, %s::int8multirange, %s)"
NOTE_DEVICE = "SELECT note_device(%(name)s, %(at)s, %(health)s)"
NOTE_REFUSAL = "SELECT note_refusal(%s, %s, %s, %s, %s)"
Accepted = tuple[Message, Event | Health]
Refusal = tuple[Message, str]
T = TypeVar("T")


@dataclass
class Batch:
    """What one transaction stores: messages, each with its event, its health report or a reason."""

    accepted: list[Accepted] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)


class Recorder:
    """Stores batches; connects again after a failure. Every method may raise StoreError.

    `instance` is the lowest number from 1 that no other hub of this database has.
    """

    def __init__(self, config: DatabaseConfig) -> None:
        self._config = config
        self._db: psycopg.Connection | None = None
        self.instance = 0

    def open(self) -> psycopg.Connection:
        """Returns the connection, a new one if there is none."""
        return self.use(lambda db: db)

    def store(self, batch: Batch) -> Counter[str]:
        """Stores a batch, all or nothing; counts what became of it."""
        return self.use(lambda db: store_batch(db, batch))

    def use(self, work: Callable[[psycopg.Connection], T]) -> T:
        """Works with the connection, which a failure ends."""
        try:
            with database_errors(self._config):
                return work(self._connection())
        except StoreError:
            self.close()
            raise

    def close(self) -> None:
        """Closes the connection."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def _connection(self) -> psycopg.Connection:
        if self._db is None:
            self._db = connect(self._config, purpose="ingest")
            self.instance = self._take_instance(self._db)
        return self._db

    def _take_instance(self, db: psycopg.Connection) -> int:
        """Takes the number that this process had, or else the lowest free one."""
        numbers = [self.instance] if self.instance else range(1, MAX_HUBS + 1)
        for number in numbers:
            query = "SELECT pg_try_advisory_lock(%s, %s)"
            if db.execute(query, (INSTANCE_LOCK, number)).fetchone() == (True,):
                return number
        raise StoreError(self._config.endpoint, "too many hubs, or one that has just ended")


def store_batch(db: psycopg.Connection, batch: Batch) -> Counter[str]:
    """Stores a batch, all or nothing; counts what became of it."""
    try:
        return _store_all(db, batch)
    except psycopg.DataError:
        return _store_each(db, batch)


def _store_each(db: psycopg.Connection, batch: Batch) -> Counter[str]:
    """Stores messages one by one, as PostgreSQL refuses a value of one of them."""
    counts = _store_all(db, Batch(refused=batch.refused))
    for message, each in batch.accepted:
        try:
            counts += _store_all(db, Batch([(message, each)]))
        except psycopg.DataError as error:
            reason = f"PostgreSQL refuses it: {type(error).__name__}"
            counts += _store_all(db, Batch(refused=[(message, reason)]))
    return counts


def _store_all(db: psycopg.Connection, batch: Batch) -> Counter[str]:
    """Stores messages, and makes the partitions of months that have none."""
    try:
        return _store_in_order(db, batch)
    except psycopg.errors.CheckViolation:
        moments = [each.first_seen for _, each in batch.accepted if isinstance(each, Event)]
        make_partitions(db, moments)
        return _store_in_order(db, batch)


def _store_in_order(db: psycopg.Connection, batch: Batch) -> Counter[str]:
    """Stores in the order of tables and keys, so that two hubs cannot block each other."""
    with db.transaction(), db.cursor() as cursor:
        new, strange = _new_events(cursor, batch.accepted)
        health = [each for _, each in batch.accepted if isinstance(each, Health)]
        refused = [*batch.refused, *strange]
        cursor.executemany(INSERT, [vars(new[id_]) for id_ in sorted(new)])
        inserted = max(0, cursor.rowcount)
        cursor.executemany(NOTE_SEQUENCE, _sequences(new.values(), health))
        cursor.executemany(NOTE_DEVICE, _devices(new.values(), health))
        cursor.executemany(NOTE_REFUSAL, _counted(refused))
    known = len(batch.accepted) - len(health) - len(strange) - inserted
    return Counter(stored=inserted, known=known, quarantined=len(refused))


def _new_events(
    cursor: psycopg.Cursor[Any], accepted: Iterable[Accepted]
) -> tuple[dict[str, Event], list[Refusal]]:
    """Returns events by id, and those with the id of an event of another device or time."""
    events = [(message, each) for message, each in accepted if isinstance(each, Event)]
    query = "SELECT id::text, device, first_seen FROM event WHERE id = ANY(%s::uuid[])"
    rows = cursor.execute(query, ([event.id for _, event in events],)) if events else ()
    known = {id_: (device, at) for id_, device, at in rows}
    new, strange = dict[str, Event](), list[Refusal]()
    for message, event in events:
        own = event.device, event.first_seen
        if known.setdefault(event.id, own) == own:
            new[event.id] = event
        else:
            strange.append((message, "the id is that of another event"))
    return new, strange


def _sequences(events: Iterable[Event], health: Iterable[Health]) -> list[tuple[object, ...]]:
    """Returns the counters of each device and epoch as a multirange; foreign reads have none."""
    seen, last = defaultdict[tuple[str, int], set[int]](set), dict[tuple[str, int], int]()
    for event in events:
        if event.seq:
            epoch, counter = divmod(event.seq, COUNTERS)
            seen[event.device, epoch].add(counter)
    for report in health:
        if report.last_seq:
            epoch, counter = divmod(report.last_seq, COUNTERS)
            last[report.device, epoch] = counter
    return [
        (*key, f"{{{','.join(f'[{n},{n}]' for n in sorted(seen.get(key, ())))}}}", last.get(key, 0))
        for key in sorted(seen.keys() | last.keys())
    ]


def _devices(events: Iterable[Event], health: Iterable[Health]) -> list[dict[str, object]]:
    rows = dict[str, dict[str, Any]]()
    for event in sorted(events, key=lambda event: event.first_seen):
        rows[event.device] = {"name": event.device, "at": event.first_seen, "health": None}
    for report in health:
        row = rows.setdefault(report.device, {"name": report.device, "at": None})
        row["health"] = report.report
    return [rows[name] for name in sorted(rows)]


def _counted(refused: Iterable[Refusal]) -> list[tuple[object, ...]]:
    counts, last = Counter[tuple[str, str]](), dict[tuple[str, str], Message]()
    for message, reason in refused:
        counts[message.device, reason] += 1
        last[message.device, reason] = message
    return [
        (*key, counts[key], last[key].topic[:200], last[key].payload[:SAMPLE_BYTES])
        for key in sorted(counts)
    ]
