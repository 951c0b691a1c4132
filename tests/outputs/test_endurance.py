"""Twenty times killed, on either side: what was on disk arrives, once if its id is looked at."""

import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from plateid.config.outputs import MqttConfig
from plateid.outputs.mqtt import MqttPublisher
from plateid.store.event_store import EventStore
from tests.core.test_schema import VALIDATOR
from tests.support.broker import Broker, Subscriber, running, until
from tests.support.samples import Publish, append, outbox, outbox_of

KILLS = 20


def check(received: list[dict[str, Any]], store: EventStore) -> None:
    """All that is on disk arrived, nothing else did, and what came twice says so."""
    ids: set[str] = set()
    for each in received:
        VALIDATOR.validate(each)
        assert each["replayed"] or each["id"] not in ids
        ids.add(each["id"])
    stored = outbox_of(store).pending(10**6)
    assert stored == []
    assert ids == {row[0] for row in store.rows("SELECT id FROM event")}


@contextmanager
def stream(store: EventStore, publisher: MqttPublisher) -> Iterator[None]:
    """An event every few milliseconds."""
    ended = threading.Event()

    def run() -> None:
        while not ended.wait(0.005):
            append(store, store.next_seq())
            publisher.notify()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def test_a_broker_that_is_killed_twenty_times_costs_no_event(
    store: EventStore,
    broker: Broker,
    *,
    subscriber: Subscriber,
    login: MqttConfig,
    publish: Publish,
) -> None:
    """It lets us in only when the subscriber is there to see what we send.

    The last one stands still first, with events that it never acknowledged.
    """
    chance = random.Random(5)
    publisher = publish(login)
    with stream(store, publisher):
        for number in range(KILLS):
            before = len(subscriber.seqs())
            broker.set_passwords(plateid="right")
            until(lambda before=before: len(subscriber.seqs()) > before)
            time.sleep(chance.uniform(0, 0.2))
            if number == KILLS - 1:
                broker.signal(signal.SIGSTOP)
                until(lambda: any(each.sent for each in outbox_of(store).pending(20)))
            broker.kill()
            subscriber.wait_lost()
            broker.set_passwords()
            broker.start()
            subscriber.wait_ready()
        broker.set_passwords(plateid="right")
    until(lambda: outbox(store) == 0)
    until(lambda: len(set(subscriber.seqs())) == store.counts().events)
    check(subscriber.events(), store)
    assert any(each["replayed"] for each in subscriber.events())


def test_a_process_that_is_killed_twenty_times_costs_no_event_that_was_on_disk(
    subscriber: Subscriber, broker: Broker, tmp_path: Path
) -> None:
    """The last one has events that the broker, which stands still, never acknowledged."""
    chance = random.Random(6)
    path = tmp_path / "events.sqlite3"
    for number in range(KILLS):
        before = len(subscriber.seqs())
        with running("busy_box", path, broker.port, 10**6) as process:
            until(lambda before=before: len(subscriber.seqs()) > before)
            time.sleep(chance.uniform(0, 0.2))
            if number == KILLS - 1:
                broker.signal(signal.SIGSTOP)
                with closing(EventStore(path)) as store:
                    until(lambda store=store: outbox(store))
            process.kill()
    broker.signal(signal.SIGCONT)
    with closing(EventStore(path)) as store:
        assert outbox(store)
        with running("busy_box", path, broker.port, 0):
            until(lambda: outbox(store) == 0)
        until(lambda: len(set(subscriber.seqs())) == store.counts().events)
        check(subscriber.events(), store)
        assert any(each["replayed"] for each in subscriber.events())
