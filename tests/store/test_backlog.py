"""While the store fails, events wait in memory; nothing is sent before it is on disk."""

import sqlite3
import threading
from contextlib import closing

import pytest

from plateid.store.backlog import Backlog
from plateid.store.event_store import EventStore
from tests.support.broken_disk import full_disk
from tests.support.samples import Logs, event, outbox_of, said


def seqs(store: EventStore) -> list[int]:
    return [outgoing.event.seq for outgoing in outbox_of(store).pending(99)]


class Bell:
    """Counts its rings."""

    rings = 0

    def __call__(self) -> None:
        self.rings += 1


@pytest.fixture
def bell() -> Bell:
    return Bell()


def test_an_event_goes_straight_to_the_store(store: EventStore, bell: Bell) -> None:
    Backlog(store, bell).accept(event(1))
    assert seqs(store) == [1]
    assert bell.rings == 1


def test_events_wait_for_the_store_and_keep_their_order(store: EventStore, bell: Bell) -> None:
    backlog = Backlog(store, bell)
    with full_disk():
        backlog.accept(event(1))
        backlog.accept(event(2))
        assert (len(backlog), seqs(store), bell.rings) == (2, [], 0)
    backlog.accept(event(3))
    assert (len(backlog), seqs(store), bell.rings) == (0, [1, 2, 3], 1)


def test_flush_stores_what_waits(store: EventStore, bell: Bell) -> None:
    backlog = Backlog(store, bell)
    with full_disk():
        backlog.accept(event(1))
        backlog.flush()
        assert len(backlog) == 1
    backlog.flush()
    backlog.flush()
    assert (len(backlog), seqs(store), bell.rings) == (0, [1], 1)


def test_a_slow_store_takes_what_waits_in_several_calls(
    store: EventStore, bell: Bell, logs: Logs
) -> None:
    backlog = Backlog(store, bell)
    with full_disk():
        for seq in (1, 2, 3):
            backlog.accept(event(seq))
    waiting = [len(backlog)]
    while backlog:
        backlog.flush(0)
        waiting.append(len(backlog))
    assert (waiting, seqs(store), bell.rings) == ([3, 2, 1, 0], [1, 2, 3], 3)
    assert len(said(logs, "outage ends")) == 1


def test_a_store_that_is_busy_at_the_stop_is_waited_for(store: EventStore, bell: Bell) -> None:
    backlog = Backlog(store, bell)
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


def test_a_store_that_fails_ends_the_stop(store: EventStore, bell: Bell) -> None:
    backlog = Backlog(store, bell)
    with full_disk():
        backlog.accept(event(1))
        backlog.drain(0.3)
    assert len(backlog) == 1


def test_a_full_memory_drops_the_oldest(store: EventStore, bell: Bell, logs: Logs) -> None:
    backlog = Backlog(store, bell, capacity=2)
    with full_disk():
        for seq in range(1, 5):
            backlog.accept(event(seq))
    backlog.flush()
    assert seqs(store) == [3, 4]
    assert backlog.dropped == 2
    assert [entry["dropped"] for entry in logs if entry["event"] == "event lost"] == [1, 2]


def test_an_outage_is_logged_when_it_starts_and_when_it_ends(
    store: EventStore, bell: Bell, logs: Logs
) -> None:
    backlog = Backlog(store, bell)
    with full_disk():
        for seq in range(1, 4):
            backlog.accept(event(seq))
    backlog.accept(event(4))
    backlog.accept(event(5))
    said = [(entry["event"], entry["what"]) for entry in logs]
    assert said == [("outage starts", "event store"), ("outage ends", "event store")]
    assert "events.sqlite3" in logs[0]["reason"]
