"""MQTT discovery for devices, as Home Assistant 2026.11 takes it.

https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload
"""

import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from importlib import resources
from string import Template
from typing import Any

from plateid import __version__
from plateid.outputs.mqtt_topics import MqttDevice

Component = dict[str, Any]
"""Settings of one entity; `p` is its platform."""
ATTRIBUTES = (
    *("event_type", "id", "pass_id", "device", "camera", "plate", "plate_display", "confidence"),
    *("region", "list", "first_seen", "last_seen", "direction", "dwell_s", "parked"),
    *("corrected", "replayed"),
)
"""Fields of an event that become attributes. Home Assistant stores all attributes of each state."""
EVENT_TEMPLATE = f"{{{{ dict(value_json.items() | selectattr(0, 'in', {ATTRIBUTES})) | tojson }}}}"
ENTITIES: dict[str, dict[str, Component]] = tomllib.loads(
    resources.files("plateid.outputs").joinpath("entities.toml").read_text("utf-8")
)
"""The entities of a camera, of the device and of a list entry."""


def device_id(device: MqttDevice, camera: str = "") -> str:
    """Returns an identifier that does not depend on the names of device and topics."""
    return f"plateid_{device.instance}" + (f"_{camera}" if camera else "")


def components(device: MqttDevice, list_names: Iterable[str] = ()) -> dict[str, Component]:
    """Returns the entities of the device itself by unique id; `list_names` are of list entries."""
    newest = json.dumps(device.newest_bundle) if device.newest_bundle else "value_json.bundle"
    parts = _entities("device", device, newest=newest)
    for name in list_names:
        quoted = json.dumps(name, ensure_ascii=False)
        found = _entities("entry", device, name=name, quoted=quoted)
        parts |= {f"{kind}_{name}": part for kind, part in found.items()}
    return {f"{device_id(device)}_{key}": part for key, part in parts.items()}


def camera_components(device: MqttDevice, camera: str) -> dict[str, Component]:
    """Returns the entities of a camera by unique id; one to remove has its platform only."""
    levels = ("event", "last", "snapshot", "status")
    topics = {level: device.topic(camera, level) for level in levels}
    shown = {"camera": camera, "attributes": EVENT_TEMPLATE}
    shown["device_status"] = device.topic("status")
    parts = _entities("camera", device, **topics, **shown)
    if not device.images:
        parts["snapshot"] = {"p": "image"}
    return {f"{device_id(device, camera)}_{key}": part for key, part in parts.items()}


def _entities(kind: str, device: MqttDevice, **values: str) -> dict[str, Component]:
    """Returns the entities of a kind with these values, without those that the device lacks."""
    values |= {level: device.topic(level) for level in ("disk", "health", "occupancy")}
    escaped = {key: json.dumps(value)[1:-1] for key, value in values.items()}
    text = Template(json.dumps(ENTITIES[kind])).substitute(escaped)
    present = {"inside": device.occupancy, "free": device.capacity}
    return {key: part for key, part in json.loads(text).items() if present.get(key, True)}


def discovery_payload(
    device: MqttDevice,
    parts: Mapping[str, Component],
    *,
    removed: Mapping[str, str],
    camera: str = "",
) -> str:
    """Returns the message of the device or a camera; `removed` components have a platform only."""
    name = f"{device.device} {camera}" if camera else device.device
    payload = {
        "dev": _device_info(device, camera),
        "o": {"name": "plateid", "sw": __version__},
        "availability": [{"topic": device.topic("status")}],
        "availability_mode": "all",
        "qos": 1,
        "cmps": {key: {"p": platform} for key, platform in removed.items()}
        | {unique_id: _complete(name, unique_id, part) for unique_id, part in parts.items()},
    }
    return json.dumps(payload, separators=(",", ":"))


def _device_info(device: MqttDevice, camera: str) -> dict[str, Any]:
    """Says what Home Assistant shows of a device. A camera is a device behind plateid."""
    title = re.sub("[-_]+", " ", camera or device.device).strip() or device.device
    info = {
        "ids": [device_id(device, camera)],
        "name": title[0].upper() + title[1:],
        "mf": "plateid",
        "mdl": "Camera" if camera else "Licence-plate reader",
        "sw": __version__,
    }
    info |= {"via_device": device_id(device)} if camera else {}
    return info | ({"cu": device.url} if device.url else {})


def _complete(device_name: str, unique_id: str, part: Component) -> Component:
    """Returns an entity with its ids, such as `sensor.gate_drive_last_plate`."""
    if "name" not in part:
        return part
    name = re.sub(r"[^a-z0-9]+", "_", f"{device_name} {part['name']}".lower()).strip("_")
    return part | {"unique_id": unique_id, "default_entity_id": f"{part['p']}.{name}"}
