"""Events are sent from memory while the store fails, and are stored once it works."""

import sqlite3
import threading
from contextlib import closing

import pytest

from plateid.errors import StoreError
from plateid.store import backlog as backlog_module
from plateid.store.backlog import Backlog
from plateid.store.event_store import EventStore
from tests.support.broken_disk import full_disk
from tests.support.samples import event, outbox_of, said


def seqs(queue: EventStore | Backlog, output: str = "mqtt") -> list[int]:
    return [outgoing.event.seq for outgoing in outbox_of(queue, output).pending(99)]


class Counter:
    """Counts its calls."""

    calls = 0

    def __call__(self) -> None:
        self.calls += 1


@pytest.fixture
def store(tmp_path):
    with closing(EventStore(tmp_path / "events.sqlite3", outputs=["csv"])) as opened:
        yield opened


@pytest.fixture
def backlog(store):
    made = Backlog(store)
    made.notify = Counter()
    return made


def test_event_is_stored_at_once(store, backlog):
    backlog.accept(event(1))
    assert seqs(store) == [1]
    assert (backlog.failure, backlog.notify.calls) == (None, 1)


def test_notification_ends_before_another_thread_changes_the_backlog(backlog):
    """A notification that is late must not publish an old state of the disk."""
    others, blocked = [], []

    def notify():
        others.append(threading.Thread(target=backlog.flush))
        others[-1].start()
        others[-1].join(0.3)
        blocked.append(others[-1].is_alive())

    backlog.notify = notify
    backlog.accept(event(1))
    for other in others:
        other.join()
    assert blocked == [True]


def test_every_output_gets_events_from_memory_while_the_store_fails(store, backlog):
    backlog.accept(event(1))
    with full_disk():
        backlog.accept(event(2))
        backlog.accept(event(3))
        assert (len(backlog), seqs(store)) == (2, [1])
        assert seqs(backlog) == seqs(backlog, "csv") == [1, 2, 3]
        assert "events.sqlite3" in backlog.failure
        assert backlog.notify.calls >= 2
    backlog.accept(event(4))
    assert (len(backlog), seqs(store), backlog.failure) == (0, [1, 2, 3, 4], None)


def test_deliveries_during_a_failure_reach_the_disk_later(store, backlog):
    outbox, csv = outbox_of(backlog), outbox_of(backlog, "csv")
    for seq in (1, 2):
        backlog.accept(event(seq))
    with full_disk():
        backlog.accept(event(3))
        ids = [entry.event.id for entry in outbox.pending(9)]
        outbox.mark_sent(ids)
        outbox.remove([ids[0], ids[2]])
        csv.mark_sent(ids[2:])
        assert [(each.event.seq, each.sent) for each in outbox.pending(9)] == [(2, True)]
        assert [(each.event.seq, each.sent) for each in csv.pending(9)] == [
            *((1, False), (2, False), (3, True))
        ]
        assert (outbox.health().events, csv.health().events) == (1, 3)
        assert backlog.unsent == 1
    backlog.flush()
    assert [(each.event.seq, each.sent) for each in outbox_of(store).pending(9)] == [(2, True)]
    assert [(each.event.seq, each.sent) for each in outbox_of(store, "csv").pending(9)] == [
        *((1, False), (2, False), (3, True))
    ]
    assert store.counts().events == 3


def test_removal_that_fails_is_the_start_of_the_failure(store, backlog):
    outbox = outbox_of(backlog)
    backlog.accept(event(1))
    with full_disk():
        outbox.remove([entry.event.id for entry in outbox.pending(9)])
        assert (outbox.pending(9), outbox.health().events) == ([], 0)
        assert backlog.failure
        assert seqs(store) == [1]
    backlog.flush()
    assert (seqs(store), backlog.failure) == ([], None)


def test_failure_shows_without_an_event(backlog, monkeypatch):
    monkeypatch.setattr(backlog_module, "PROBE_S", 0.0)
    with full_disk():
        backlog.flush()
        assert backlog.failure
    backlog.flush()
    assert backlog.failure is None
    assert backlog.notify.calls >= 2


def test_slow_store_gets_waiting_events_in_several_calls(store, backlog, logs):
    with full_disk():
        for seq in (1, 2, 3):
            backlog.accept(event(seq))
    waiting = [len(backlog)]
    while backlog:
        backlog.flush(0)
        waiting.append(len(backlog))
        assert seqs(backlog) == [1, 2, 3]
    assert (waiting, seqs(store)) == ([3, 2, 1, 0], [1, 2, 3])
    assert len(said(logs, "outage ends")) == 1


def test_busy_store_is_no_failure_for_some_seconds(store, backlog, monkeypatch):
    with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        backlog.accept(event(1))
        assert (len(backlog), seqs(backlog), backlog.failure) == (1, [], None)
        with pytest.raises(StoreError, match="locked"):
            outbox_of(backlog).remove(["x"])
        monkeypatch.setattr(backlog_module, "BUSY_S", 0.0)
        backlog.flush()
        assert (len(backlog), seqs(backlog)) == (1, [1])
        assert "locked" in backlog.failure


def test_drain_waits_for_a_busy_store(store, backlog):
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


def test_drain_does_not_wait_for_a_failed_disk(backlog):
    with full_disk():
        backlog.accept(event(1))
        backlog.drain(60)
    assert len(backlog) == 1


def test_full_memory_drops_events_that_all_outputs_have_first(store, logs):
    backlog = Backlog(store, capacity=2)
    events = [event(seq) for seq in range(1, 5)]
    with full_disk():
        for each in events[:2]:
            backlog.accept(each)
        for output in ("mqtt", "csv"):
            outbox_of(backlog, output).remove([events[1].id])
        for each in events[2:]:
            backlog.accept(each)
    backlog.flush()
    assert seqs(store) == [3, 4]
    assert backlog.dropped == 1
    (lost,) = [entry for entry in logs if entry["event"] == "event lost"]
    (unrecorded,) = [entry for entry in logs if "missing in the history" in entry["event"]]
    assert (lost["id"], unrecorded["events"]) == (events[0].id, 1)


def test_outage_is_logged_when_it_starts_and_when_it_ends(backlog, logs):
    outbox = outbox_of(backlog)
    with full_disk():
        for seq in range(1, 4):
            backlog.accept(event(seq))
            outbox.remove([entry.event.id for entry in outbox.pending(9)])
    backlog.accept(event(4))
    backlog.accept(event(5))
    said = [(entry["event"], entry["what"]) for entry in logs]
    assert said == [("outage starts", "event store"), ("outage ends", "event store")]
    assert "events.sqlite3" in logs[0]["reason"]
