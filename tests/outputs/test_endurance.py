"""Broker or process killed twenty times: every stored event arrives, and duplicates are marked."""

import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from plateid.outputs.mqtt import MqttPublisher
from plateid.store.event_store import EventStore
from tests.core.test_schema import VALIDATOR
from tests.support.broker import running, until
from tests.support.samples import append, outbox, outbox_of

KILLS = 20


def check(received: list[dict[str, Any]], store: EventStore) -> None:
    """Checks that exactly the stored events arrived, and that duplicates are marked."""
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
    """Appends an event every few milliseconds."""
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


def test_broker_killed_twenty_times_loses_no_event(store, broker, *, subscriber, login, publish):
    """The broker accepts the publisher only while the subscriber is connected.

    Before the last kill, the broker is stopped with unacknowledged events.
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


def test_process_killed_twenty_times_loses_no_stored_event(subscriber, broker, tmp_path):
    """Before the last kill, the broker is stopped with unacknowledged events."""
    chance = random.Random(6)
    path = tmp_path / "events.sqlite3"
    for number in range(KILLS):
        before = len(subscriber.seqs())
        with running("busy_device", path, broker.port, 10**6) as process:
            until(lambda before=before: len(subscriber.seqs()) > before)
            time.sleep(chance.uniform(0, 0.2))
            if number == KILLS - 1:
                broker.signal(signal.SIGSTOP)
                with closing(EventStore(path, busy_s=10)) as store:
                    until(lambda store=store: outbox(store))
            process.kill()
    broker.signal(signal.SIGCONT)
    with closing(EventStore(path)) as store:
        assert outbox(store)
        with running("busy_device", path, broker.port, 0):
            until(lambda: outbox(store) == 0)
        until(lambda: len(set(subscriber.seqs())) == store.counts().events)
        check(subscriber.events(), store)
        assert any(each["replayed"] for each in subscriber.events())
