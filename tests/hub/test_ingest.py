"""The ingest of the hub, from a real mosquitto into a real PostgreSQL."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from plateid.config.hub import DatabaseConfig, HubConfig, HubMqttConfig, IngestConfig
from plateid.config.outputs import MqttConfig
from plateid.core.records import PlateEvent
from plateid.hub.ingest import BURST, FloodLimits, Ingest
from plateid.hub.messages import MAX_BYTES
from plateid.hub.mqtt_source import MqttSource
from plateid.outputs.self_pipe import SelfPipe
from tests.support.broker import Broker, Subscriber, until
from tests.support.samples import event

NOW = datetime.now(UTC).replace(microsecond=0)


@contextmanager
def ingesting(config: HubConfig) -> Iterator[Ingest]:
    """Runs a hub in a thread, subscribed."""
    ingest, ready = Ingest(config), threading.Event()
    thread = threading.Thread(target=ingest.run, args=(ready.set,))
    thread.start()
    try:
        assert ready.wait(20)
        yield ingest
    finally:
        ingest.stop()
        thread.join(10)


@pytest.fixture
def config(started_broker: Broker, database: DatabaseConfig) -> HubConfig:
    return HubConfig(
        database=database,
        mqtt=HubMqttConfig(port=started_broker.port),
        ingest=IngestConfig(batch_ms=20),
    )


@pytest.fixture
def send(started_broker: Broker) -> Iterator[Callable[..., None]]:
    """Publishes an event as its device, or any payload."""
    client = Subscriber(started_broker.port, "nothing")

    def publish(sent: PlateEvent | bytes | str, topic: str = "plateid/box/gate/event") -> None:
        payload = sent.to_json() if isinstance(sent, PlateEvent) else sent
        client.publish(topic, payload)

    yield publish
    client.close()


def fresh(seq: int, **changes: object) -> PlateEvent:
    times = {"first_seen": NOW, "last_seen": NOW, "sent_at": NOW}
    return replace(event(seq), **times | changes)


def rows(config: HubConfig, query: str) -> list[tuple]:
    with psycopg.connect(config.database.url) as db:
        return db.execute(query).fetchall()


def test_event_is_stored_once_though_it_is_sent_twice(config, send) -> None:
    first = fresh(7)
    with ingesting(config):
        send(first)
        send(replace(first, replayed=True))
        send(fresh(8, first_seen=NOW - timedelta(days=400), plate="O0I1"))
        until(lambda: rows(config, "SELECT 1 FROM event WHERE seq = 8"))
        until(lambda: len(rows(config, "SELECT 1 FROM event")) == 2)
    query = "SELECT plate, folded, device, payload ->> 'id' FROM event ORDER BY seq"
    assert rows(config, query)[0] == ("B68SPK", "8685PK", "box", first.id)
    assert rows(config, query)[1][:2] == ("O0I1", "0011")
    assert rows(config, "SELECT name FROM device") == [("box",)]


def test_bad_messages_are_quarantined_with_reason_and_count(config, send) -> None:
    good = fresh(1)
    stranger = replace(good, device="other")
    with ingesting(config):
        send(good)
        send(stranger)
        send(stranger, "plateid/other/gate/event")
        send(replace(good, first_seen=NOW - timedelta(days=1)))
        send(fresh(2, first_seen=NOW + timedelta(days=1)))
        send(fresh(2, first_seen=NOW - timedelta(days=5000)))
        send(b"x" * 10_000_000)
        send(b"\xff not JSON")
        send(fresh(2).to_json().replace('"reads":7', '"reads":"7"'))
        send(fresh(2).to_json().replace("B 68 SPK", "B\\u0000"))
        send(json.dumps({"plate": "X"}), "plateid/box/gate/read")
        send("{", "plateid/a b/gate/event")
        for _ in range(3):
            send(b"not JSON")
        send(fresh(3))
        until(lambda: rows(config, "SELECT 1 FROM event WHERE seq = 3"))
    found = rows(config, "SELECT device, reason, messages FROM quarantine ORDER BY 1, 2")
    assert found == [
        ("", "no valid name of a device in the topic", 1),
        ("box", "PostgreSQL refuses it: UntranslatableCharacter", 1),
        ("box", "a read needs plate and time", 1),
        ("box", "device or camera is not that of the topic", 1),
        ("box", "larger than 65,536 bytes", 1),
        ("box", "not JSON", 4),
        ("box", "of the future", 1),
        ("box", "older than 3660 days", 1),
        ("box", "out of schema: reads: type", 1),
        ("box", "the id is that of another event", 1),
        ("other", "the id is that of another event", 1),
    ]
    assert rows(config, "SELECT seq FROM event ORDER BY 1") == [(1,), (3,)]


def test_device_that_floods_is_limited_and_others_are_not() -> None:
    now = [0.0]
    limits = FloodLimits(10.0, lambda: now[0])
    assert sum(limits.admits("loud") for _ in range(BURST + 500)) == BURST
    assert limits.admits("quiet")
    now[0] = 1.0
    assert sum(limits.admits("loud") for _ in range(500)) == 10


def test_number_of_known_rates_is_bounded(monkeypatch) -> None:
    monkeypatch.setattr("plateid.hub.ingest.MAX_DEVICES", 10)
    limits = FloodLimits(10.0)
    assert all(limits.admits(f"lie-{n}") for n in range(100))
    assert len(limits._buckets) == 10


def test_foreign_read_is_an_event_of_an_unknown_model(config, send) -> None:
    read = {"plate": "ab 12-cd", "time": NOW.isoformat(), "confidence": 0.8, "region": "gb"}
    with ingesting(config):
        for _ in range(2):
            send(json.dumps(read), "plateid/hik-1/yard/read")
        send(fresh(1))
        until(lambda: rows(config, "SELECT 1 FROM event WHERE seq = 1"))
    query = "SELECT plate, device, camera, payload #>> '{model,reader}' FROM event WHERE seq = 0"
    assert rows(config, query) == [("AB12CD", "hik-1", "yard", "unknown")]


def test_source_keeps_a_part_of_long_messages_and_few_reports(started_broker, send) -> None:
    config = MqttConfig(port=started_broker.port)
    reporter = Subscriber(started_broker.port, "nothing")
    with (
        closing(SelfPipe()) as pipe,
        closing(MqttSource(config, pipe, instance=1, max_messages=5)) as source,
        closing(reporter),
    ):
        send(b"x" * 1_000_000)
        for _ in range(20):
            reporter._client.publish("plateid/box/health", "{}", qos=0)
        until(lambda: source.wait(0.1) or len(source._received) == 5)
        source.wait(0.5)
        taken = source.take(100, 0.01)
        assert len(taken) == 5
        assert max(len(each.payload) for each in taken) == MAX_BYTES + 1
        source.acknowledge()


def test_two_hubs_share_the_events(config, send) -> None:
    with ingesting(config) as one, ingesting(config) as other:
        for seq in range(1, 41):
            send(fresh(seq))
        until(lambda: len(rows(config, "SELECT 1 FROM event")) == 40)
        until(lambda: one.counts["stored"] + other.counts["stored"] == 40)
        assert min(one.counts["stored"], other.counts["stored"]) > 0


def test_counts_are_logged_only_after_a_change(config, send, logs, monkeypatch) -> None:
    monkeypatch.setattr("plateid.hub.ingest.REPORT_S", 0.0)
    with ingesting(config):
        for seq in (1, 2):
            send("{}", "plateid/box/health")  # it counts nothing
            send(fresh(seq))
            until(lambda: len(rows(config, "SELECT 1 FROM event")) == seq)  # noqa: B023
            until(lambda: {"event": "events", "log_level": "info", "stored": seq} in logs)  # noqa: B023
    assert len([each for each in logs if each["event"] == "events"]) == 2


def test_missing_event_is_requested_and_the_gap_is_closed(config, send, started_broker) -> None:
    listener = Subscriber(started_broker.port, "plateid/box/resend")
    missing = fresh(2)
    with ingesting(config):
        send(fresh(1))
        send(fresh(3))
        send(json.dumps({"last_seq": 5}), "plateid/box/health")
        until(lambda: len(listener.messages) > 0, 30)
        request = json.loads(listener.messages[0].payload)
        assert request == {"ranges": [[2, 2], [4, 5]]}
        for each in (missing, fresh(4), fresh(5)):
            send(replace(each, replayed=True))
        until(lambda: len(rows(config, "SELECT 1 FROM event")) == 5)
    listener.close()
    seen = rows(config, "SELECT seen::text, last FROM sequence")
    assert seen == [("{[1,6)}", 5)]
