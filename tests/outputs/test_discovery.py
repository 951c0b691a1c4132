"""The announcement at a real broker: when it is sent, and what becomes of what is gone."""

import json
from contextlib import closing
from typing import Any

from plateid.store.event_store import EventStore
from tests.outputs.test_homeassistant import VALIDATOR
from tests.support.broken_disk import full_disk
from tests.support.broker import Broker, Subscriber, until
from tests.support.samples import Logs, Publish, append, said

STATUS = "homeassistant/status"


def announced(broker: Broker, store: EventStore) -> dict[str, Any] | None:
    """What Home Assistant finds when it starts; None when it finds nothing."""
    topic = f"homeassistant/device/plateid_{store.instance}/config"
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
    """Of the components, those whose camera or list matters here."""
    assert made is not None
    names = {key.split("_", 2)[2] for key in made["cmps"]}
    return {name for name in names if name.endswith(("_last", "_Ana", "_Bob"))}


def announce_once(store: EventStore, broker: Broker, publish: Publish, **changes: Any) -> None:
    publisher = publish(broker.config, **changes)
    until(lambda: announced(broker, store) is not None)
    publisher.stop(5)


def hear(broker: Broker) -> Subscriber:
    return Subscriber(broker.port, "#")


def configs(heard: Subscriber) -> list[dict[str, Any]]:
    return [json.loads(text) for text in heard.texts("/config")]


def test_it_is_retained_and_valid(store: EventStore, broker: Broker, publish: Publish) -> None:
    broker.start()
    publish(broker.config, cameras=["gate", "yard"])
    until(lambda: announced(broker, store) is not None)
    assert keys(announced(broker, store)) == {"gate_last", "yard_last"}


def test_it_is_sent_again_when_home_assistant_says_that_it_is_up(
    broker: Broker, publish: Publish, logs: Logs
) -> None:
    broker.start()
    with closing(hear(broker)) as heard:
        publish(broker.config)
        until(lambda: len(configs(heard)) == 1)
        heard.publish(STATUS, "offline")
        heard.publish(STATUS, "online")
        until(lambda: len(configs(heard)) == 2)
        assert configs(heard)[0] == configs(heard)[1]
        for _ in range(2):
            heard.publish(STATUS, b"\xff\x00" * 1000)
        heard.publish(STATUS, "online")
        until(lambda: len(configs(heard)) == 3)
    assert len([e for e in logs if e["event"].startswith("unknown status")]) == 1


def test_it_is_sent_again_to_a_broker_that_forgot_it(
    store: EventStore, broker: Broker, publish: Publish
) -> None:
    broker.start()
    publish(broker.config)
    until(lambda: announced(broker, store) is not None)
    broker.kill()
    broker.start()
    until(lambda: announced(broker, store) is not None)


def test_a_camera_that_left_the_configuration_is_removed(
    store: EventStore, broker: Broker, publish: Publish
) -> None:
    """First its components are said to be gone, then they are not named any more."""
    broker.start()
    announce_once(store, broker, publish, cameras=["gate", "yard"])
    with closing(hear(broker)) as heard:
        publish(broker.config, cameras=["gate"])
        until(lambda: len(configs(heard)) == 3)  # the first is what was retained
    _, removal, after = configs(heard)
    VALIDATOR.validate(removal)
    gone = {k.split("_", 2)[2]: part for k, part in removal["cmps"].items() if len(part) == 1}
    assert gone == {
        "yard_event": {"p": "event"},
        "yard_last": {"p": "sensor"},
        "yard_snapshot": {"p": "image"},
        "yard_online": {"p": "binary_sensor"},
        "yard_reads": {"p": "sensor"},
    }
    assert keys(after) == keys(announced(broker, store)) == {"gate_last"}


def test_a_removal_that_no_broker_heard_is_made_up_for(
    store: EventStore, broker: Broker, publish: Publish
) -> None:
    broker.start()
    announce_once(store, broker, publish, cameras=["gate", "yard"])
    broker.kill()
    publish(broker.config).stop(0.2)
    broker.start()
    with closing(hear(broker)) as heard:
        publish(broker.config, cameras=["gate"])
        until(lambda: len(configs(heard)) == 2)
    assert keys(configs(heard)[0]) == {"gate_last", "yard_last"}
    assert keys(configs(heard)[1]) == {"gate_last"}


def test_lists_may_change_while_it_runs(
    store: EventStore, broker: Broker, publish: Publish
) -> None:
    listed = ["Ana"]
    broker.start()
    publisher = publish(broker.config, list_names=lambda: tuple(listed))
    until(lambda: announced(broker, store) is not None)
    assert keys(announced(broker, store)) == {"gate_last", "listed_Ana"}
    listed[:] = ["Bob"]
    publisher.notify()
    until(lambda: keys(announced(broker, store)) == {"gate_last", "listed_Bob"})


def test_where_it_is_turned_off_the_device_is_removed_once(
    store: EventStore, broker: Broker, publish: Publish
) -> None:
    broker.start()
    announce_once(store, broker, publish)
    publisher = publish(broker.config, enabled=False)
    until(lambda: announced(broker, store) is None)
    until(lambda: store.components() == {})
    publisher.stop(5)
    with closing(hear(broker)) as heard:
        append(store, 1)
        publish(broker.config, enabled=False)
        until(lambda: heard.of("/event"))
        assert not heard.of("/config")


def test_prefix_and_status_topic_are_those_of_the_configuration(
    broker: Broker, publish: Publish
) -> None:
    broker.start()
    with closing(hear(broker)) as heard:
        publish(broker.config, prefix="ha/one", status_topic="ha/up")
        until(lambda: len(configs(heard)) == 1)
        assert heard.of("/config")[0].topic.startswith("ha/one/device/plateid_")
        heard.publish("ha/up", "online")
        until(lambda: len(configs(heard)) == 2)


def test_a_full_disk_puts_it_off(
    store: EventStore, broker: Broker, *, publish: Publish, logs: Logs
) -> None:
    broker.start()
    with closing(Subscriber(broker.port)) as subscriber, full_disk():
        publish(broker.config)
        until(lambda: said(logs, "outage starts"))
        until(lambda: subscriber.texts("gate/status") == ["offline"])
        assert announced(broker, store) is None
    until(lambda: announced(broker, store) is not None)
