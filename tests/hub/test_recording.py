"""What a hub stores in one transaction, and which events it asks for."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime

import psycopg
import pytest

from plateid.config.hub import DatabaseConfig
from plateid.hub.gaps import look
from plateid.hub.messages import Health, Message, parse
from plateid.hub.recording import Accepted, Batch, Recorder
from tests.hub.test_ingest import fresh

DUE = "UPDATE sequence SET request_at = now() WHERE request_at < 'infinity'"


@pytest.fixture
def recorder(database: DatabaseConfig) -> Iterator[Recorder]:
    with closing(Recorder(database)) as made:
        yield made


def accepted(seq: int, device: str = "box") -> Accepted:
    message = Message(f"plateid/{device}/gate/event", fresh(seq, device=device).to_json().encode())
    return message, parse(message, datetime.now(UTC))


def health(device: str, last_seq: int = 0, report: str = "{}") -> Accepted:
    return Message(f"plateid/{device}/health", b""), Health(device, report, last_seq)


def test_hubs_with_messages_of_the_same_devices_do_not_block_each_other(database) -> None:
    first, second = ([f"{letter}{n}" for n in range(25)] for letter in "ab")

    def store(senders: list[str], others: list[str]) -> None:
        with closing(Recorder(database)) as recorder:
            for seq in range(1, 21):
                items = [accepted(seq, name) for name in senders]
                recorder.store(Batch(items + [health(name) for name in others]))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(store, (first, second), (second, first)))
    with psycopg.connect(database.url) as db:
        query = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        assert db.execute(query).fetchone() == (0,)
        assert db.execute("SELECT count(*) FROM event").fetchone() == (1000,)


def test_report_that_postgresql_refuses_does_not_delay_others(recorder: Recorder) -> None:
    lie = health("liar", report='{"a": "\\u0000"}')
    counts = recorder.store(Batch([lie, health("good"), accepted(1)]))
    assert (counts["stored"], counts["quarantined"]) == (1, 1)
    with recorder.open().cursor() as cursor:
        found = cursor.execute("SELECT name FROM device WHERE health_at IS NOT NULL").fetchall()
        assert found == [("good",)]
        reasons = cursor.execute("SELECT device, reason FROM quarantine").fetchall()
        assert reasons == [("liar", "PostgreSQL refuses it: UntranslatableCharacter")]


def test_gap_is_looked_at_after_an_event_and_asked_for_while_the_device_is_online(
    recorder: Recorder,
) -> None:
    db = recorder.open()
    recorder.store(Batch([accepted(1)]))
    assert look(db) == []
    assert db.execute("SELECT 1 FROM sequence WHERE request_at < 'infinity'").fetchall() == []
    recorder.store(Batch([accepted(3)]))
    for _ in range(3):  # the device is away
        assert look(db) == []
        db.execute(DUE)
    recorder.store(Batch([health("box", 5)]))
    assert look(db) == []
    db.execute(DUE)
    (gap,) = look(db)
    assert (gap.device, gap.ranges) == ("box", ((2, 2), (4, 5)))
    for seq in (2, 4, 5):
        recorder.store(Batch([accepted(seq)]))
    db.execute(DUE)
    assert look(db) == []
    assert db.execute("SELECT requests, request_at::text FROM sequence").fetchall() == [
        (0, "infinity")
    ]


def test_request_is_repeated_for_ever_ever_more_rarely(recorder: Recorder) -> None:
    db = recorder.open()
    recorder.store(Batch([accepted(2), health("box", 2)]))
    look(db)
    db.execute(DUE)
    (gap,) = look(db)
    db.execute("UPDATE sequence SET requests = 5000, request_at = now(), ask_at = now()")
    assert look(db) == [gap]
    assert gap.ranges == ((1, 1),)
    query = "SELECT request_at - now() > interval '59 minutes' FROM sequence"
    assert db.execute(query).fetchone() == (True,)


def test_events_that_are_only_late_are_not_requested(recorder: Recorder) -> None:
    """A health report overtakes the events that a device sends after an absence."""
    db = recorder.open()
    recorder.store(Batch([accepted(1), health("box", 9)]))
    assert look(db) == []
    for seqs in ((2, 3), (4, 6), (5, 7)):
        recorder.store(Batch([accepted(seq) for seq in seqs]))
        db.execute(DUE)
        assert look(db) == []
    db.execute(DUE)
    (gap,) = look(db)
    assert gap.ranges == ((8, 9),)


def test_gap_of_before_an_absence_is_not_requested_at_once(recorder: Recorder) -> None:
    db = recorder.open()
    recorder.store(Batch([accepted(2), health("box", 2)]))
    look(db)
    db.execute("UPDATE sequence SET request_at = now() - interval '1 hour'")
    assert look(db) == []
    db.execute(DUE)
    assert [gap.ranges for gap in look(db)] == [((1, 1),)]


def test_new_gap_is_requested_though_the_device_does_not_have_an_older_one(
    recorder: Recorder,
) -> None:
    db = recorder.open()
    recorder.store(Batch([accepted(2), health("box", 2)]))
    for _ in range(2):
        old = look(db)
        db.execute(DUE)
    assert [gap.ranges for gap in old] == [((1, 1),)]
    db.execute("UPDATE sequence SET ask_at = now() + interval '1 hour'")
    assert look(db) == []
    for late in range(4, 8, 2):
        recorder.store(Batch([accepted(late)]))
        assert look(db) == []
        recorder.store(Batch([accepted(late - 1)]))
        db.execute(DUE)
        assert look(db) == [], "an event that is late does not repeat the request"
    recorder.store(Batch([accepted(9)]))
    assert look(db) == []
    db.execute(DUE)
    assert [gap.ranges for gap in look(db)] == [((1, 1), (7, 8))]


def test_counters_of_a_device_that_leaves_out_every_other_one_are_bounded(
    recorder: Recorder,
) -> None:
    db = recorder.open()
    recorder.store(Batch([accepted(1)]))
    db.execute(
        "UPDATE sequence SET seen = (SELECT range_agg(int8range(2 * n, 2 * n + 1))"
        " FROM generate_series(1, 50000) AS n)"
    )
    recorder.store(Batch([accepted(1)]))
    query = "SELECT seen @> 1::bigint FROM sequence"
    assert db.execute(query).fetchone() == (False,)
    assert db.execute("SELECT count(*) FROM event").fetchone() == (2,)
