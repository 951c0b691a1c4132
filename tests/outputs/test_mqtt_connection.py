"""One connection: what the check says of a broker, and what brokers may ask for."""

import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from plateid.config.outputs import MqttConfig
from plateid.errors import BrokerError
from plateid.outputs.mqtt import check_broker
from plateid.outputs.mqtt_connection import Connection
from plateid.outputs.self_pipe import SelfPipe
from plateid.store.event_store import EventStore
from tests.capture.test_camera import Waits
from tests.support.broker import Broker, Subscriber, free_port, running, until
from tests.support.samples import Logs, Publish, append, outbox, outbox_of, said


def test_a_connection_that_another_client_takes_over_is_named(
    store: EventStore, subscriber: Subscriber, broker: Broker, *, publish: Publish, logs: Logs
) -> None:
    publish(broker.config)
    until(lambda: subscriber.texts("gate/status") == ["offline"])
    client_id = f"plateid-box-{store.instance}"
    with closing(SelfPipe()) as pipe, closing(Connection(broker.config, client_id, pipe=pipe)):
        append(store, 1)
        until(lambda: said(logs, "outage ends"))
    assert said(logs, "outage starts") == [f"127.0.0.1:{broker.port}: Session taken over"]


def test_what_the_broker_says_when_it_hangs_up_comes_before_what_is_to_be_sent() -> None:
    with (
        closing(socket.create_server(("127.0.0.1", 0))) as server,
        ThreadPoolExecutor(1) as threads,
        closing(SelfPipe()) as pipe,
    ):
        hung_up = threads.submit(_take_over, server)
        port = server.getsockname()[1]
        with closing(Connection(MqttConfig(port=port), "box", pipe=pipe)) as connection:
            hung_up.result()
            for _ in range(3):  # what answers the first is a reset
                connection.publish("box/status", "online", qos=1, retain=True)
                time.sleep(0.1)
            with pytest.raises(BrokerError, match="Session taken over"):
                connection.poll(5)


def _take_over(server: socket.socket) -> None:
    with server.accept()[0] as client:
        client.recv(4096)
        client.sendall(b"\x20\x03\x00\x00\x00" + b"\xe0\x01\x8e")


def test_a_connection_that_is_taken_over_again_and_again_is_waited_for_longer(
    store: EventStore, subscriber: Subscriber, broker: Broker, publish: Publish
) -> None:
    waits = Waits()
    publish(broker.config, backoff=waits)
    client_id = f"plateid-box-{store.instance}"
    with closing(SelfPipe()) as pipe:
        for times in range(1, 4):
            until(lambda times=times: subscriber.texts("box/status").count("online") == times)
            with closing(Connection(broker.config, client_id, pipe=pipe)):
                until(lambda times=times: len(waits.failures) >= times)
    assert waits.failures == [1, 2, 3]


def test_the_broker_may_allow_a_smaller_window(
    store: EventStore, broker: Broker, publish: Publish
) -> None:
    broker.options = "max_inflight_messages 2"
    broker.start()
    append(store, 1)
    publisher = publish(broker.config)
    until(lambda: outbox(store) == 0)  # so is all that was sent before it
    broker.signal(signal.SIGSTOP)
    append(store, *range(2, 12))
    publisher.notify()
    until(lambda: outbox_of(store).pending(1)[0].sent)
    publisher.stop(0.3)
    assert [outgoing.sent for outgoing in outbox_of(store).pending(10)] == [True] * 2 + [False] * 8
    broker.signal(signal.SIGCONT)


def test_a_broker_without_mqtt_5_is_spoken_to_in_3_1_1(store: EventStore, publish: Publish) -> None:
    pytest.importorskip("amqtt")
    port = free_port()
    append(store, 1, 2)
    with running("old_broker", port):
        publisher = publish(MqttConfig(port=port))
        until(lambda: outbox(store) == 0)
        publisher.stop(5)


def test_check_broker_is_silent_when_all_is_well(broker: Broker) -> None:
    broker.start()
    check_broker(broker.config)


def test_check_broker_names_a_closed_port() -> None:
    port = free_port()
    with pytest.raises(BrokerError, match=f"^127.0.0.1:{port}: Connection refused$"):
        check_broker(MqttConfig(port=port))


def test_check_broker_names_a_wrong_password(broker: Broker, login: MqttConfig) -> None:
    broker.start()
    with pytest.raises(
        BrokerError, match=f"^127.0.0.1:{broker.port}: Not authorized: user plateid$"
    ):
        check_broker(login)


@pytest.mark.parametrize("host", ["nowhere.invalid", "a..b", "x" * 64])
def test_check_broker_names_a_host_that_does_not_exist(host: str) -> None:
    with pytest.raises(BrokerError, match=f"^{host}:1883: "):
        check_broker(MqttConfig(host=host))


def test_check_broker_names_a_time_out(silent: MqttConfig) -> None:
    with pytest.raises(BrokerError, match="timed out"):
        check_broker(silent)
