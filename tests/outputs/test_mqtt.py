"""The MQTT publisher with a real mosquitto: topics, retained messages, statuses and stop."""

import signal
import time
from contextlib import closing

from plateid.backoff import Backoff
from plateid.config.outputs import MqttConfig
from plateid.outputs import mqtt
from plateid.outputs.mqtt import MqttPublisher
from tests.core.test_schema import VALIDATOR
from tests.support.broker import Subscriber, free_port, running, until
from tests.support.samples import append, outbox, outbox_of


def test_events_arrive_in_order_and_leave_the_outbox(store, subscriber, broker, publish):
    append(store, 1, 2)
    publisher = publish(broker.config)
    until(lambda: outbox(store) == 0)
    append(store, 3)
    publisher.notify()
    until(lambda: outbox(store) == 0)
    until(lambda: subscriber.seqs() == [1, 2, 3])
    for sent in subscriber.events():
        VALIDATOR.validate(sent)
        assert sent["sent_at"] is not None
        assert sent["replayed"] is False
    assert {message.topic for message in subscriber.of("/event")} == {"plateid/box/gate/event"}
    assert subscriber.texts("/gate/last") == subscriber.texts("/gate/event")


def test_notified_event_does_not_wait_for_the_tick(
    store, subscriber, broker, publish, *, monkeypatch
):
    monkeypatch.setattr(mqtt, "TICK_S", 60.0)
    publisher = publish(broker.config)
    until(lambda: subscriber.texts("box/status") == ["online"])
    append(store, 1)
    publisher.notify()
    until(lambda: subscriber.seqs() == [1])


def test_late_subscriber_gets_statuses_and_last_but_no_event(store, subscriber, broker, publish):
    append(store, 1, 2)
    publisher = publish(broker.config)
    publisher.set_camera_status("gate", online=True)
    until(lambda: subscriber.seqs() == [1, 2] and "online" in subscriber.texts("gate/status"))
    with closing(Subscriber(broker.port)) as late:
        until(lambda: len(late.messages) == 3)
        assert all(message.retain for message in late.messages)
        assert late.texts("box/status") == late.texts("gate/status") == ["online"]
        assert [last["seq"] for last in late.events("/last")] == [2]


def test_online_is_published_on_every_connection(subscriber, broker, publish):
    publisher = publish(broker.config)
    publisher.set_camera_status("gate", online=True)
    until(lambda: subscriber.texts("gate/status")[-1:] == ["online"])
    broker.kill()
    broker.start()
    with closing(Subscriber(broker.port)) as other:
        until(lambda: "online" in other.texts("box/status"))
        until(lambda: "online" in other.texts("gate/status"))


def test_stop_publishes_offline_for_device_and_cameras(subscriber, broker, publish):
    publisher = publish(broker.config, cameras=["gate", "yard"])
    publisher.set_camera_status("gate", online=True)
    until(lambda: subscriber.texts("gate/status")[-1:] == ["online"])
    publisher.stop(5)
    with closing(Subscriber(broker.port)) as late:
        until(lambda: len(late.messages) == 3)
        assert late.texts("/status") == ["offline"] * 3
    until(lambda: subscriber.texts("box/status") == ["online", "offline"])


def test_stop_sends_waiting_events_before_offline(store, subscriber, broker, publish):
    publisher = publish(broker.config)
    until(lambda: subscriber.texts("box/status") == ["online"])
    append(store, *range(1, 51))
    publisher.stop(5)
    assert outbox(store) == 0
    until(lambda: subscriber.texts("/status") == ["online", "offline", "offline", "offline"])
    assert subscriber.seqs() == list(range(1, 51))
    topics = [message.topic for message in subscriber.messages]
    assert set(topics[-2:]) == {"plateid/box/status", "plateid/box/gate/status"}


def test_killed_process_is_offline(subscriber, broker, tmp_path):
    with running("other_publisher", tmp_path / "other.sqlite3", broker.port) as process:
        until(lambda: subscriber.texts("box/status") == ["online"])
        process.kill()
    until(lambda: subscriber.texts("box/status") == ["online", "offline"])
    with closing(Subscriber(broker.port)) as late:
        until(lambda: late.texts("box/status") == ["offline"])


def test_restart_after_a_power_cut_ends_online(subscriber, broker, publish, tmp_path):
    """The last will of the old connection must come before the new `online`."""
    with running("other_publisher", tmp_path / "events.sqlite3", broker.port) as process:
        until(lambda: subscriber.texts("box/status") == ["online"])
        process.send_signal(signal.SIGSTOP)
        publish(broker.config, cameras=[])
        until(lambda: subscriber.texts("box/status") == ["online", "offline", "online"])
        process.kill()
    with closing(Subscriber(broker.port)) as late:
        until(lambda: late.texts("box/status") == ["online"])


def test_stop_is_in_time_if_the_broker_never_answers(store, silent, publish):
    append(store, 1)
    publisher = publish(silent)
    assert stop_time_s(publisher, 2.0) < 2.0
    assert outbox(store) == 1


def test_stop_is_in_time_if_the_broker_stops_answering(store, subscriber, broker, publish):
    publisher = publish(broker.config)
    stop_before_puback(store, subscriber, broker, publisher)
    assert stop_time_s(publisher, 10.0) < 10.0
    assert outbox(store) == 1
    broker.signal(signal.SIGCONT)


def test_stop_is_quick_without_a_broker(publish):
    publisher = publish(MqttConfig(port=free_port()), backoff=Backoff(60, 60))
    assert stop_time_s(publisher, 5.0) < 1.0


def stop_before_puback(store, subscriber, broker, publisher):
    """Stops the broker, and sends it an event."""
    until(lambda: subscriber.texts("gate/status") == ["offline"])
    broker.signal(signal.SIGSTOP)
    append(store, 1)
    publisher.notify()
    until(lambda: outbox_of(store).pending(1)[0].sent)


def stop_time_s(publisher: MqttPublisher, timeout_s: float) -> float:
    started = time.monotonic()
    publisher.stop(timeout_s)
    return time.monotonic() - started
