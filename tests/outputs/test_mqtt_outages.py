"""The MQTT publisher with a broker that is away, killed or refusing, and with a full disk."""

import signal
import socket
import socketserver
import threading
from contextlib import closing, suppress

from plateid.backoff import Backoff
from plateid.config.outputs import MqttConfig
from plateid.outputs import mqtt, mqtt_sender
from plateid.outputs import mqtt_connection as connection
from plateid.store.event_store import EventStore
from tests.outputs.test_mqtt import stop_before_puback
from tests.support.broken_disk import full_disk
from tests.support.broker import Subscriber, until
from tests.support.samples import append, event, outbox, outbox_of, said

PUBACK = 0x40


def test_events_wait_for_a_broker_that_starts_later(store, broker, login, *, publish, logs):
    append(store, 1, 2, 3)
    publish(login)
    until(lambda: said(logs, "outage starts"))
    broker.start()
    with closing(Subscriber(broker.port)) as subscriber:
        broker.set_passwords(plateid="right")
        until(lambda: subscriber.seqs() == [1, 2, 3])
        assert [sent["replayed"] for sent in subscriber.events()] == [False] * 3
        until(lambda: said(logs, "outage ends"))
    (first,) = said(logs, "outage starts")
    assert first == f"127.0.0.1:{broker.port}: Connection refused"
    assert set(said(logs, "outage goes on")) <= {
        f"127.0.0.1:{broker.port}: Not authorized: user plateid"
    }


def test_killed_broker_loses_no_event_and_duplicates_are_marked(
    store, subscriber, broker, *, publish, login
):
    broker.set_passwords(plateid="right")
    seqs = list(range(1, 1001))
    append(store, *seqs)
    publish(login)
    until(lambda: len(subscriber.seqs()) >= 30)
    broker.signal(signal.SIGSTOP)
    until(lambda: sum(outgoing.sent for outgoing in outbox_of(store).pending(1000)) == 20)
    broker.kill()
    subscriber.wait_lost()
    broker.set_passwords()
    broker.start()
    subscriber.wait_ready()
    broker.set_passwords(plateid="right")
    until(lambda: outbox(store) == 0)
    until(lambda: set(subscriber.seqs()) == set(seqs))
    ids: set[str] = set()
    for sent in subscriber.events():
        assert sent["replayed"] or sent["id"] not in ids
        ids.add(sent["id"])
    assert len(ids) == len(seqs)
    assert 1 <= sum(sent["replayed"] for sent in subscriber.events()) <= 20


