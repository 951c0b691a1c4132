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

from plateid.outputs.homeassistant import (
    ATTRIBUTES,
    camera_components,
    components,
    device_id,
    discovery_payload,
)
from plateid.outputs.mqtt_topics import MqttDevice
from tests.core.test_schema import names
from tests.support.samples import SEEN, make_health

SCHEMA = json.loads(Path(__file__).with_name("device-discovery.schema.json").read_text())
VALIDATOR = Draft202012Validator(SCHEMA)
DEVICE = MqttDevice("plateid", "device", "0a1b2c3d", ("gate", "yard-2"))
LISTED = ["Ana", 'Bob\'s "van" {{ x }} \\ \n', "Zoë 🚗"]
ENVIRONMENT = ImmutableSandboxedEnvironment(undefined=StrictUndefined)


def payload(camera: str = "", *, gone: dict[str, str] | None = None) -> dict[str, Any]:
    parts = camera_components(DEVICE, camera) if camera else components(DEVICE, LISTED)
    message = discovery_payload(DEVICE, parts, removed=gone or {}, camera=camera)
    made: dict[str, Any] = json.loads(message)
    return made


def rendered(component: dict[str, Any], message: str, template: str = "value_template") -> str:
    return ENVIRONMENT.from_string(component[template]).render(value_json=json.loads(message))


def named(name: str, camera: str = "") -> dict[str, Any]:
    (component,) = [part for part in payload(camera)["cmps"].values() if part["name"] == name]
    return dict(component)


def test_schema_is_valid():
    Draft202012Validator.check_schema(SCHEMA)


@given(names, names, st.lists(names, unique=True, max_size=3), st.lists(st.text(), unique=True))
def test_every_message_is_valid_and_ids_are_unique(prefix, device, cameras, listed):
    device = MqttDevice(prefix, device, "0a1b2c3d", tuple(cameras))
    everything = {"": components(device, listed)}
    everything |= {camera: camera_components(device, camera) for camera in cameras}
    assert len({id_ for parts in everything.values() for id_ in parts}) == (
        6 + 5 * len(cameras) + len(listed)
    )
    for camera, parts in everything.items():
        message = discovery_payload(device, parts, removed={"x": "image"}, camera=camera)
        made = json.loads(message)
        VALIDATOR.validate(made)
        assert made["dev"]["ids"] == [device_id(device, camera)]
        assert made["dev"].get("via_device") == (device_id(device) if camera else None)
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
        "Vehicles inside": "2",
        "Free places": "1",
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
    device = {"outbox", "clock", "store", "disk", "temperature", "bundle"}
    assert made == device | {f"listed_{name}" for name in LISTED}
    for camera in DEVICE.cameras:
        made = {key.removeprefix(f"plateid_0a1b2c3d_{camera}_") for key in payload(camera)["cmps"]}
        assert made == {"event", "last", "snapshot", "online", "reads"}


def test_devices_have_names_as_a_person_writes_them_and_a_link_to_the_web_ui():
    assert payload()["dev"]["name"] == "Device"
    assert payload("yard-2")["dev"]["name"] == "Yard 2"
    assert named("Last plate", "yard-2")["default_entity_id"] == "sensor.device_yard_2_last_plate"
    assert "cu" not in payload()["dev"]
    device = MqttDevice("plateid", "-_-", "0a1b2c3d", (), url="https://gate.local:8480")
    made = json.loads(discovery_payload(device, components(device), removed={}))
    VALIDATOR.validate(made)
    assert made["dev"]["cu"] == "https://gate.local:8480"
    assert made["dev"]["name"] == "-_-"


def test_camera_without_images_has_no_snapshot():
    device = MqttDevice("plateid", "device", "0a1b2c3d", ("gate",), images=False)
    made = json.loads(
        discovery_payload(device, camera_components(device, "gate"), removed={}, camera="gate")
    )
    VALIDATOR.validate(made)
    assert made["cmps"]["plateid_0a1b2c3d_gate_snapshot"] == {"p": "image"}


def test_ids_depend_on_the_instance_and_not_on_names():
    renamed = MqttDevice("other", "name", DEVICE.instance, DEVICE.cameras)
    other = MqttDevice("plateid", "device", "99999999", DEVICE.cameras)
    for make in (components, lambda device: camera_components(device, "gate")):
        assert make(renamed).keys() == make(DEVICE).keys()
        assert not make(other).keys() & make(DEVICE).keys()


def test_removed_entity_has_its_platform_only():
    made = payload(gone={"plateid_0a1b2c3d_old_last": "sensor"})
    assert made["cmps"]["plateid_0a1b2c3d_old_last"] == {"p": "sensor"}


def test_last_plate_comes_from_the_event():
    assert rendered(named("Last plate", "gate"), SEEN.to_json()) == "B68SPK"
    assert set(named("Plate", "gate")["event_types"]) == {"plate_seen", "plate_left"}


def test_attributes_are_the_fields_that_automations_need():
    event = json.loads(rendered(named("Plate", "gate"), SEEN.to_json()))
    sent = json.loads(SEEN.to_json())
    assert event == {key: sent[key] for key in ATTRIBUTES}
    last = rendered(named("Last plate", "gate"), SEEN.to_json(), "json_attributes_template")
    assert json.loads(last) == event


@pytest.mark.parametrize(
    ("newest", "latest"), [("", "tiny"), ('own "a" {{ x }} \\', 'own "a" {{ x }} \\')]
)
def test_update_compares_the_bundle_in_use_with_the_newest(store, newest, latest):
    device = MqttDevice("plateid", "device", "0a1b2c3d", (), newest_bundle=newest)
    message = make_health(store).to_json()
    versions = json.loads(rendered(components(device)["plateid_0a1b2c3d_bundle"], message))
    assert versions == {"installed_version": "tiny", "latest_version": latest}


def test_every_template_finds_its_value_in_the_health_report(store):
    health = make_health(store, cameras=DEVICE.cameras, listed=LISTED, clock_synced=False)
    message = health.to_json()
    parts = [*payload()["cmps"].values(), *payload("gate")["cmps"].values()]
    of_health = [part for part in parts if part.get("state_topic") == DEVICE.topic("health")]
    texts = {component["name"]: rendered(component, message) for component in of_health}
    assert texts["Reads per minute"] == texts["Outbox"] == "0"
    assert texts["Clock"] == "ON"
    assert float(texts["Disk free"]) == round(json.loads(message)["disk_free_mb"] / 1000, 1)
    assert rendered(named("Disk free"), '{"disk_free_mb": null}') == "None"
    assert [texts[f"{name} last seen"] for name in LISTED] == ["None"] * 3
    attributes = json.loads(rendered(named("Outbox"), message, "json_attributes_template"))
    assert attributes == {"events": 0, "oldest_s": None, "dropped": 0}


@pytest.mark.parametrize(("synced", "state"), [(True, "OFF"), (False, "ON"), (None, "None")])
def test_unset_clock_is_a_problem(store, synced, state):
    health = make_health(store, clock_synced=synced)
    assert rendered(named("Clock"), health.to_json()) == state
