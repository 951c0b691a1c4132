"""Messages that are no events are refused with a reason, whatever they hold."""

import json
from datetime import UTC, datetime

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from plateid.hub.messages import Health, Message, RejectedError, parse
from plateid.hub.nats_source import _message
from tests.support.samples import event

NOW = datetime(2026, 12, 1, tzinfo=UTC)
EVENT = event(1).to_json()


def read(**fields: object) -> bytes:
    return json.dumps({"plate": "AB1", "time": "2026-11-30T12:00:00Z"} | fields).encode()


@pytest.mark.parametrize(
    ("topic", "payload", "reason"),
    [
        ("plateid/box/a/b/event", EVENT.encode(), "no topic of events"),
        ("plateid/box/event", EVENT.encode(), "no topic of events"),
        ("plateid//gate/event", b"", "no valid name"),
        ("plateid/box/gate/event", b"[" * 60_000, "not JSON"),
        ("plateid/box/gate/event", EVENT.replace("2026", "0000").encode(), "out of schema"),
        ("plateid/box/gate/read", read(time="0001-01-01T00:00:00+14:00"), "plate and time"),
        ("plateid/box/gate/read", read(time="9999-12-31T23:59:59-14:00"), "plate and time"),
        ("plateid/box/gate/read", read(confidence={"a": [1]}), "out of schema"),
        ("plateid/box/gate/read", read(way=[]), None),
        ("plateid/box/gate/read", read(plate="A1" * 16), None),
        ("plateid/box/gate/read", read(plate="A1" * 17), "plate: has more than 32"),
        ("plateid/box/gate/read", b"[]", "plate and time"),
        ("plateid/box/health", b"[" * 60_000, "not JSON"),
        ("plateid/box/health", b'{"a": NaN}', "not JSON"),
        ("plateid/box/health", b"[]", "no JSON object"),
    ],
)
def test_malformed_message_is_refused(topic: str, payload: bytes, reason: str | None) -> None:
    message = Message(topic, payload)
    if reason is None:
        assert parse(message, NOW)
        return
    with pytest.raises(RejectedError, match=reason):
        parse(message, NOW)


def test_last_number_of_a_health_report_is_checked() -> None:
    for last, expected in ((7, 7), (-1, 0), ("7", 0), (1 << 63, 0)):
        message = Message("plateid/box/health", json.dumps({"last_seq": last}).encode())
        found = parse(message, NOW)
        assert isinstance(found, Health)
        assert found.last_seq == expected


@pytest.mark.parametrize("topic", ["plateid/box/x.y/event", "plateid/box//event"])
def test_topic_with_a_dot_or_an_empty_level_comes_back_from_nats(topic: str) -> None:
    levels = (level.replace(".", "//") or "/" for level in topic.split("/"))
    message = _message(Msg(Client(), subject="$MQTT.msgs." + ".".join(levels)))
    assert message.topic == topic
