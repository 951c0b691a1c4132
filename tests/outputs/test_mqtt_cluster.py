"""Several brokers, refused subscriptions, and requests to resend, with real brokers."""

import json
from contextlib import closing

from plateid.config.outputs import MqttConfig
from plateid.store.event_store import EventStore
from tests.support.broker import Broker, Subscriber, free_port, is_open, running, until
from tests.support.samples import append, event, outbox, said


def test_hosts_of_a_list_may_have_ports_of_their_own():
    config = MqttConfig(host=["one", "two:1884", "[::1]:1885", "::1"])
    expected = [("one", 1883), ("two", 1884), ("::1", 1885), ("::1", 1883)]
    assert [(broker.host, broker.port) for broker in config.brokers] == expected


def test_publisher_changes_to_the_next_broker_without_loss_and_in_order(
    store, broker, tmp_path, publish
):
    (tmp_path / "other").mkdir()
    with closing(Broker(tmp_path / "other")) as other:
        for each in (broker, other):
            each.start()
        hosts = [f"127.0.0.1:{port}" for port in (free_port(), broker.port, other.port)]
        first, second = Subscriber(broker.port), Subscriber(other.port)
        append(store, *range(1, 301))
        publish(MqttConfig(host=hosts))
        until(lambda: len(first.seqs()) >= 30)
        broker.kill()
        until(lambda: outbox(store) == 0, 30)
        until(lambda: second.seqs()[-1:] == [300])
        sent = [*first.seqs(), *second.seqs()]
        assert set(sent) == set(range(1, 301))
        assert second.seqs() == list(range(second.seqs()[0], 301))
        first.close()
        second.close()


def test_refused_subscriptions_are_tried_again(publish, logs):
    port = free_port()
    with running("old_broker", port, 2):
        until(lambda: is_open(port))
        publish(MqttConfig(port=port))
        topics = "homeassistant/status", "plateid/box/resend"
        until(lambda: [e.get("what") for e in logs if e["event"] == "outage ends"])
        until(lambda: len(said(logs, "outage ends")) == 2)
    reasons = [f"{topic}: Unspecified error" for topic in topics]
    assert said(logs, "outage starts")[:2] == reasons


def test_requested_events_are_sent_again_without_changing_last(
    store, subscriber, broker, *, publish
):
    start = 5 << 32
    append(store, *range(start + 1, start + 101))
    publish(broker.config)
    until(lambda: len(subscriber.seqs()) == 100 and outbox(store) == 0)
    lasts = len(subscriber.of("/last"))
    request = {"ranges": [[start + 3, start + 5], [start + 99, start + 200], [7, 9]]}
    subscriber.publish("plateid/box/resend", json.dumps(request))
    subscriber.publish("plateid/box/resend", json.dumps(request))  # too soon
    until(lambda: len(subscriber.seqs()) == 105 and outbox(store) == 0)
    resent = subscriber.events()[100:]
    assert [sent["seq"] - start for sent in resent] == [3, 4, 5, 99, 100]
    assert all(sent["replayed"] for sent in resent)
    assert len(subscriber.of("/last")) == lasts


def test_request_that_is_none_is_logged_and_changes_nothing(
    store, subscriber, broker, *, publish, logs
):
    append(store, 1)
    publish(broker.config)
    until(lambda: outbox(store) == 0 and subscriber.seqs())
    subscriber.publish("plateid/box/resend", '{"ranges": [["all"]]}')
    until(lambda: said(logs, "request to resend refused"))
    assert said(logs, "request to resend refused") == ["not a list of ranges"]


def test_events_are_found_by_number_among_deleted_and_disordered_ones(store: EventStore):
    from plateid.store.resend import queue_again

    for seq in (2, 1, 3, 5, 4, *range(6, 300)):
        store.append(event(seq), done=["mqtt"])
    with store.transaction() as db:
        db.execute("DELETE FROM event WHERE position % 7 = 0")
    kept = {seq for (seq,) in store.rows("SELECT payload ->> '$.seq' FROM event")}
    for first, last in ((1, 1), (1, 6), (150, 160), (290, 400), (500, 600)):
        queued = queue_again(store, [(first, last)])
        assert queued == len(kept & set(range(first, last + 1)))
        with store.transaction() as db:
            db.execute("DELETE FROM delivery")
