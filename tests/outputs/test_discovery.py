"""The discovery message at a real broker: when it is published, and how entities are removed."""

import json
import signal
from contextlib import closing
from typing import Any

from plateid.outputs import discovery
from plateid.store.event_store import EventStore
from tests.outputs.test_homeassistant import VALIDATOR
from tests.support.broken_disk import full_disk
from tests.support.broker import Broker, Subscriber, until
from tests.support.samples import QUICK, Publish, append, outbox

STATUS = "homeassistant/status"


def discovered(broker: Broker, store: EventStore, camera: str = "") -> dict[str, Any] | None:
    """The message that Home Assistant gets when it starts; None if there is none."""
    of_camera = f"_{camera}" if camera else ""
    topic = f"homeassistant/device/plateid_{store.instance}{of_camera}/config"
    with closing(Subscriber(broker.port, "homeassistant/#")) as late:
        late.publish("homeassistant/end", "")
        until(lambda: late.of("/end"))
        found = [message for message in late.messages if message.topic == topic and message.retain]
    for message in found:
        made: dict[str, Any] = json.loads(message.payload)
        VALIDATOR.validate(made)
        return made
    return None


def keys(made: dict[str, Any] | None) -> set[str]:
    """The components of list entries, and of which a camera has one."""
    assert made is not None
    names = {key.split("_", 2)[2] for key in made["cmps"]}
    return {name for name in names if name.endswith(("_last", "_Ana", "_Bob"))}


def publish_once(store: EventStore, broker: Broker, publish: Publish, **changes: Any) -> None:
    publisher = publish(broker.config, **changes)
    until(lambda: discovered(broker, store) is not None)
    publisher.stop(5)


def listen(broker: Broker) -> Subscriber:
    return Subscriber(broker.port, "#")


def configs(heard: Subscriber, store: EventStore, camera: str = "") -> list[dict[str, Any]]:
    """The discovery messages of the device or a camera; an empty one is {}."""
    of_camera = f"_{camera}" if camera else ""
    return [
        json.loads(text or "{}") for text in heard.texts(f"_{store.instance}{of_camera}/config")
    ]


def test_discovery_message_is_retained_and_valid(store, broker, publish):
    broker.start()
    publish(broker.config, cameras=["gate", "yard"])
    until(lambda: discovered(broker, store) is not None)
    for camera in ("gate", "yard"):
        until(lambda camera=camera: discovered(broker, store, camera) is not None)
        assert keys(discovered(broker, store, camera)) == {f"{camera}_last"}
    assert keys(discovered(broker, store)) == set()


def test_message_is_published_again_when_home_assistant_starts(store, broker, *, publish, logs):
    broker.start()
    with closing(listen(broker)) as heard:
        publish(broker.config)
        until(lambda: len(configs(heard, store, "gate")) == 1)
        heard.publish(STATUS, "offline")
        heard.publish(STATUS, "online")
        until(lambda: len(configs(heard, store, "gate")) == 2)
        for camera in ("", "gate"):
            first, again = configs(heard, store, camera)
            assert first == again
        for _ in range(2):
            heard.publish(STATUS, b"\xff\x00" * 1000)
        heard.publish(STATUS, "online")
        until(lambda: len(configs(heard, store, "gate")) == 3)
    assert len([e for e in logs if e["event"].startswith("unknown status")]) == 1


def test_message_is_published_again_to_a_broker_that_lost_it(store, broker, publish):
    broker.start()
    publish(broker.config)
    until(lambda: discovered(broker, store) is not None)
    broker.kill()
    broker.start()
    until(lambda: discovered(broker, store) is not None)


def test_camera_that_left_the_configuration_is_removed(store, broker, publish):
    broker.start()
    publish_once(store, broker, publish, cameras=["gate", "yard"])
    until(lambda: discovered(broker, store, "yard") is not None)
    publish(broker.config, cameras=["gate"])
    until(lambda: discovered(broker, store, "yard") is None)
    assert keys(discovered(broker, store, "gate")) == {"gate_last"}


def test_removal_that_no_broker_received_is_published_later(store, broker, publish):
    broker.start()
    publish_once(store, broker, publish, list_names=lambda: ("Ana", "Bob"))
    broker.kill()
    publish(broker.config).stop(0.2)
    broker.start()
    with closing(listen(broker)) as heard:
        publish(broker.config, list_names=lambda: ("Ana",))
        until(lambda: len(configs(heard, store)) == 2)
    removal, after = configs(heard, store)
    VALIDATOR.validate(removal)
    bob = f"plateid_{store.instance}_listed_Bob"
    assert removal["cmps"][bob] == {"p": "sensor"}
    assert after["cmps"].keys() == removal["cmps"].keys() - {bob}


