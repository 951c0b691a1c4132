"""The discovery message: valid by Home Assistant's rules, and every template finds its value."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jsonschema import Draft202012Validator, ValidationError  # type: ignore[import-untyped]

from plateid.outputs.homeassistant import components, discovery_payload
from plateid.outputs.mqtt_topics import MqttDevice
from tests.core.test_schema import names
from tests.support.samples import SEEN, make_health

SCHEMA = json.loads(Path(__file__).with_name("device-discovery.schema.json").read_text())
VALIDATOR = Draft202012Validator(SCHEMA)
DEVICE = MqttDevice("plateid", "device", "0a1b2c3d", ("gate", "yard-2"))
LISTED = ["Ana", 'Bob\'s "van" {{ x }} \\ \n', "Zoë 🚗"]
ENVIRONMENT = ImmutableSandboxedEnvironment(undefined=StrictUndefined)


def payload(device: MqttDevice = DEVICE, *, gone: dict[str, str] | None = None) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(
        discovery_payload(device, components(device, LISTED), removed=gone or {})
    )
    return made


def rendered(component: dict[str, Any], message: str, template: str = "value_template") -> str:
    return ENVIRONMENT.from_string(component[template]).render(value_json=json.loads(message))


def named(name: str) -> dict[str, Any]:
    (component,) = [part for part in payload()["cmps"].values() if part["name"] == name]
    return dict(component)


def test_schema_is_valid():
    Draft202012Validator.check_schema(SCHEMA)


@given(names, names, st.lists(names, unique=True, max_size=3), st.lists(st.text(), unique=True))
def test_every_message_is_valid_and_ids_are_unique(prefix, device, cameras, listed):
    device = MqttDevice(prefix, device, "0a1b2c3d", tuple(cameras))
    parts = components(device, listed)
    made = json.loads(discovery_payload(device, parts, removed={"x": "image"}))
    VALIDATOR.validate(made)
    assert len(parts) == 5 + 5 * len(cameras) + len(listed)
    for key in parts:
        part = made["cmps"][key]
        assert part["unique_id"] == key
        assert part["default_entity_id"].split(".")[0] == part["p"]
        assert part.get("availability") != []  # the device's last will makes it unavailable


def test_occupancy_has_a_count_free_places_and_presence_by_name():
    device = MqttDevice("plateid", "box", "0a1b2c3d", ("gate",), occupancy=True, capacity=True)
    parts = components(device, ["Ana", "Bob"])
    VALIDATOR.validate(json.loads(discovery_payload(device, parts, removed={})))
    report = '{"inside": 2, "free": 1, "listed": {"Ana": "2026-11-24T12:00:00Z"}}'
    values = {
        part["name"]: rendered(part, report)
        for part in parts.values()
        if part.get("state_topic") == "plateid/box/occupancy"
    }
    assert values == {
        "vehicles inside": "2",
        "free places": "1",
        "Ana inside": "ON",
        "Bob inside": "OFF",
    }


@pytest.mark.parametrize(
    "change",
    [
        {"p": "button"},
        {"unique_id": None},
        {"state_topic": "plateid/#/health"},
        {"entity_category": "config"},
        {"device_class": "speed"},
        {"unit_of_measurement": "km"},
        {"object_id": "box_disk"},
    ],
)
def test_entity_that_home_assistant_refuses_is_invalid(change):
    made = payload()
    made["cmps"]["plateid_0a1b2c3d_disk"].update(change)
    with pytest.raises(ValidationError):
        VALIDATOR.validate(made)


def test_cameras_and_device_have_their_entities():
    made = {key.removeprefix("plateid_0a1b2c3d_") for key in payload()["cmps"]}
    cameras = {
        f"{camera}_{what}"
        for camera in DEVICE.cameras
        for what in ("event", "last", "snapshot", "online", "reads")
    }
    device = {"outbox", "clock", "store", "disk", "temperature"}
    assert made == cameras | device | {f"listed_{name}" for name in LISTED}


def test_ids_depend_on_the_instance_and_not_on_names():
    renamed = MqttDevice("other", "name", DEVICE.instance, DEVICE.cameras)
    assert components(renamed).keys() == components(DEVICE).keys()
    other = MqttDevice("plateid", "device", "99999999", DEVICE.cameras)
    assert not components(other).keys() & components(DEVICE).keys()


def test_removed_entity_has_its_platform_only():
    made = payload(gone={"plateid_0a1b2c3d_old_last": "sensor"})
    assert made["cmps"]["plateid_0a1b2c3d_old_last"] == {"p": "sensor"}


def test_last_plate_comes_from_the_event():
    assert rendered(named("gate last plate"), SEEN.to_json()) == "B68SPK"
    assert set(named("gate plate")["event_types"]) == {"plate_seen", "plate_left"}


def test_every_template_finds_its_value_in_the_health_report(store):
    health = make_health(store, cameras=DEVICE.cameras, listed=LISTED, clock_synced=False)
    message = health.to_json()
    of_health = [
        c for c in payload()["cmps"].values() if c.get("state_topic") == DEVICE.topic("health")
    ]
    texts = {component["name"]: rendered(component, message) for component in of_health}
    assert texts["gate reads per minute"] == texts["outbox"] == "0"
    assert texts["clock"] == "ON"
    assert int(texts["disk free"]) > 0
    assert [texts[f"{name} last seen"] for name in LISTED] == ["None"] * 3
    attributes = json.loads(rendered(named("outbox"), message, "json_attributes_template"))
    assert attributes == {"events": 0, "oldest_s": None, "dropped": 0}


@pytest.mark.parametrize(("synced", "state"), [(True, "OFF"), (False, "ON"), (None, "None")])
def test_unset_clock_is_a_problem(store, synced, state):
    health = make_health(store, clock_synced=synced)
    assert rendered(named("clock"), health.to_json()) == state
