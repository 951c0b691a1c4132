"""Snapshots with a real mosquitto: retained, before their events, and never blocking them."""

from contextlib import closing

from plateid.config.outputs import MqttConfig
from tests.support.broker import Subscriber, free_port, until
from tests.support.samples import append, outbox, said

JPEG = b"\xff\xd8\xff" + bytes(range(256)) * 400


def images(subscriber: Subscriber) -> list[bytes]:
    return [message.payload for message in subscriber.of("gate/snapshot")]


def test_image_comes_before_its_event_and_the_last_one_is_retained(
    store, subscriber, broker, publish
):
    publisher = publish(broker.config)
    for seq in (1, 2, 3):
        publisher.set_snapshot("gate", JPEG + bytes([seq]))
        append(store, seq)
        publisher.notify()
        until(lambda seq=seq: subscriber.seqs()[-1:] == [seq])
    order = [m.topic.split("/")[-1] for m in subscriber.messages if "gate" in m.topic]
    assert [kind for kind in order if kind in ("snapshot", "event")] == ["snapshot", "event"] * 3
    assert images(subscriber) == [JPEG + bytes([seq]) for seq in (1, 2, 3)]
    with closing(Subscriber(broker.port, "plateid/box/gate/snapshot")) as late:
        until(lambda: images(late) == [JPEG + b"\3"])
        assert late.messages[0].retain


def test_only_the_latest_image_is_sent_after_an_outage(store, broker, publish):
    publisher = publish(broker.config)
    for seq in range(1, 6):
        publisher.set_snapshot("gate", bytes([seq]))
        append(store, seq)
    broker.start()
    with closing(Subscriber(broker.port)) as subscriber:
        until(lambda: outbox(store) == 0)
        until(lambda: images(subscriber) == [b"\5"])


def test_image_that_is_too_large_blocks_no_event(store, broker, publish, logs):
    broker.options = "max_packet_size 20000"
    broker.start()
    publisher = publish(broker.config)
    for seq in (1, 2, 3):
        publisher.set_snapshot("gate", JPEG)
        append(store, seq)
        publisher.notify()
        until(lambda: outbox(store) == 0)
    publisher.set_snapshot("gate", JPEG[:19_000])
    with closing(Subscriber(broker.port)) as subscriber:
        until(lambda: images(subscriber) == [JPEG[:19_000]])
    assert said(logs, "outage starts") == []
    assert len(said(logs, "message too large for broker")) == 1


def test_image_is_not_resent_on_a_new_connection(store, subscriber, broker, publish):
    publisher = publish(broker.config)
    publisher.set_snapshot("gate", JPEG)
    until(lambda: images(subscriber) == [JPEG])
    broker.kill()
    broker.start()
    append(store, 1)
    with closing(Subscriber(broker.port)) as other:
        publisher.notify()
        until(lambda: outbox(store) == 0)
        until(lambda: "online" in other.texts("box/status"))
        assert images(other) == []


def test_image_stays_retained_after_a_stop(subscriber, broker, publish):
    publisher = publish(broker.config)
    until(lambda: subscriber.texts("box/status") == ["online"])
    publisher.set_snapshot("gate", JPEG)
    publisher.stop(5)
    with closing(Subscriber(broker.port)) as late:
        until(lambda: images(late) == [JPEG])


def test_retained_image_is_deleted_if_snapshots_are_off(subscriber, broker, publish):
    first = publish(broker.config)
    first.set_snapshot("gate", JPEG)
    until(lambda: images(subscriber) == [JPEG])
    first.stop(5)
    publish(broker.config, images=False)
    until(lambda: images(subscriber) == [JPEG, b""])
    with closing(Subscriber(broker.port)) as late:
        until(lambda: "online" in late.texts("box/status"))
        assert images(late) == []


def test_one_image_per_camera_is_kept_in_memory_without_a_broker(publish):
    publisher = publish(MqttConfig(port=free_port()))
    for seq in range(100):
        publisher.set_snapshot("gate", bytes([seq]))
        publisher.set_snapshot("yard", bytes([seq]))
    assert publisher._retained._images == {
        f"plateid/box/{camera}/snapshot": bytes([99]) for camera in ("gate", "yard")
    }