def test_changed_list_changes_the_entities(store, broker, publish):
    listed = ["Ana"]
    broker.start()
    publisher = publish(broker.config, list_names=lambda: tuple(listed))
    until(lambda: discovered(broker, store) is not None)
    assert keys(discovered(broker, store)) == {"listed_Ana"}
    listed[:] = ["Bob"]
    publisher.notify()
    until(lambda: keys(discovered(broker, store)) == {"listed_Bob"})


def test_disabled_discovery_removes_all_devices_once(store, broker, publish):
    broker.start()
    publish_once(store, broker, publish)
    publisher = publish(broker.config, enabled=False)
    until(lambda: discovered(broker, store) is None)
    until(lambda: discovered(broker, store, "gate") is None)
    until(lambda: store.components() == {})
    publisher.stop(5)
    with closing(listen(broker)) as heard:
        append(store, 1)
        publish(broker.config, enabled=False)
        until(lambda: heard.of("/event"))
        assert not heard.of("/config")


def test_prefix_and_status_topic_come_from_the_configuration(store, broker, publish):
    broker.start()
    with closing(listen(broker)) as heard:
        publish(broker.config, prefix="ha/one", status_topic="ha/up")
        until(lambda: len(configs(heard, store, "gate")) == 1)
        assert all(m.topic.startswith("ha/one/device/plateid_") for m in heard.of("/config"))
        heard.publish("ha/up", "online")
        until(lambda: len(configs(heard, store, "gate")) == 2)


def test_full_disk_does_not_stop_the_message(store, broker, *, publish, monkeypatch):
    monkeypatch.setattr(discovery, "STORE_RETRY_S", 0.1)
    broker.start()
    with full_disk():
        publish(broker.config)
        until(lambda: discovered(broker, store) is not None)
        assert store.components() == {}
    until(store.components)


def retained(broker: Broker) -> dict[str, bytes]:
    """The last levels of the topics that the broker keeps messages of, with the messages."""
    with closing(Subscriber(broker.port)) as late:
        late.publish("plateid/end", "")
        until(lambda: late.of("/end"))
        return {m.topic.removeprefix("plateid/"): m.payload for m in late.messages if m.retain}


def publish_plates(store: EventStore, broker: Broker, publish: Publish, **changes: Any) -> None:
    """Publishes an event and a snapshot of camera `gate`, and stops."""
    publisher = publish(broker.config, **changes)
    publisher.set_snapshot("gate", b"jpeg")
    append(store, 1)
    publisher.notify()
    until(lambda: outbox(store) == 0)
    publisher.stop(5)


def test_plate_and_picture_of_a_removed_camera_are_deleted_at_the_broker(store, broker, publish):
    broker.start()
    publish_plates(store, broker, publish, cameras=["gate", "yard"])
    assert {"box/gate/last", "box/gate/snapshot", "box/gate/status"} <= retained(broker).keys()
    publish(broker.config, cameras=["yard"])
    until(lambda: not any(topic.startswith("box/gate/") for topic in retained(broker)))
    until(lambda: "plateid/box/gate/last" not in store.topics())
    assert "box/yard/status" in retained(broker)


def test_topics_of_a_renamed_device_are_deleted_once_the_broker_answers(store, broker, publish):
    broker.start()
    publish_plates(store, broker, publish, name="old")
    broker.signal(signal.SIGSTOP)
    publish(broker.config, name="new").stop(0.2)
    broker.signal(signal.SIGCONT)
    assert "plateid/old/gate/last" in store.topics()
    publish(broker.config, name="new")
    until(lambda: retained(broker).keys() == {"new/status", "new/gate/status"})
    until(lambda: not any(topic.startswith("plateid/old/") for topic in store.topics()))


def test_full_disk_delays_the_deletion_of_old_topics(store, broker, *, publish, monkeypatch):
    monkeypatch.setattr(discovery, "BACKOFF", QUICK)
    broker.start()
    publish_plates(store, broker, publish, name="old")
    with full_disk():
        publish(broker.config, name="new")
        until(lambda: "new/status" in retained(broker))
        assert "old/gate/last" in retained(broker)
    until(lambda: "old/gate/last" not in retained(broker))
