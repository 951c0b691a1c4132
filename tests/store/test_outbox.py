"""The outbox of each output: order, restarts, purged events, and bounds."""

import time
from contextlib import closing

import pytest

from plateid.store.event_store import EventStore
from tests.store.test_event_store import waiting
from tests.support.samples import append, event, outbox_of, said

DAY_S = 86_400.0


@pytest.fixture
def path(tmp_path):
    return tmp_path / "events.sqlite3"


def test_pending_is_oldest_first_and_skips_cameras(store):
    for seq, camera in enumerate(["gate", "yard", "gate", "it's"]):
        append(store, seq, camera=camera)
    outbox = outbox_of(store)
    assert [entry.event.seq for entry in outbox.pending(3)] == [0, 1, 2]
    skipped = outbox.pending(10, skip=["gate", "it's"])
    assert [entry.event.camera for entry in skipped] == ["yard"]


def test_entry_is_the_event_as_it_was_stored_and_as_it_is_sent(store):
    made = event(1)
    store.append(made)
    outbox = outbox_of(store)
    (entry,) = outbox.pending(1)
    assert (entry.event.to_json(), entry.sent) == (made.to_json(), False)
    outbox.mark_sent([made.id])
    (entry,) = outbox.pending(1)
    stored, sent = made.to_json(), entry.to_json()
    assert entry.sent
    assert '"replayed":true' in sent
    sent_at = sent.split('"sent_at":"')[1].split('"')[0]
    assert sent.replace(f'"{sent_at}"', "null").replace("true}", "false}") == stored


def test_each_output_has_an_outbox_that_outlives_the_process(path):
    with closing(EventStore(path, outputs=["a", "b"])) as store:
        append(store, 1, 2)
    with closing(EventStore(path, outputs=["a"])) as store:
        outbox = outbox_of(store, "a")
        outbox.mark_sent([outbox.pending(1)[0].event.id])
    with closing(EventStore(path, outputs=["a", "b"])) as store:
        outbox = outbox_of(store, "a")
        assert [entry.sent for entry in outbox.pending(9)] == [True, False]
        assert waiting(store, "b") == [], "output b was not configured in between"
        outbox.remove([outbox.pending(1)[0].event.id])
        assert (waiting(store, "a"), waiting(store)) == ([2], [1, 2])


def test_store_that_another_process_opens_keeps_its_outputs(path):
    with closing(EventStore(path, outputs=["a"])), closing(EventStore(path)) as other:
        append(other, 1)
        assert waiting(other, "a") == [1]


def test_deleted_event_leaves_every_outbox(path):
    with closing(EventStore(path, outputs=["a"])) as store:
        append(store, 1)
        store.rows("DELETE FROM event")
        assert waiting(store, "a") == waiting(store) == []


def test_later_event_at_the_same_position_is_not_removed(store):
    append(store, 1)
    outbox = outbox_of(store)
    (delivered,) = outbox.pending(1)
    store.rows("DELETE FROM event")
    append(store, 2)
    outbox.remove([delivered.event.id])
    assert waiting(store) == [2]


def test_oldest_events_go_if_there_are_too_many_but_stay_in_the_history(store, logs):
    outbox = outbox_of(store, outbox_events=3)
    append(store, 1, 2, 3)
    outbox.trim()
    assert (waiting(store), outbox.dropped) == ([1, 2, 3], 0)
    append(store, 4, 5)
    outbox.trim()
    assert (waiting(store), outbox.dropped) == ([3, 4, 5], 2)
    assert store.counts().events == 5
    (reason,) = said(logs, "outage starts")
    assert reason == "full (3 events, 30 days): the oldest are not sent any more"


@pytest.mark.parametrize(("days", "left"), [(1.9, [1, 2]), (2.1, [2])])
def test_events_go_after_they_waited_too_long(store, days, left):
    append(store, 1, 2)
    queued_at = time.time() - days * DAY_S
    store.rows("UPDATE delivery SET queued_at = ? WHERE position = 1", queued_at)
    outbox_of(store, outbox_days=2).trim()
    assert waiting(store) == left


def test_event_from_before_the_clock_was_set_has_no_age(store):
    append(store, 1, clock_synced=False)
    outbox_of(store, outbox_days=1e-9).trim()
    assert waiting(store) == [1]


def test_overflow_is_logged_once_until_half_of_the_outbox_is_free(store, logs):
    outbox = outbox_of(store, outbox_events=4)
    for seq in range(1, 21):
        append(store, seq)
        outbox.trim()
    assert outbox.dropped == 16
    for left in (3, 2):
        assert said(logs, "outage ends") == []
        outbox.remove([outbox.pending(1)[0].event.id])
        outbox.trim()
        assert len(waiting(store)) == left
    entries = [(entry["event"], entry["what"]) for entry in logs]
    assert entries == [(f"outage {what}", "overflow of mqtt") for what in ("starts", "ends")]


def test_health_tells_what_waits_and_for_how_long(store):
    outbox = outbox_of(store)
    append(store, 1, 2)
    store.rows("UPDATE delivery SET queued_at = queued_at - 100 WHERE position = 1")
    health = outbox.health()
    assert (health.events, health.dropped) == (2, 0)
    assert health.oldest_s == pytest.approx(100, abs=2)


def test_store_that_fails_gives_an_unknown_health_and_trims_nothing(store, logs):
    outbox = outbox_of(store)
    store.close()
    outbox.trim()
    assert (outbox.health().events, outbox.health().oldest_s) == (None, None)
    assert logs == []