class SwallowingProxy(socketserver.ThreadingTCPServer):
    """A proxy before a broker that swallows the first PUBACKs."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, port: int, swallows: int) -> None:
        super().__init__(("127.0.0.1", 0), ProxyHandler)
        self.broker_port, self.swallows = port, swallows
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}).start()

    def close(self) -> None:
        self.shutdown()
        self.server_close()


class ProxyHandler(socketserver.StreamRequestHandler):
    server: SwallowingProxy

    def handle(self) -> None:
        with (
            socket.create_connection(("127.0.0.1", self.server.broker_port)) as broker,
            broker.makefile("rb") as answers,
        ):
            threading.Thread(target=self._forward, args=[broker], daemon=True).start()
            while head := answers.read(2):  # all packets of the broker are shorter than 128 bytes
                packet = head + answers.read(head[1])
                if head[0] == PUBACK and self.server.swallows:
                    self.server.swallows -= 1
                else:
                    self.wfile.write(packet)

    def _forward(self, broker: socket.socket) -> None:
        with suppress(OSError):
            while data := self.request.recv(4096):
                broker.sendall(data)
            broker.shutdown(socket.SHUT_WR)


def test_events_without_puback_are_resent(store, subscriber, broker, *, publish, logs, monkeypatch):
    monkeypatch.setattr(mqtt_sender, "PUBACK_TIMEOUT_S", 0.5)
    monkeypatch.setattr(mqtt, "HEALTH_S", 0.1)  # a health report has no PUBACK
    monkeypatch.setattr(mqtt, "SETTLE_S", 0)
    monkeypatch.setattr(mqtt, "TICK_S", 0.1)
    append(store, 1, 2, 3)
    with closing(SwallowingProxy(broker.port, swallows=8)) as proxy:
        publish(MqttConfig(port=proxy.server_address[1]))
        until(lambda: outbox(store) == 0)
    assert any("not acknowledged within 0.5 s" in each for each in said(logs, "outage starts"))
    assert set(subscriber.seqs()) == {1, 2, 3}
    last = {sent["seq"]: sent["replayed"] for sent in subscriber.events()}
    assert last == {1: True, 2: True, 3: True}


def test_unacknowledged_event_is_resent_after_a_restart(
    store, subscriber, broker, *, publish, tmp_path
):
    publisher = publish(broker.config)
    stop_before_puback(store, subscriber, broker, publisher)
    publisher.stop(0.3)
    until(lambda: not publisher.is_alive())
    append(store, 2)
    store.close()
    broker.signal(signal.SIGCONT)
    until(lambda: subscriber.seqs() == [1])
    with closing(EventStore(tmp_path / "events.sqlite3")) as reopened:
        publisher = publish(broker.config, store=reopened)
        until(lambda: outbox(reopened) == 0)
        publisher.stop(5)
    until(lambda: subscriber.seqs() == [1, 1, 2])
    first, again, new = subscriber.events()
    assert (first["replayed"], again["replayed"], new["replayed"]) == (False, True, False)
    assert first["id"] == again["id"]
    assert again["sent_at"] > first["sent_at"]


def test_refused_password_is_logged_once_and_a_corrected_one_is_used(
    subscriber, broker, login, *, publish, logs, monkeypatch
):
    monkeypatch.setattr(mqtt, "LASTS_S", 0.1)
    broker.set_passwords(plateid="other")
    publish(login)
    until(lambda: broker.log().count("not authorised") > 5)
    assert said(logs, "outage starts") == [f"127.0.0.1:{broker.port}: Not authorized: user plateid"]
    assert login.password_file is not None
    login.password_file.write_text("other\n")
    until(lambda: subscriber.texts("box/status") == ["online"])
    until(lambda: said(logs, "outage ends") == [""])
    assert not said(logs, "outage goes on")
    assert "right" not in str(logs)
    assert "other" not in str(logs)


def test_missing_password_file_is_named(login, publish, logs):
    assert login.password_file is not None
    login.password_file.unlink()
    publish(login)
    until(lambda: said(logs, "outage starts"))
    reason = f"mqtt.password_file: {login.password_file}: No such file or directory"
    assert said(logs, "outage starts") == [reason]


def append_to_memory(publisher, seq):
    publisher._queue._backlog.accept(event(seq))
    publisher.notify()


def test_event_on_a_disk_that_cannot_be_written_is_sent_once(
    store, subscriber, broker, *, publish, logs
):
    append(store, 1)
    with full_disk():
        publisher = publish(broker.config, enabled=False)
        until(lambda: subscriber.seqs() == [1])
        append_to_memory(publisher, 2)
        until(lambda: subscriber.seqs() == [1, 2])
        assert outbox(store) == 1
    publisher._queue._backlog.flush()
    until(lambda: outbox(store) == 0)
    publisher.stop(5)
    replayed = [each["replayed"] for each in subscriber.events()]
    assert replayed == [True, False]  # an earlier start may have sent the first
    outages = {entry["what"] for entry in logs if "what" in entry}
    assert outages == {"event store", "list of MQTT topics"}


def test_acknowledged_event_is_sent_once_even_if_the_disk_is_full(
    store, subscriber, broker, *, publish, logs
):
    publisher = publish(broker.config)
    stop_before_puback(store, subscriber, broker, publisher)
    with full_disk():
        broker.signal(signal.SIGCONT)
        until(lambda: said(logs, "outage starts"))
        assert outbox(store) == 1
    publisher._queue._backlog.flush()
    assert outbox(store) == 0
    publisher.stop(5)
    until(lambda: subscriber.texts("box/status") == ["online", "offline"])
    assert subscriber.seqs() == [1]


def test_refused_event_waits_in_order_until_the_broker_takes_it(
    store, subscriber, broker, *, publish, logs
):
    rule = "topic read #\ntopic write plateid/box/+/status\ntopic write plateid/box/status\n"
    broker.set_rules(rule + "topic write plateid/box/yard/#")
    append(store, *range(1, 31), camera="gate")
    append(store, 31, 32, camera="yard")
    publish(broker.config)
    until(lambda: subscriber.seqs() == [31, 32] and outbox(store) == 30)
    assert said(logs, "outage starts") == ["plateid/box/gate/event: Not authorized"]
    broker.set_rules("topic readwrite #")
    until(lambda: outbox(store) == 0)
    until(lambda: len(subscriber.seqs()) == 32)
    assert subscriber.seqs()[2:] == list(range(1, 31))
    assert subscriber.events()[2]["replayed"] is True
    assert said(logs, "outage ends") == [""]


def test_refused_event_that_was_trimmed_does_not_block_its_camera(store, broker, publish, logs):
    broker.set_rules("topic read #\ntopic write plateid/box/+/status")
    broker.start()
    append(store, 1, 2)
    publisher = publish(broker.config, enabled=False)
    until(lambda: said(logs, "outage starts") == ["plateid/box/gate/event: Not authorized"])
    outbox_of(store).remove([each.event.id for each in outbox_of(store).pending(9)])
    broker.set_rules("topic readwrite #")
    append(store, 3)
    publisher.notify()
    until(lambda: said(logs, "outage ends"))


def test_event_that_is_too_large_blocks_no_other_camera(store, broker, publish, logs):
    broker.options = "max_packet_size 3000"
    broker.start()
    append(store, 1)
    append(store, 2, camera="yard", device="x" * 3000)
    append(store, 3)
    with closing(Subscriber(broker.port)) as subscriber:
        publish(broker.config)
        until(lambda: subscriber.seqs() == [1, 3])
    until(lambda: outbox(store) == 1)
    assert [waiting.sent for waiting in outbox_of(store).pending(9)] == [False]
    (reason,) = said(logs, "outage starts")
    assert reason.endswith("/yard/event: larger than the broker takes")
    assert broker.log().count(" as plateid-") <= 2, "it never disconnects"


def test_wait_of_an_outage_counts_as_a_step_for_the_watchdog(silent, publish, logs, monkeypatch):
    monkeypatch.setattr(connection, "CONNECT_TIMEOUT_S", 0.2)
    publisher = publish(silent, backoff=Backoff(60.0))
    began = publisher.moved_at
    until(lambda: said(logs, "outage starts"))
    until(lambda: publisher.moved_at > began + 0.15, 5)


def test_refused_status_is_logged(broker, publish, logs):
    broker.set_rules("topic read #")
    broker.start()
    publish(broker.config, enabled=False)
    until(lambda: said(logs, "broker refuses message") == ["Not authorized"] * 2)
