"""What Home Assistant is told: valid by its rules, and every template finds what it names."""

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
from plateid.outputs.mqtt_device import MqttDevice
from plateid.store.event_store import EventStore
from tests.core.test_schema import names
from tests.support.samples import SEEN, make_health

SCHEMA = json.loads(Path(__file__).with_name("device-discovery.schema.json").read_text())
VALIDATOR = Draft202012Validator(SCHEMA)
BOX = MqttDevice("plateid", "box", "0a1b2c3d", ("gate", "yard-2"))
LISTED = ["Ana", 'Bob\'s "van" {{ x }} \\ \n', "Zoë 🚗"]
ENVIRONMENT = ImmutableSandboxedEnvironment(undefined=StrictUndefined)


def payload(box: MqttDevice = BOX, *, gone: dict[str, str] | None = None) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(
        discovery_payload(box, components(box, LISTED), removed=gone or {})
    )
    return made


def rendered(component: dict[str, Any], message: str, template: str = "value_template") -> str:
    return ENVIRONMENT.from_string(component[template]).render(value_json=json.loads(message))


def named(name: str) -> dict[str, Any]:
    (component,) = [part for part in payload()["cmps"].values() if part["name"] == name]
    return dict(component)


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@given(names, names, st.lists(names, unique=True, max_size=3), st.lists(st.text(), unique=True))
def test_every_announcement_is_valid_and_no_id_is_there_twice(
    prefix: str, device: str, cameras: list[str], listed: list[str]
) -> None:
    box = MqttDevice(prefix, device, "0a1b2c3d", tuple(cameras))
    parts = components(box, listed)
    VALIDATOR.validate(json.loads(discovery_payload(box, parts, removed={"x": "image"})))
    assert len(parts) == 4 + 5 * len(cameras) + len(listed)
    for key, part in parts.items():
        assert part["unique_id"] == key
        assert part["default_entity_id"].split(".")[0] == part["platform"]
        assert (part["platform"] == "event") == (part.get("availability") == [])


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
def test_what_home_assistant_would_refuse_or_drop_is_invalid(change: dict[str, Any]) -> None:
    made = payload()
    made["cmps"]["plateid_0a1b2c3d_disk"].update(change)
    with pytest.raises(ValidationError):
        VALIDATOR.validate(made)


def test_each_camera_has_its_entities_and_so_has_the_box() -> None:
    made = {key.removeprefix("plateid_0a1b2c3d_") for key in payload()["cmps"]}
    cameras = {
        f"{camera}_{what}"
        for camera in BOX.cameras
        for what in ("event", "last", "snapshot", "online", "reads")
    }
    box = {"outbox", "clock", "disk", "temperature"}
    assert made == cameras | box | {f"listed_{name}" for name in LISTED}


def test_ids_stay_when_the_box_or_its_topics_are_renamed_and_differ_between_boxes() -> None:
    renamed = MqttDevice("other", "name", BOX.instance, BOX.cameras)
    assert components(renamed).keys() == components(BOX).keys()
    other = MqttDevice("plateid", "box", "99999999", BOX.cameras)
    assert not components(other).keys() & components(BOX).keys()


def test_what_is_gone_is_its_platform_only() -> None:
    made = payload(gone={"plateid_0a1b2c3d_old_last": "sensor"})
    assert made["cmps"]["plateid_0a1b2c3d_old_last"] == {"p": "sensor"}


def test_the_last_plate_is_that_of_the_event() -> None:
    assert rendered(named("gate last plate"), SEEN.to_json()) == "B68SPK"
    assert set(named("gate plate")["event_types"]) == {"plate_seen", "plate_left"}


def test_every_template_of_the_health_finds_its_value(store: EventStore) -> None:
    health = make_health(store, cameras=BOX.cameras, listed=LISTED, clock_synced=False)
    message = health.to_json()
    of_health = [c for c in payload()["cmps"].values() if c.get("state_topic") == BOX.health_topic]
    texts = {component["name"]: rendered(component, message) for component in of_health}
    assert texts["gate reads per minute"] == texts["outbox"] == "0"
    assert texts["clock"] == "ON"
    assert int(texts["disk free"]) > 0
    assert [texts[f"{name} last seen"] for name in LISTED] == ["None"] * 3
    attributes = json.loads(rendered(named("outbox"), message, "json_attributes_template"))
    assert attributes == {"events": 0, "oldest_s": None, "dropped": 0}


@pytest.mark.parametrize(("synced", "state"), [(True, "OFF"), (False, "ON"), (None, "None")])
def test_a_clock_that_nobody_sets_is_a_problem(
    store: EventStore, synced: bool | None, state: str
) -> None:
    health = make_health(store, clock_synced=synced)
    assert rendered(named("clock"), health.to_json()) == state
