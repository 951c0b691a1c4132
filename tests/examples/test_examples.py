"""The examples run against plateid, and refer only to what plateid publishes."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import yaml
from paho.mqtt import publish
from prometheus_client import generate_latest

from plateid.config.outputs import WebhookConfig
from plateid.core.records import OutboxEntry
from plateid.outputs.homeassistant import (
    ATTRIBUTES,
    camera_components,
    components,
    discovery_payload,
)
from plateid.outputs.mqtt_topics import MqttDevice
from plateid.outputs.webhook import Webhook
from plateid.service.metrics import Metrics
from plateid.store.event_store import EventStore
from tests.support.broker import Broker, free_port
from tests.support.samples import append, event, make_health

EXAMPLES = Path("examples")
pytestmark = pytest.mark.timeout(60)  # an example that prints nothing must not block the tests
SCHEMA = json.loads(Path("plateid/core/schema/plate-event.v1.json").read_text())
SECRET = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105 - of the test


@contextmanager
def example(name: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """Runs an example and kills it at the end."""
    command = [sys.executable, str(EXAMPLES / name), *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_the_subscriber_prints_an_event_once(tmp_path):
    with closing(Broker(tmp_path)) as broker:
        broker.start()
        with example("mqtt_subscriber.py", f"127.0.0.1:{broker.port}") as process:
            assert line(process) == "subscribed"
            first, other = event(1).to_json(), event(2, plate="KX73LPH").to_json()
            messages = [("plateid/box/gate/event", text, 1) for text in (first, first, other)]
            publish.multiple(messages, port=broker.port)
            assert line(process) == "plate_seen gate B68SPK unlisted"
            assert line(process) == "plate_seen gate KX73LPH unlisted"


def test_the_receiver_accepts_a_signed_webhook_and_refuses_a_forged_one(tmp_path):
    (tmp_path / "secret").write_text(SECRET)
    (tmp_path / "other").write_text(SECRET[::-1])
    port = free_port()
    url = f"http://127.0.0.1:{port}/"
    entry = OutboxEntry(event(1), sent=False)
    with example("webhook_receiver.py", tmp_path / "secret", port) as process:
        assert line(process) == f"listening at {port}"
        genuine = WebhookConfig(name="a", url=url, secret_file=tmp_path / "secret")
        assert Webhook(genuine).deliver(entry)
        assert line(process) == "plate_seen gate B68SPK"
        forged = WebhookConfig(name="b", url=url, secret_file=tmp_path / "other")
        with pytest.raises(Exception, match="answers 400 wrong signature"):
            Webhook(forged).deliver(entry)


AUTOMATIONS = sorted(EXAMPLES.glob("home-assistant/*.yaml"))
BLUEPRINTS = sorted(EXAMPLES.glob("home-assistant/blueprints/*.yaml"))


@pytest.mark.parametrize("file", AUTOMATIONS, ids=lambda file: file.name)
def test_an_automation_uses_existing_entities_and_fields(file):
    text = file.read_text()
    automation = yaml.safe_load(text)
    assert {"alias", "triggers", "actions"} <= automation.keys()
    device = MqttDevice("plateid", "gate", "1234", ("drive",))
    own = json.loads(discovery_payload(device, components(device), removed={}))
    parts = camera_components(device, "drive")
    camera = json.loads(discovery_payload(device, parts, removed={}, camera="drive"))
    entities = [*own["cmps"].values(), *camera["cmps"].values()]
    known = {part["default_entity_id"] for part in entities}
    used = set(re.findall(r"\b(?:event|sensor|binary_sensor|image)\.gate_\w+", text))
    assert used
    assert used <= known


@pytest.mark.parametrize("file", BLUEPRINTS, ids=lambda file: file.name)
def test_a_blueprint_uses_fields_that_are_attributes(file):
    used = set(
        re.findall(r"(?:to_state\.attributes|\bevent)\.(?!get\b|gate_)(\w+)", file.read_text())
    )
    assert {"event_type", "list"} <= used <= set(ATTRIBUTES)


def test_the_node_red_flow_is_wired_and_uses_existing_fields():
    nodes = {node["id"]: node for node in json.loads((EXAMPLES / "node-red-flow.json").read_text())}
    wires = [to for node in nodes.values() for out in node.get("wires", []) for to in out]
    assert set(wires) <= nodes.keys()
    assert nodes["plateid_in"]["topic"] == "plateid/+/+/event"
    code = " ".join(node.get("func", "") for node in nodes.values())
    fields = set(re.findall(r"\bevent\.(\w+)", code))
    assert fields
    assert fields <= SCHEMA["properties"].keys()


def test_the_dashboard_shows_only_metrics_that_plateid_has(tmp_path):
    dashboard = (EXAMPLES / "grafana-dashboard.json").read_text()
    used = set(re.findall(r"\bplateid_[a-z_]+\b", dashboard))
    with closing(EventStore(tmp_path / "events.sqlite3")) as store:
        append(store, 1)
        report = make_health(store).report() | {"temperature_c": 40.0}
        text = generate_latest(Metrics(lambda: report).registry).decode()
    known = set(re.findall(r"^# TYPE (\w+)", text, re.MULTILINE))
    assert len(used) >= 10
    assert {re.sub("_bucket$", "", name) for name in used} <= known
