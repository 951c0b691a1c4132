"""The bounds of the outbox: the oldest go, are counted, and it is said once."""

import json
import time

import pytest

from plateid.config.storage import RetentionConfig
from plateid.store.event_store import EventStore
from plateid.store.overflow import DAY_S, Overflow
from tests.support.samples import Logs, append, outbox, said


def waiting(store: EventStore) -> list[int]:
    return [json.loads(outgoing.payload)["seq"] for outgoing in store.pending(99)]


def age(store: EventStore, seq: int, days: float) -> None:
    moment = time.time() - days * DAY_S
    store._rows("UPDATE outbox SET queued_at = ? WHERE position = ?", (moment, seq))


def test_the_oldest_go_when_there_are_too_many_and_stay_in_the_history(
    store: EventStore, logs: Logs
) -> None:
    overflow = Overflow(RetentionConfig(outbox_events=3), store)
    append(store, 1, 2, 3)
    overflow.check()
    assert (waiting(store), overflow.dropped) == ([1, 2, 3], 0)
    append(store, 4, 5)
    overflow.check()
    assert (waiting(store), overflow.dropped) == ([3, 4, 5], 2)
    assert store.counts().events == 5
    (reason,) = said(logs, "outage starts")
    assert reason == "full (3 events, 30 days): the oldest are not sent any more"


@pytest.mark.parametrize(("days", "left"), [(1.9, [1, 2]), (2.1, [2])])
def test_those_that_waited_too_long_go(store: EventStore, days: float, left: list[int]) -> None:
    overflow = Overflow(RetentionConfig(outbox_days=2), store)
    append(store, 1, 2)
    age(store, 1, days)
    overflow.check()
    assert waiting(store) == left


def test_an_event_from_before_the_clock_was_set_has_no_age(store: EventStore) -> None:
    append(store, 1, clock_synced=False)
    Overflow(RetentionConfig(outbox_days=1e-9), store).check()
    assert waiting(store) == [1]


def test_it_is_said_when_it_begins_and_when_half_is_free_again(
    store: EventStore, logs: Logs
) -> None:
    overflow = Overflow(RetentionConfig(outbox_events=4), store)
    for seq in range(1, 21):
        append(store, seq)
        overflow.check()
    assert len(said(logs, "outage starts")) == 1
    assert not said(logs, "outage ends")
    store.acknowledge([outgoing.id for outgoing in store.pending(2)])
    overflow.check()
    assert outbox(store) == 2
    assert len(said(logs, "outage ends")) == 1


def test_a_store_that_fails_is_left_to_others(store: EventStore, logs: Logs) -> None:
    store.close()
    Overflow(RetentionConfig(), store).check()
    assert logs == []
