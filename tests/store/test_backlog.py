"""Events wait in memory while the store fails, and are sent once they are on disk."""

import sqlite3
import threading
from contextlib import closing

import pytest

from plateid.store.backlog import Backlog
from plateid.store.event_store import EventStore
from tests.support.broken_disk import full_disk
from tests.support.samples import event, outbox_of, said


def seqs(store: EventStore) -> list[int]:
    return [outgoing.event.seq for outgoing in outbox_of(store).pending(99)]


class Counter:
    """Counts its calls."""

    calls = 0

    def __call__(self) -> None:
        self.calls += 1


@pytest.fixture
def stored() -> Counter:
    return Counter()


def test_event_is_stored_at_once(store, stored):
    Backlog(store, stored).accept(event(1))
    assert seqs(store) == [1]
    assert stored.calls == 1


def test_events_wait_for_the_store_and_keep_their_order(store, stored):
    backlog = Backlog(store, stored)
    with full_disk():
        backlog.accept(event(1))
        backlog.accept(event(2))
        assert (len(backlog), seqs(store), stored.calls) == (2, [], 0)
    backlog.accept(event(3))
    assert (len(backlog), seqs(store), stored.calls) == (0, [1, 2, 3], 1)


def test_flush_stores_waiting_events(store, stored):
    backlog = Backlog(store, stored)
    with full_disk():
        backlog.accept(event(1))
        backlog.flush()
        assert len(backlog) == 1
    backlog.flush()
    backlog.flush()
    assert (len(backlog), seqs(store), stored.calls) == (0, [1], 1)


def test_slow_store_gets_waiting_events_in_several_calls(store, stored, logs):
    backlog = Backlog(store, stored)
    with full_disk():
        for seq in (1, 2, 3):
            backlog.accept(event(seq))
    waiting = [len(backlog)]
    while backlog:
        backlog.flush(0)
        waiting.append(len(backlog))
    assert (waiting, seqs(store), stored.calls) == ([3, 2, 1, 0], [1, 2, 3], 3)
    assert len(said(logs, "outage ends")) == 1


def test_drain_waits_for_a_busy_store(store, stored):
    backlog = Backlog(store, stored)
    other = sqlite3.connect(store.path, isolation_level=None, check_same_thread=False)
    with closing(other):
        other.execute("BEGIN IMMEDIATE")
        backlog.accept(event(1))
        assert len(backlog) == 1
        timer = threading.Timer(0.7, other.execute, ["COMMIT"])
        timer.start()
        backlog.drain(10)
        timer.join()
    assert (len(backlog), seqs(store)) == (0, [1])


def test_drain_ends_in_time_if_the_store_fails(store, stored):
    backlog = Backlog(store, stored)
    with full_disk():
        backlog.accept(event(1))
        backlog.drain(0.3)
    assert len(backlog) == 1


def test_full_memory_drops_the_oldest_events(store, stored, logs):
    backlog = Backlog(store, stored, capacity=2)
    with full_disk():
        for seq in range(1, 5):
            backlog.accept(event(seq))
    backlog.flush()
    assert seqs(store) == [3, 4]
    assert backlog.dropped == 2
    assert [entry["dropped"] for entry in logs if entry["event"] == "event lost"] == [1, 2]


def test_outage_is_logged_when_it_starts_and_when_it_ends(store, stored, logs):
    backlog = Backlog(store, stored)
    with full_disk():
        for seq in range(1, 4):
            backlog.accept(event(seq))
    backlog.accept(event(4))
    backlog.accept(event(5))
    said = [(entry["event"], entry["what"]) for entry in logs]
    assert said == [("outage starts", "event store"), ("outage ends", "event store")]
    assert "events.sqlite3" in logs[0]["reason"]
