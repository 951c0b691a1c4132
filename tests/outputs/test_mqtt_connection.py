"""One MQTT connection: broker checks, disconnects, and limits that a broker sets."""

import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from plateid.config.outputs import MqttConfig
from plateid.errors import BrokerError
from plateid.outputs.mqtt import check_broker
from plateid.outputs.mqtt_connection import MqttConnection
from plateid.outputs.self_pipe import SelfPipe
from tests.capture.test_camera import Waits
from tests.support.broker import free_port, running, until
from tests.support.samples import append, outbox, outbox_of, said


def test_connection_taken_over_by_another_client_is_named(
    store, subscriber, broker, *, publish, logs
):
    publish(broker.config)
    until(lambda: subscriber.texts("gate/status") == ["offline"])
    client_id = f"plateid-box-{store.instance}"
    with closing(SelfPipe()) as pipe, closing(MqttConnection(broker.config, client_id, pipe=pipe)):
        append(store, 1)
        until(lambda: said(logs, "outage ends"))
    assert said(logs, "outage starts") == [f"127.0.0.1:{broker.port}: Session taken over"]


def test_reason_of_a_disconnect_is_read_before_the_next_write():
    with (
        closing(socket.create_server(("127.0.0.1", 0))) as server,
        ThreadPoolExecutor(1) as threads,
        closing(SelfPipe()) as pipe,
    ):
        disconnected = threads.submit(_take_over, server)
        port = server.getsockname()[1]
        with closing(MqttConnection(MqttConfig(port=port), "box", pipe=pipe)) as connection:
            disconnected.result()
            for _ in range(3):  # the answer to the first is a TCP reset
                connection.publish("box/status", "online", qos=1, retain=True)
                time.sleep(0.1)
            with pytest.raises(BrokerError, match="Session taken over"):
                connection.poll(5)


def _take_over(server: socket.socket) -> None:
    with server.accept()[0] as client:
        client.recv(4096)
        client.sendall(b"\x20\x03\x00\x00\x00" + b"\xe0\x01\x8e")


def test_wait_grows_if_the_connection_is_taken_over_repeatedly(store, subscriber, broker, publish):
    waits = Waits()
    publish(broker.config, backoff=waits)
    client_id = f"plateid-box-{store.instance}"
    with closing(SelfPipe()) as pipe:
        for times in range(1, 4):
            until(lambda times=times: subscriber.texts("box/status").count("online") == times)
            with closing(MqttConnection(broker.config, client_id, pipe=pipe)):
                until(lambda times=times: len(waits.failures) >= times)
    assert waits.failures == [1, 2, 3]


def test_window_is_as_small_as_the_broker_demands(store, broker, publish):
    broker.options = "max_inflight_messages 2"
    broker.start()
    append(store, 1)
    publisher = publish(broker.config)
    until(lambda: outbox(store) == 0)  # and all earlier messages are acknowledged
    broker.signal(signal.SIGSTOP)
    append(store, *range(2, 12))
    publisher.notify()
    until(lambda: outbox_of(store).pending(1)[0].sent)
    publisher.stop(0.3)
    assert [outgoing.sent for outgoing in outbox_of(store).pending(10)] == [True] * 2 + [False] * 8
    broker.signal(signal.SIGCONT)


def test_broker_without_mqtt_5_gets_3_1_1(store, publish):
    pytest.importorskip("amqtt")
    port = free_port()
    append(store, 1, 2)
    with running("old_broker", port):
        publisher = publish(MqttConfig(port=port))
        until(lambda: outbox(store) == 0)
        publisher.stop(5)


def test_check_broker_accepts_a_working_broker(broker):
    broker.start()
    check_broker(broker.config)


def test_check_broker_names_a_closed_port():
    port = free_port()
    with pytest.raises(BrokerError, match=f"^127.0.0.1:{port}: Connection refused$"):
        check_broker(MqttConfig(port=port))


def test_check_broker_names_a_wrong_password(broker, login):
    broker.start()
    with pytest.raises(
        BrokerError, match=f"^127.0.0.1:{broker.port}: Not authorized: user plateid$"
    ):
        check_broker(login)


@pytest.mark.parametrize("host", ["nowhere.invalid", "a..b", "x" * 64])
def test_check_broker_names_a_host_that_does_not_exist(host):
    with pytest.raises(BrokerError, match=f"^{host}:1883: "):
        check_broker(MqttConfig(host=host))


def test_check_broker_names_a_time_out(silent):
    with pytest.raises(BrokerError, match="timed out"):
        check_broker(silent)
